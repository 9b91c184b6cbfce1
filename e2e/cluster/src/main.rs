//! `hindsight-cluster`: the embedded Kubernetes from the command line.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand};
use cluster::{Cluster, ControlPlane, ImageFile, ImageSpec};

/// A real single-node Kubernetes on this machine, built from source, for the demo and the tests.
#[derive(Parser)]
#[command(name = "hindsight-cluster", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Bring the cluster up and wait until it is ready; safe to run again (needs root)
    Up(Dir),
    /// Take the cluster down and remove everything of it (needs root)
    Down(Dir),
    /// Say how the cluster is; exits with 1 unless it is ready
    Status(Dir),
    /// Print the path of the administrator's kubeconfig
    Kubeconfig(Dir),
    /// Pack an image from static binaries and import it into the cluster
    LoadImage(LoadImage),
    /// Build parts into the cache, all of them by default, and print their folders
    Build {
        /// Of: prometheus, kubernetes, versitygw, coredns, local-path-provisioner, pause
        parts: Vec<String>,
    },
    /// Run a bare control plane (no node) until interrupted, and print its kubeconfig's path
    ControlPlane {
        /// Its state; a control plane found there is continued
        #[arg(long)]
        dir: PathBuf,
    },
    /// Enforce NetworkPolicies on this node (started by `up`)
    #[command(hide = true)]
    Enforce {
        #[arg(long)]
        kubeconfig: PathBuf,
    },
}

#[derive(Args)]
struct Dir {
    /// The state folder [default: $HINDSIGHT_CACHE/cluster or ~/.cache/hindsight/cluster]
    #[arg(long)]
    dir: Option<PathBuf>,
}

impl Dir {
    fn path(&self) -> Result<PathBuf> {
        self.dir.clone().map_or_else(Cluster::default_dir, Ok)
    }

    fn cluster(&self) -> Result<Cluster> {
        let dir = self.path()?;
        Cluster::open(&dir)?.with_context(|| {
            format!(
                "no cluster in {}; bring one up: hindsight-cluster up",
                dir.display()
            )
        })
    }
}

#[derive(Args)]
struct LoadImage {
    #[command(flatten)]
    dir: Dir,
    /// A known image built from its module instead of --name and --file
    #[arg(long, value_parser = ["prometheus", "versitygw"], conflicts_with_all = ["name", "file"])]
    known: Option<String>,
    /// The full reference, e.g. ghcr.io/hindsight-dev/hindsight:0.1.0
    #[arg(long, required_unless_present = "known", requires = "file")]
    name: Option<String>,
    /// What runs [default: the first --file]
    #[arg(long)]
    entrypoint: Option<String>,
    /// The user and group it runs as
    #[arg(long, default_value_t = 1000)]
    uid: u32,
    /// <path here>:<path in the image>; repeatable, static binaries only
    #[arg(long, value_name = "HOST:PATH")]
    file: Vec<String>,
}

impl LoadImage {
    fn spec(&self) -> Result<ImageSpec> {
        match self.known.as_deref() {
            Some("prometheus") => return ImageSpec::prometheus(),
            Some("versitygw") => return ImageSpec::versitygw(),
            _ => {}
        }
        let mut files = Vec::new();
        for file in &self.file {
            let Some((host, path)) = file.rsplit_once(':') else {
                bail!("--file \"{file}\": write it as <path here>:<path in the image>");
            };
            files.push(ImageFile {
                host: host.into(),
                path: path.to_owned(),
            });
        }
        let mut spec = ImageSpec::new(self.name.as_deref().unwrap_or_default(), self.uid, &[]);
        let first = files.first().map(|file| file.path.clone());
        spec.entrypoint = self.entrypoint.clone().or(first).into_iter().collect();
        spec.files = files;
        Ok(spec)
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Cli::parse().command).await {
        Ok(code) => code,
        Err(error) => {
            cluster::progress(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Up(dir) => {
            let enforcer = std::env::current_exe().context("find the running binary")?;
            let cluster = Cluster::up(&dir.path()?, &enforcer).await?;
            print(&format!(
                "export KUBECONFIG={}",
                cluster.kubeconfig().display()
            ));
        }
        Command::Down(dir) => Cluster::down(&dir.path()?)?,
        Command::Status(dir) => return status(&dir.cluster()?).await,
        Command::Kubeconfig(dir) => print(&dir.cluster()?.kubeconfig().display().to_string()),
        Command::LoadImage(load) => {
            let spec = load.spec()?;
            let loaded = load.dir.cluster()?.load(&spec)?;
            let what = if loaded { "loaded" } else { "unchanged" };
            cluster::progress(&format!("image {}: {what}", spec.name));
        }
        Command::Build { parts } => {
            let all = cluster::PARTS.map(str::to_owned).to_vec();
            for part in if parts.is_empty() { all } else { parts } {
                print(&cluster::build(&part)?.display().to_string());
            }
        }
        Command::ControlPlane { dir } => {
            let plane = ControlPlane::start(&dir).await?;
            print(&format!(
                "export KUBECONFIG={}",
                plane.kubeconfig().display()
            ));
            cluster::progress("the control plane runs until you press Ctrl-C");
            tokio::signal::ctrl_c().await?;
        }
        Command::Enforce { kubeconfig } => {
            cluster::enforce(cluster::client(&kubeconfig).await?).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn status(cluster: &Cluster) -> Result<ExitCode> {
    let status = cluster.status().await?;
    for part in &status.parts {
        let pid = part
            .pid
            .map_or_else(|| "does not run".to_owned(), |pid| format!("pid {pid}"));
        print(&format!("{:<26}{pid}", part.name));
    }
    if status.ready {
        print("ready");
        return Ok(ExitCode::SUCCESS);
    }
    for missing in &status.waiting_for {
        print(&format!("not ready: {missing}"));
    }
    Ok(ExitCode::FAILURE)
}

/// Results go to stdout; a reader that has gone is no failure.
fn print(line: &str) {
    drop(writeln!(std::io::stdout(), "{line}"));
}
