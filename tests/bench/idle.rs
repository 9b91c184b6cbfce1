//! What a component costs before anyone asks it anything: start to ready, idle memory, size.

use std::ffi::OsString;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::Settings;
use crate::process::{Process, free_address};
use crate::report::print;

/// How long a process idles before its memory is read.
const IDLE: Duration = Duration::from_secs(10);
const STARTS: usize = 7;
const MIB: f64 = 1024.0 * 1024.0;

/// Prints the table of store, query and sidecar on nothing.
pub(crate) fn measure(settings: &Settings) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name);
    std::fs::create_dir_all(path("bucket"))?;
    std::fs::write(
        path("prometheus.yml"),
        "global: {external_labels: {cluster: bench, replica: a}}\n",
    )?;
    let bucket = format!(
        "type: FILESYSTEM\nconfig: {{directory: {}}}\n",
        path("bucket").display()
    );
    let size = std::fs::metadata(&settings.hindsight)?.len();
    print(&format!("\nbinary: {:.1} MB", size as f64 / 1e6));
    print("\n| component | start to ready | idle memory |\n|---|---|---|");

    let prometheus = free_address()?;
    let flag = |name: &str, value: String| OsString::from(format!("--{name}={value}"));
    let prometheus_args = vec![
        flag("config.file", path("prometheus.yml").display().to_string()),
        flag("storage.tsdb.path", path("data").display().to_string()),
        flag("web.listen-address", prometheus.to_string()),
        "--storage.tsdb.min-block-duration=2h".into(),
        "--storage.tsdb.max-block-duration=2h".into(),
    ];
    let beside = Process::start(&settings.prometheus, prometheus_args, prometheus)?;
    for component in ["store", "query", "sidecar"] {
        let mut args: Vec<OsString> = vec![component.into()];
        match component {
            "store" => {
                args.push(flag("objstore.config", bucket.clone()));
                args.push(flag("data-dir", path("store").display().to_string()));
            }
            "sidecar" => {
                args.push(flag("prometheus.url", format!("http://{prometheus}")));
                args.push(flag("tsdb.path", path("data").display().to_string()));
                args.push(flag("objstore.config", bucket.clone()));
            }
            _ => {}
        }
        row(settings, component, &args)?;
    }
    drop(beside);
    Ok(())
}

fn row(settings: &Settings, component: &str, args: &[OsString]) -> Result<()> {
    let mut starts = Vec::new();
    let mut resident = 0.0;
    for start in 0..STARTS {
        let (http, grpc) = (free_address()?, free_address()?);
        let mut args = args.to_vec();
        args.push(format!("--http-address={http}").into());
        args.push(format!("--grpc-address={grpc}").into());
        let process = Process::start(&settings.hindsight, args, http)
            .with_context(|| component.to_owned())?;
        starts.push(process.ready_after);
        if start == 0 {
            std::thread::park_timeout(IDLE);
            resident = process.resident()?;
        }
    }
    starts.sort();
    let median = starts[starts.len() / 2].as_secs_f64() * 1_000.0;
    print(&format!(
        "| {component} | {median:.0} ms | {:.1} MiB |",
        resident / MIB
    ));
    Ok(())
}
