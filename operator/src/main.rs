//! `hindsight-operator`: `run` in a cluster, `crds` and `render` without one, `diff` either way.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use operator::diff::{Side, compare};
use operator::render::Built;
use operator::run::Config;
use operator::settings::{ALLOWED_IMAGES, HINDSIGHT_IMAGE, NODE_EXPORTER_IMAGE, Settings};
use operator::telemetry::{LogFormat, Metrics, init_logs};
use tokio_util::sync::CancellationToken;

#[derive(Parser)]
#[command(name = "hindsight-operator", version, about = "Runs MonitoringStacks")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run in a cluster.
    Run(Run),
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
    /// Print what a changed MonitoringStack would do: which objects change, which pods restart, what
    /// breaks. Changes nothing.
    Diff(Diff),
}

/// What `diff` compares.
#[derive(Args)]
struct Diff {
    /// Files with the MonitoringStacks as they would be, and what they refer to; `-` reads standard
    /// input.
    #[arg(short, long = "filename", required = true)]
    filenames: Vec<String>,
    /// Files with the stacks as they are. Without it the cluster of the present kubeconfig is asked,
    /// for the stacks and for all that they refer to.
    #[arg(long)]
    against: Vec<String>,
    #[command(flatten)]
    administration: Administration,
}

#[derive(Args)]
struct Run {
    /// Namespaces whose stacks are served, separated by commas; all where left out.
    #[arg(long, env = "HINDSIGHT_NAMESPACES", value_delimiter = ',')]
    namespaces: Vec<String>,
    /// The operator's own namespace; it holds the leader's lease.
    #[arg(long, env = "POD_NAMESPACE", default_value = "hindsight-system")]
    namespace: String,
    /// Name of this process among the candidates for leadership.
    #[arg(long, env = "POD_NAME", default_value = "hindsight-operator")]
    pod_name: String,
    /// Address of metrics and probes.
    #[arg(long, default_value = "0.0.0.0:8080")]
    http_address: SocketAddr,
    /// Install the definitions of ServiceMonitor, PodMonitor, Probe, ScrapeConfig, PrometheusRule and
    /// AlertmanagerConfig where they are missing.
    #[arg(long, env = "HINDSIGHT_INSTALL_COREOS_CRDS")]
    install_coreos_crds: bool,
    /// Least severe level that is logged.
    #[arg(long = "log.level", default_value = "info")]
    log_level: String,
    /// Format of log lines.
    #[arg(long = "log.format", value_enum, default_value_t = LogFormat::Logfmt)]
    log_format: LogFormat,
    #[command(flatten)]
    administration: Administration,
}

/// What the cluster's administrator decides.
#[derive(Args)]
struct Administration {
    /// Namespaces whose stacks may scrape nodes, the API server and other namespaces, and run
    /// kube-state-metrics and node-exporter.
    #[arg(long, env = "HINDSIGHT_CLUSTER_STACKS", value_delimiter = ',')]
    cluster_stacks: Vec<String>,
    /// Prefixes that every image of a stack must have.
    #[arg(long, env = "HINDSIGHT_ALLOWED_IMAGES", value_delimiter = ',', default_values = ALLOWED_IMAGES)]
    allowed_images: Vec<String>,
    /// Image of sidecar, querier and store gateway.
    #[arg(long, env = "HINDSIGHT_IMAGE", default_value = HINDSIGHT_IMAGE)]
    hindsight_image: String,
    /// Image of node-exporter, which sees the nodes' file systems.
    #[arg(long, env = "HINDSIGHT_NODE_EXPORTER_IMAGE", default_value = NODE_EXPORTER_IMAGE)]
    node_exporter_image: String,
}

impl From<Administration> for Settings {
    fn from(administration: Administration) -> Self {
        let non_empty = |texts: Vec<String>| texts.into_iter().filter(|text| !text.is_empty());
        Self {
            cluster_stacks: non_empty(administration.cluster_stacks).collect(),
            allowed_images: non_empty(administration.allowed_images).collect(),
            hindsight_image: administration.hindsight_image,
            node_exporter_image: administration.node_exporter_image,
            ..Self::default()
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
        Command::Run(arguments) => serve(arguments),
        Command::Crds => print(&operator::render::definitions()?),
        Command::Render {
            filenames,
            administration,
        } => {
            let input = read_all(&filenames)?;
            print(&operator::render::render(&input, &administration.into())?)
        }
        Command::Diff(arguments) => diff(arguments),
    }
}

fn read_all(filenames: &[String]) -> anyhow::Result<String> {
    let mut input = String::new();
    for filename in filenames {
        input.push_str("---\n");
        input.push_str(&read(filename)?);
        input.push('\n');
    }
    Ok(input)
}

fn diff(arguments: Diff) -> anyhow::Result<()> {
    let settings = Settings::from(arguments.administration);
    let input = read_all(&arguments.filenames)?;
    let pairs = if arguments.against.is_empty() {
        rustls::crypto::ring::default_provider()
            .install_default()
            .map_err(|_| anyhow::anyhow!("a TLS provider is installed already"))?;
        let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
        runtime.block_on(with_cluster(&input, &settings))?
    } else {
        let old = operator::render::built(&read_all(&arguments.against)?, &settings)?;
        let is_same = |a: &Built, b: &Built| a.resource.metadata.name == b.resource.metadata.name;
        operator::render::built(&input, &settings)?
            .into_iter()
            .map(|new| (old.iter().find(|old| is_same(old, &new)).cloned(), new))
            .collect()
    };
    let mut output = String::new();
    for (old, new) in &pairs {
        let metadata = &new.resource.metadata;
        output.push_str(&format!(
            "MonitoringStack {}/{}\n",
            metadata.namespace.as_deref().unwrap_or_default(),
            metadata.name.as_deref().unwrap_or_default()
        ));
        match old {
            None => output.push_str(&format!(
                "new: {} objects are created\n",
                new.desired.objects.len()
            )),
            Some(old) => {
                let difference = compare(side(old), side(new));
                output.push_str(&difference.to_string());
            }
        }
    }
    print(&output)
}

fn side(built: &Built) -> Side<'_> {
    Side {
        stack: &built.stack,
        desired: &built.desired,
    }
}

/// Builds the stacks of `input` and those of the same names in the cluster, both with what the
/// cluster holds for them.
async fn with_cluster(
    input: &str,
    settings: &Settings,
) -> anyhow::Result<Vec<(Option<Built>, Built)>> {
    let client = kube::Client::try_default()
        .await
        .context("cannot reach a cluster: set KUBECONFIG, or name files with --against")?;
    let mut pairs = Vec::new();
    for wanted in operator::render::stacks(input)? {
        let namespace = wanted.metadata.namespace.clone().unwrap_or_default();
        let name = wanted.metadata.name.clone().unwrap_or_default();
        let api: kube::Api<crds::MonitoringStack> =
            kube::Api::namespaced(client.clone(), &namespace);
        let present = api.get_opt(&name).await.context("cannot read the stack")?;
        let old = match &present {
            Some(present) => Some(built_of(&client, present, settings).await?),
            None => None,
        };
        let mut wanted = wanted;
        if let Some(present) = &present {
            // Owner references carry it.
            wanted.metadata.uid.clone_from(&present.metadata.uid);
        }
        pairs.push((old, built_of(&client, &wanted, settings).await?));
    }
    anyhow::ensure!(!pairs.is_empty(), "no MonitoringStack in the input");
    Ok(pairs)
}

async fn built_of(
    client: &kube::Client,
    resource: &crds::MonitoringStack,
    settings: &Settings,
) -> anyhow::Result<Built> {
    let references = operator::inspect::references(client, resource, settings)
        .await
        .context("cannot read what the stack refers to")?;
    operator::render::build_one(resource, &references, settings).map_err(anyhow::Error::from)
}

fn serve(arguments: Run) -> anyhow::Result<()> {
    init_logs(&arguments.log_level, arguments.log_format).map_err(anyhow::Error::msg)?;
    rustls::crypto::ring::default_provider()
        .install_default()
        .map_err(|_| anyhow::anyhow!("a TLS provider is installed already"))?;
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    runtime.block_on(async {
        let client = kube::Client::try_default()
            .await
            .context("cannot reach a cluster: run in a pod or set KUBECONFIG")?;
        let mut settings = Settings::from(arguments.administration);
        settings.operator_namespace.clone_from(&arguments.namespace);
        if settings.cluster_stacks.is_empty() {
            settings.cluster_stacks.insert(arguments.namespace.clone());
        }
        let config = Config {
            settings,
            namespaces: arguments
                .namespaces
                .into_iter()
                .filter(|name| !name.is_empty())
                .collect(),
            namespace: arguments.namespace,
            // A restarted container has its predecessor's name but not its lease.
            identity: format!("{}-{:08x}", arguments.pod_name, rand::random::<u32>()),
            listen: arguments.http_address,
            install_coreos_crds: arguments.install_coreos_crds,
        };
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            identity = config.identity,
            namespaces = ?config.namespaces,
            cluster_stacks = ?config.settings.cluster_stacks,
            "starting"
        );
        let shutdown = CancellationToken::new();
        let signals = tokio::spawn(stop_on_signal(shutdown.clone()));
        let result =
            operator::run::run(client, config, Arc::new(Metrics::default()), shutdown).await;
        signals.abort();
        result.context("the operator ended")
    })
}

async fn stop_on_signal(shutdown: CancellationToken) {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    tracing::info!("stopping");
    shutdown.cancel();
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
