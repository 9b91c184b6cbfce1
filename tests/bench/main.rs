//! `make bench`: Hindsight against Prometheus on the same bytes, answers compared before times are.
//!
//! Both sides get copies of blocks that `tests/gopeer` cut with Prometheus' own writer. Runs alternate
//! A B A B, each long enough for the kernel's clock ticks; a row is the median of the pairs' ratios.
//! The definitions are those of the project's benchmark suite: CPU is user plus system time of all
//! processes of a side, memory is the peak resident set during the row.

mod api;
mod equal;
mod idle;
mod process;
mod queries;
mod report;
mod sides;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use report::Row;
use sides::{Data, Side};

/// What is measured and with what.
pub(crate) struct Settings {
    pub(crate) prometheus: PathBuf,
    pub(crate) hindsight: PathBuf,
    pub(crate) gopeer: PathBuf,
    /// A binary with Thanos' command line, where one is given.
    pub(crate) peer: Option<PathBuf>,
    pub(crate) size: String,
    pub(crate) seed: String,
    pub(crate) pairs: usize,
    /// Only rows whose expression contains this.
    pub(crate) only: Option<String>,
}

impl Settings {
    fn from_env() -> Result<Self> {
        let path = |name: &str| {
            std::env::var_os(name)
                .map(PathBuf::from)
                .with_context(|| format!("{name} is not set; run `make bench`"))
        };
        let text = |name: &str, or: &str| std::env::var(name).unwrap_or_else(|_| or.to_owned());
        Ok(Self {
            prometheus: path("HINDSIGHT_PROMETHEUS")?.join("prometheus"),
            hindsight: path("HINDSIGHT_BIN")?,
            gopeer: path("HINDSIGHT_GOPEER")?,
            peer: std::env::var_os("PEER")
                .filter(|peer| !peer.is_empty())
                .map(PathBuf::from),
            size: text("SIZE", "M"),
            seed: text("SEED", "1"),
            pairs: text("PAIRS", "7")
                .parse()
                .context("PAIRS has to be a number")?,
            only: std::env::var("ONLY").ok(),
        })
    }
}

fn main() -> Result<()> {
    // `cargo test --benches` only wants to know that it builds.
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let settings = Settings::from_env()?;
    let folder = tempfile::tempdir().context("make a folder for the data")?;
    report::say(&format!(
        "cutting data set dash, size {}, seed {}",
        settings.size, settings.seed
    ));
    let data = Data::cut(&settings, folder.path())?;
    report::machine(&data);

    let prometheus = Side::prometheus(&settings, &data)?;
    let mut opponents = vec![Side::store_and_query(
        &settings.hindsight,
        "hindsight",
        &data,
    )?];
    opponents.push(Side::all_in_one(&settings.hindsight, &data)?);
    if let Some(peer) = &settings.peer {
        opponents.push(Side::store_and_query(peer, "peer", &data)?);
    }
    let rows = queries::list(&data);
    let rows: Vec<_> = match &settings.only {
        None => rows,
        Some(part) => rows
            .into_iter()
            .filter(|row| row.expr.contains(part.as_str()))
            .collect(),
    };
    if rows.is_empty() {
        bail!("no query contains {:?}", settings.only);
    }
    let mut failed = 0;
    for side in &opponents {
        let mut measured = Vec::new();
        for query in &rows {
            let (expected, found) = (prometheus.ask(query)?, side.ask(query)?);
            if let Err(difference) = equal::answers(&expected, &found) {
                failed += 1;
                report::say(&format!(
                    "{}: answers differ: {}: {difference}",
                    side.name, query.expr
                ));
                continue;
            }
            let row = Row::measure(&prometheus, side, query, settings.pairs)?;
            report::line(&row);
            measured.push(row);
        }
        report::table(side.name, &measured);
    }
    drop(opponents);
    drop(prometheus);
    idle::measure(&settings)?;
    if failed > 0 {
        bail!("{failed} answers differ from Prometheus'");
    }
    Ok(())
}
