//! `kubectl hindsight`: what a person asks of a stack, with that person's rights.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use crds::MonitoringStack;
use crds::coreos::Kind;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt as _};
use operator::coreos::selection::Standpoint;
use operator::settings::Settings;
use operator::{explain, gather, inspect, summary};

#[derive(Parser)]
#[command(
    name = "kubectl hindsight",
    version,
    about = "Asks about MonitoringStacks"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Namespace; that of the present context where left out.
    #[arg(short, long, global = true)]
    namespace: Option<String>,
    /// Namespaces of the operator's flag of the same name; that of a stack that scrapes nodes is
    /// found by itself.
    #[arg(
        long,
        env = "HINDSIGHT_CLUSTER_STACKS",
        value_delimiter = ',',
        global = true
    )]
    cluster_stacks: Vec<String>,
}

#[derive(Subcommand)]
enum Command {
    /// Show conditions, replicas, addresses and what is left out.
    Status {
        /// Name of the stack; all of the namespace where left out.
        name: Option<String>,
    },
    /// Say why a monitoring resource is used or not, e.g. `why servicemonitor/web`.
    Why {
        /// Kind and name.
        resource: String,
    },
    /// Open a way to a page of the stack with `kubectl port-forward`.
    Ui {
        /// Name of the stack.
        name: String,
        /// Which page.
        #[arg(value_parser = ["query", "prometheus"], default_value = "query")]
        page: String,
        /// Local port.
        #[arg(long, default_value_t = 10902)]
        port: u16,
    },
    /// Write everything that helps to find a fault into a folder; Secrets without their values.
    MustGather {
        /// Name of the stack.
        name: String,
        /// Folder to make.
        #[arg(long, default_value = "must-gather")]
        folder: PathBuf,
    },
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Standard error may be closed; there is nothing left to tell it then.
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    rustls::crypto::ring::default_provider()
        .install_default()
        .map_err(|_| anyhow::anyhow!("a TLS provider is installed already"))?;
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    runtime.block_on(ask(cli))
}

async fn ask(cli: Cli) -> anyhow::Result<()> {
    let client = Client::try_default()
        .await
        .context("cannot reach a cluster: set KUBECONFIG")?;
    let namespace = cli
        .namespace
        .unwrap_or_else(|| client.default_namespace().to_owned());
    let stacks: Api<MonitoringStack> = Api::namespaced(client.clone(), &namespace);
    let text = match cli.command {
        Command::Status { name: Some(name) } => summary::of(&get(&stacks, &name).await?),
        Command::Status { name: None } => {
            let found = stacks
                .list(&ListParams::default())
                .await
                .context("cannot list stacks")?;
            anyhow::ensure!(!found.items.is_empty(), "no stack in namespace {namespace}");
            found
                .items
                .iter()
                .map(summary::of)
                .collect::<Vec<_>>()
                .join("\n")
        }
        Command::Why { resource } => {
            why(&client, &namespace, &resource, cli.cluster_stacks).await?
        }
        Command::Ui { name, page, port } => return forward(&namespace, &name, &page, port),
        Command::MustGather { name, folder } => {
            let stack = get(&stacks, &name).await?;
            let written = gather::gather(&client, &stack, &folder)
                .await
                .context("cannot gather")?;
            format!("wrote {written} files to {}\n", folder.display())
        }
    };
    std::io::stdout()
        .write_all(text.as_bytes())
        .context("cannot write to standard output")
}

async fn get(stacks: &Api<MonitoringStack>, name: &str) -> anyhow::Result<MonitoringStack> {
    stacks
        .get_opt(name)
        .await
        .context("cannot read the stack")?
        .with_context(|| format!("no stack {name:?} in this namespace"))
}

async fn why(
    client: &Client,
    namespace: &str,
    resource: &str,
    cluster_stacks: Vec<String>,
) -> anyhow::Result<String> {
    let (kind, name) = resource
        .split_once('/')
        .context("say kind and name, e.g. servicemonitor/web")?;
    let is_meant = |of: &Kind| {
        of.as_str().eq_ignore_ascii_case(kind) || of.plural().eq_ignore_ascii_case(kind)
    };
    let kind = Kind::ALL
        .into_iter()
        .find(is_meant)
        .with_context(|| format!("{kind:?} is no kind of monitoring.coreos.com"))?;
    let found = inspect::resources(client, Some(namespace))
        .await
        .context("cannot read monitoring resources")?;
    let found = found
        .into_iter()
        .find(|one| one.kind == kind && one.name == name)
        .with_context(|| format!("no {} {name:?} in namespace {namespace}", kind.as_str()))?;
    let namespaces = inspect::namespaces(client).await?;
    // Who may not list the cluster asks the own namespace's stacks.
    let everywhere: Api<MonitoringStack> = Api::all(client.clone());
    let stacks = match everywhere.list(&ListParams::default()).await {
        Ok(stacks) => stacks.items,
        Err(kube::Error::Api(status)) if status.code == 403 => {
            let api: Api<MonitoringStack> = Api::namespaced(client.clone(), namespace);
            let stacks = api.list(&ListParams::default()).await;
            stacks.context("cannot list stacks")?.items
        }
        Err(error) => return Err(error).context("cannot list stacks"),
    };
    anyhow::ensure!(!stacks.is_empty(), "there is no MonitoringStack");
    let settings = Settings {
        cluster_stacks: cluster_stacks.into_iter().collect(),
        ..Settings::default()
    };
    let mut text = String::new();
    for stack in &stacks {
        let of = stack.namespace().unwrap_or_default();
        let standpoint = Standpoint {
            namespace: &of,
            reach: explain::reach_of(stack, &settings),
            namespaces: &namespaces,
        };
        for line in explain::explain(stack, &found, standpoint) {
            text.push_str(&line);
            text.push('\n');
        }
    }
    Ok(text)
}

fn forward(namespace: &str, name: &str, page: &str, port: u16) -> anyhow::Result<()> {
    let (service, target) = match page {
        "prometheus" => (format!("svc/{name}-prometheus-0"), 8080),
        _ => (format!("svc/{name}-query"), 10902),
    };
    let _ = writeln!(std::io::stderr(), "http://127.0.0.1:{port}");
    let status = std::process::Command::new("kubectl")
        .args(["-n", namespace, "port-forward", &service])
        .arg(format!("{port}:{target}"))
        .status()
        .context("cannot run kubectl")?;
    anyhow::ensure!(status.success(), "kubectl port-forward ended with {status}");
    Ok(())
}
