//! `hindsight-operator`: `run` in a cluster, `crds` and `render` without one.

use std::io::{Read as _, Write as _};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use operator::settings::{ALLOWED_IMAGES, HINDSIGHT_IMAGE, Settings};

#[derive(Parser)]
#[command(name = "hindsight-operator", version, about = "Runs MonitoringStacks")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Print the CustomResourceDefinitions as YAML.
    Crds,
    /// Print the manifests that a MonitoringStack file would become. Needs no cluster.
    Render {
        /// Files with MonitoringStacks and the Secrets they refer to; `-` reads standard input.
        #[arg(short, long = "filename", required = true)]
        filenames: Vec<String>,
        #[command(flatten)]
        administration: Administration,
    },
}

/// What the cluster's administrator decides.
#[derive(Args)]
struct Administration {
    /// Namespaces whose stacks may scrape nodes, the API server and other namespaces.
    #[arg(long, env = "HINDSIGHT_CLUSTER_STACKS", value_delimiter = ',')]
    cluster_stacks: Vec<String>,
    /// Prefixes that every image of a stack must have.
    #[arg(long, env = "HINDSIGHT_ALLOWED_IMAGES", value_delimiter = ',', default_values = ALLOWED_IMAGES)]
    allowed_images: Vec<String>,
    /// Image of sidecar, querier and store gateway.
    #[arg(long, env = "HINDSIGHT_IMAGE", default_value = HINDSIGHT_IMAGE)]
    hindsight_image: String,
}

impl From<Administration> for Settings {
    fn from(administration: Administration) -> Self {
        let non_empty = |texts: Vec<String>| texts.into_iter().filter(|text| !text.is_empty());
        Self {
            cluster_stacks: non_empty(administration.cluster_stacks).collect(),
            allowed_images: non_empty(administration.allowed_images).collect(),
            hindsight_image: administration.hindsight_image,
        }
    }
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Standard error may be closed; there is nothing left to tell it then.
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Crds => print(&operator::render::definitions()?),
        Command::Render {
            filenames,
            administration,
        } => {
            let mut input = String::new();
            for filename in filenames {
                input.push_str("---\n");
                input.push_str(&read(&filename)?);
                input.push('\n');
            }
            print(&operator::render::render(&input, &administration.into())?)
        }
    }
}

fn read(filename: &str) -> anyhow::Result<String> {
    if filename == "-" {
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .context("cannot read standard input")?;
        return Ok(text);
    }
    std::fs::read_to_string(filename).with_context(|| format!("cannot read {filename}"))
}

fn print(text: &str) -> anyhow::Result<()> {
    std::io::stdout()
        .write_all(text.as_bytes())
        .context("cannot write to standard output")
}
