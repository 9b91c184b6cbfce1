//! Prometheus' own storage code: it cuts blocks and dumps them.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

const BINARY: &str = "HINDSIGHT_GOPEER";

/// By series, as dumped, its samples: time, and the rest of the line.
pub(crate) type Dump = BTreeMap<String, Vec<(i64, String)>>;

/// Cuts the blocks of a data set below `folder`; false where the program is not there.
pub(crate) fn cut(dataset: &str, folder: &Path) -> Result<bool> {
    let Some(binary) = std::env::var_os(BINARY) else {
        ensure!(
            std::env::var("CI").as_deref() != Ok("true"),
            "{BINARY} must name the gopeer binary"
        );
        #[expect(clippy::print_stderr, reason = "a skipped test says so")]
        {
            eprintln!("SKIP: set {BINARY} to the gopeer binary to run this test");
        }
        return Ok(false);
    };
    run(Command::new(binary)
        .args(["blocks", "--dataset", dataset, "--size", "S"])
        .args(["--thanos-labels", "cluster=a,replica=0", "--out"])
        .arg(folder))?;
    Ok(true)
}

/// Returns all that Prometheus finds in a block.
pub(crate) fn dump(block: &Path) -> Result<Dump> {
    let binary = std::env::var_os(BINARY).context(BINARY)?;
    let text = run(Command::new(binary).arg("dump").arg(block))?;
    let mut dump = Dump::new();
    let mut series = None;
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("series ") {
            series = Some(dump.entry(name.to_owned()).or_default());
        } else if let Some((time, rest)) = line.split_once(' ')
            && let Ok(time) = time.parse()
        {
            let series = series.as_mut().context("a sample before any series")?;
            series.push((time, rest.to_owned()));
        }
    }
    ensure!(
        !dump.is_empty(),
        "nothing was dumped of {}",
        block.display()
    );
    Ok(dump)
}

fn run(command: &mut Command) -> Result<String> {
    let output = command.output().context("starting gopeer")?;
    if !output.status.success() {
        bail!("gopeer: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}
