//! The embedded cluster of a scenario, driven through the programs that a person would use.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context as _, Result, ensure};
use cluster::Cluster;

/// Namespace of the operator.
pub const OPERATOR_NAMESPACE: &str = "hindsight-system";
/// Image of the data plane, as the operator's default names it.
pub const HINDSIGHT_IMAGE: &str = "ghcr.io/hindsight-dev/hindsight:0.1.0";
const OPERATOR_IMAGE: &str = "ghcr.io/hindsight-dev/hindsight-operator:0.1.0";
/// uid that the images run as where a pod says nothing else.
const IMAGE_UID: &str = "65534";
/// Links that the cluster makes on the machine.
const LINKS: [&str; 2] = ["hs-node0", "hs-br0"];

/// The programs under test.
#[derive(Clone, Debug)]
pub struct Programs {
    pub hindsight: PathBuf,
    pub operator: PathBuf,
    pub cluster: PathBuf,
}

impl Programs {
    /// The programs that the environment names.
    ///
    /// # Errors
    /// Which variable is missing, or names no file.
    pub fn from_environment() -> Result<Self> {
        let program = |variable: &str| {
            let path = std::env::var_os(variable)
                .map(PathBuf::from)
                .with_context(|| {
                    format!("{variable} is not set; tests/run.sh builds the programs and sets it")
                })?;
            ensure!(path.is_file(), "{variable}={} is no file", path.display());
            Ok(path)
        };
        Ok(Self {
            hindsight: program("HINDSIGHT_BIN")?,
            operator: program("HINDSIGHT_OPERATOR_BIN")?,
            cluster: program("HINDSIGHT_CLUSTER_BIN")?,
        })
    }
}

/// Why this machine cannot hold a cluster now, where that is so.
#[must_use]
pub fn obstacle() -> Option<String> {
    use std::os::unix::fs::MetadataExt as _;
    if !std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0) {
        return Some("the embedded cluster needs root".to_owned());
    }
    let dir = dir().ok()?;
    let own = Cluster::open(&dir).ok().flatten().is_some();
    (link_exists(LINKS[0]) && !own)
        .then(|| "another embedded cluster is up; take it down with make demo-down".to_owned())
}

fn link_exists(name: &str) -> bool {
    Path::new("/sys/class/net").join(name).is_dir()
}

fn dir() -> Result<PathBuf> {
    Ok(cluster::cache_dir()?.join("e2e-cluster"))
}

/// A cluster that is taken down with this value, however its test ends.
#[derive(Debug)]
pub struct Machine {
    programs: Programs,
    dir: PathBuf,
    cluster: Cluster,
}

impl Machine {
    /// A fresh cluster with the images of `programs`, of Prometheus and of the S3 server in it.
    ///
    /// # Errors
    /// Where the cluster does not come up; its own message says why.
    pub fn start(programs: Programs) -> Result<Self> {
        let dir = dir()?;
        let run = |arguments: &[&OsStr]| {
            let mut command = Command::new(&programs.cluster);
            succeed(command.args(arguments).arg("--dir").arg(&dir))
        };
        // What an earlier run that was killed has left.
        run(&["down".as_ref()])?;
        run(&["up".as_ref()])?;
        let cluster = Cluster::open(&dir)?.context("the cluster has no record")?;
        let machine = Self {
            programs: programs.clone(),
            dir: dir.clone(),
            cluster,
        };
        for known in ["prometheus", "versitygw"] {
            run(&["load-image", "--known", known].map(OsStr::new))?;
        }
        for (name, program, path) in [
            (HINDSIGHT_IMAGE, &programs.hindsight, "/bin/hindsight"),
            (
                OPERATOR_IMAGE,
                &programs.operator,
                "/bin/hindsight-operator",
            ),
        ] {
            let mut file = program.clone().into_os_string();
            file.push(":");
            file.push(path);
            let arguments = ["load-image", "--uid", IMAGE_UID, "--name", name, "--file"];
            let mut arguments: Vec<&OsStr> = arguments.iter().map(OsStr::new).collect();
            arguments.push(&file);
            run(&arguments)?;
        }
        Ok(machine)
    }

    /// A new client with the administrator's rights.
    ///
    /// # Errors
    /// As [`Cluster::client`].
    pub async fn client(&self) -> Result<kube::Client> {
        self.cluster.client().await
    }

    /// Runs kubectl and returns what it prints.
    ///
    /// # Errors
    /// What it says where it fails.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(self.cluster.kubectl());
        succeed(
            command
                .arg("--kubeconfig")
                .arg(self.cluster.kubeconfig())
                .args(arguments),
        )
    }

    /// Folder of a file of the project.
    fn project(path: &str) -> String {
        format!("{}/../{path}", env!("CARGO_MANIFEST_DIR"))
    }

    /// Applies a manifest of the project.
    ///
    /// # Errors
    /// As [`Machine::kubectl`].
    pub fn apply(&self, path: &str) -> Result<()> {
        self.kubectl(&["apply", "--server-side", "-f", &Self::project(path)])?;
        Ok(())
    }

    /// Applies a kustomization of the project.
    ///
    /// # Errors
    /// As [`Machine::kubectl`].
    pub fn apply_kustomization(&self, path: &str) -> Result<()> {
        self.kubectl(&["apply", "--server-side", "-k", &Self::project(path)])?;
        Ok(())
    }

    /// Folder that holds the cluster's volumes.
    #[must_use]
    pub fn volumes(&self) -> PathBuf {
        self.dir.join("volumes")
    }

    /// What a person would look at after a failure.
    #[must_use]
    pub fn explain(&self, namespace: &str) -> String {
        let mut text = String::new();
        let pods = self
            .kubectl(&["-n", namespace, "get", "pods", "-o", "name"])
            .unwrap_or_default();
        let mut views: Vec<Vec<&str>> = vec![
            vec!["get", "pods", "-A", "-o", "wide"],
            vec!["-n", namespace, "get", "mstack", "-o", "yaml"],
            vec!["-n", namespace, "get", "events"],
            vec![
                "-n",
                OPERATOR_NAMESPACE,
                "logs",
                "deploy/hindsight-operator",
                "--tail=40",
            ],
        ];
        views.extend(pods.lines().map(|pod| {
            vec![
                "-n",
                namespace,
                "logs",
                pod,
                "--all-containers",
                "--prefix",
                "--tail=25",
            ]
        }));
        for view in views {
            let shown = self
                .kubectl(&view)
                .unwrap_or_else(|error| format!("{error:#}"));
            text.push_str(&format!("\n$ kubectl {}\n{shown}", view.join(" ")));
        }
        text
    }

    /// Takes the cluster down.
    ///
    /// # Errors
    /// What is left of it.
    pub fn stop(self) -> Result<()> {
        self.down()?;
        nothing_is_left(&self.dir)
    }

    fn down(&self) -> Result<()> {
        let mut command = Command::new(&self.programs.cluster);
        succeed(command.arg("down").arg("--dir").arg(&self.dir))?;
        Ok(())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Repeatable; after `stop` there is nothing left to do.
        drop(self.down());
    }
}

fn nothing_is_left(dir: &Path) -> Result<()> {
    ensure!(!dir.is_dir(), "{} is left", dir.display());
    let dir = dir
        .to_str()
        .context("the state folder's name is not UTF-8")?;
    let mounts = std::fs::read_to_string("/proc/self/mountinfo")?;
    ensure!(!mounts.contains(dir), "mounts are left:\n{mounts}");
    for link in LINKS {
        ensure!(!link_exists(link), "link {link} is left");
    }
    for process in std::fs::read_dir("/proc")?.flatten() {
        let command = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command);
        ensure!(!command.contains(dir), "a process is left: {command}");
    }
    Ok(())
}

fn succeed(command: &mut Command) -> Result<String> {
    let Output {
        status,
        stdout,
        stderr,
    } = command
        .output()
        .with_context(|| format!("run {}", command.get_program().display()))?;
    ensure!(
        status.success(),
        "{} {:?} failed: {}",
        command.get_program().display(),
        command.get_args().collect::<Vec<_>>(),
        String::from_utf8_lossy(&stderr)
    );
    Ok(String::from_utf8_lossy(&stdout).into_owned())
}
