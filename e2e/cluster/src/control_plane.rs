//! The command lines of etcd, the API server and the controller-manager, and a bare control plane made
//! of them that a test owns.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use kube::config::{KubeConfigOptions, Kubeconfig};

use crate::parts;
use crate::pki::{self, Authority, Pair, Subject};
use crate::process::{Guarded, Invocation};

/// Addresses of Services.
pub const SERVICE_CIDR: &str = "10.96.0.0/12";

/// The address of the `kubernetes` Service, the first of [`SERVICE_CIDR`].
const KUBERNETES_SERVICE_IP: &str = "10.96.0.1";

/// The API server advertises an address; a bare control plane has no node that would dial it, and
/// loopback is refused there.
pub(crate) const NODE_IP: &str = "172.31.255.1";

/// How long the bare control plane may take; about four seconds on an idle machine.
const START_PATIENCE: Duration = Duration::from_secs(120);

/// What a control plane listens on for nothing but to say that its address is taken.
const CLAIM_PORT: u16 = 6442;

const CLAIM_TRIES: u32 = 4096;

/// How often the API server is asked whether it is ready.
const READY_POLL: Duration = Duration::from_millis(100);

/// Where the control plane listens.
#[derive(Clone, Debug)]
pub(crate) struct Endpoints {
    pub(crate) etcd_ip: String,
    pub(crate) etcd_client_port: u16,
    pub(crate) etcd_peer_port: u16,
    pub(crate) api_ip: String,
    pub(crate) api_port: u16,
    pub(crate) controller_manager_port: u16,
}

impl Endpoints {
    pub(crate) fn api_server(&self) -> String {
        format!("https://{}:{}", self.api_ip, self.api_port)
    }
}

/// What the control plane's processes present and verify.
#[derive(Debug)]
pub(crate) struct Material {
    pub(crate) authority: Authority,
    etcd_authority: Authority,
    front_proxy_authority: Authority,
    etcd_server: Pair,
    etcd_client: Pair,
    api_server: Pair,
    front_proxy_client: Pair,
    kubelet_client: Pair,
    service_accounts: Pair,
    pub(crate) admin: Pair,
}

impl Material {
    /// Opens or makes everything below `dir`.
    pub(crate) fn open(dir: &Path, at: &Endpoints) -> Result<Self> {
        let client = |name, organisation| Subject {
            name,
            organisation,
            names: &[],
        };
        let authority = Authority::open(dir, "ca")?;
        // Authorities of their own: a client of the API is thereby none of etcd's, and no client can
        // pass itself off as the aggregator.
        let etcd_authority = Authority::open(dir, "etcd-ca")?;
        let front_proxy_authority = Authority::open(dir, "front-proxy-ca")?;
        let api_names = [
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            "kubernetes.default.svc.cluster.local",
            "localhost",
            "127.0.0.1",
            KUBERNETES_SERVICE_IP,
            &at.api_ip,
        ];
        // Named by the address they are for: a folder may be continued at another one.
        let [etcd_file, api_file] = [("etcd", &at.etcd_ip), ("apiserver", &at.api_ip)]
            .map(|(name, ip)| format!("{name}-{ip}"));
        Ok(Self {
            etcd_server: etcd_authority.leaf(
                &etcd_file,
                Subject {
                    name: "etcd",
                    organisation: None,
                    names: &[&at.etcd_ip, "localhost"],
                },
            )?,
            etcd_client: etcd_authority.leaf("etcd-client", client("kube-apiserver", None))?,
            api_server: authority.leaf(
                &api_file,
                Subject {
                    name: "kube-apiserver",
                    organisation: None,
                    names: &api_names,
                },
            )?,
            front_proxy_client: front_proxy_authority
                .leaf("front-proxy-client", client("front-proxy-client", None))?,
            kubelet_client: authority.leaf(
                "apiserver-kubelet",
                client("kube-apiserver-kubelet", Some("system:masters")),
            )?,
            admin: authority.leaf("admin", client("hindsight-admin", Some("system:masters")))?,
            service_accounts: pki::signing_key(dir)?,
            authority,
            etcd_authority,
            front_proxy_authority,
        })
    }
}

pub(crate) fn etcd(data: &Path, at: &Endpoints, material: &Material) -> Result<Invocation> {
    let program = parts::find("etcd").context("etcd is not installed (Debian: etcd-server)")?;
    let client = format!("https://{}:{}", at.etcd_ip, at.etcd_client_port);
    let peer = format!("http://{}:{}", at.etcd_ip, at.etcd_peer_port);
    Ok(Invocation::new(program)
        .flag("name", "hindsight")
        .file("data-dir", data)
        .flag("listen-client-urls", &client)
        .flag("advertise-client-urls", &client)
        .flag("listen-peer-urls", &peer)
        .flag("initial-advertise-peer-urls", &peer)
        .flag("initial-cluster", format!("hindsight={peer}"))
        .file("cert-file", &material.etcd_server.cert)
        .file("key-file", &material.etcd_server.key)
        .file("trusted-ca-file", &material.etcd_authority.pair.cert)
        .flag("client-cert-auth", true)
        .flag("auto-compaction-retention", "1h")
        .flag("log-level", "warn"))
}

pub(crate) fn api_server(bin: &Path, at: &Endpoints, material: &Material) -> Invocation {
    Invocation::new(bin.join("kube-apiserver"))
        .flag(
            "etcd-servers",
            format!("https://{}:{}", at.etcd_ip, at.etcd_client_port),
        )
        .file("etcd-cafile", &material.etcd_authority.pair.cert)
        .file("etcd-certfile", &material.etcd_client.cert)
        .file("etcd-keyfile", &material.etcd_client.key)
        .flag("bind-address", &at.api_ip)
        .flag("secure-port", at.api_port)
        .flag("advertise-address", NODE_IP)
        .flag("service-cluster-ip-range", SERVICE_CIDR)
        .file("tls-cert-file", &material.api_server.cert)
        .file("tls-private-key-file", &material.api_server.key)
        .file("client-ca-file", &material.authority.pair.cert)
        .flag("authorization-mode", "Node,RBAC")
        .flag("enable-admission-plugins", "NodeRestriction")
        .flag(
            "service-account-issuer",
            "https://kubernetes.default.svc.cluster.local",
        )
        .file("service-account-key-file", &material.service_accounts.cert)
        .file(
            "service-account-signing-key-file",
            &material.service_accounts.key,
        )
        .file("kubelet-client-certificate", &material.kubelet_client.cert)
        .file("kubelet-client-key", &material.kubelet_client.key)
        .file(
            "kubelet-certificate-authority",
            &material.authority.pair.cert,
        )
        // The node's name stands in no DNS; logs and exec dial its address.
        .flag("kubelet-preferred-address-types", "InternalIP")
        .flag("enable-aggregator-routing", true)
        .file(
            "requestheader-client-ca-file",
            &material.front_proxy_authority.pair.cert,
        )
        .flag("requestheader-allowed-names", "front-proxy-client")
        .flag("requestheader-username-headers", "X-Remote-User")
        .flag("requestheader-group-headers", "X-Remote-Group")
        .flag("requestheader-extra-headers-prefix", "X-Remote-Extra-")
        .file("proxy-client-cert-file", &material.front_proxy_client.cert)
        .file("proxy-client-key-file", &material.front_proxy_client.key)
}

pub(crate) fn controller_manager(
    bin: &Path,
    kubeconfig: &Path,
    at: &Endpoints,
    material: &Material,
) -> Invocation {
    Invocation::new(bin.join("kube-controller-manager"))
        .file("kubeconfig", kubeconfig)
        .file("authentication-kubeconfig", kubeconfig)
        .file("authorization-kubeconfig", kubeconfig)
        .flag("bind-address", &at.api_ip)
        .flag("secure-port", at.controller_manager_port)
        .flag("use-service-account-credentials", true)
        .file(
            "service-account-private-key-file",
            &material.service_accounts.key,
        )
        .file("root-ca-file", &material.authority.pair.cert)
        .file("cluster-signing-cert-file", &material.authority.pair.cert)
        .file("cluster-signing-key-file", &material.authority.pair.key)
        // One of each: an election would only delay the start.
        .flag("leader-elect", false)
}

/// The kubeconfig of a component of the control plane, as its own user.
pub(crate) fn component_kubeconfig(
    dir: &Path,
    material: &Material,
    at: &Endpoints,
    component: &str,
    user: &str,
    organisation: Option<&str>,
) -> Result<PathBuf> {
    let leaf = material.authority.leaf(
        component,
        Subject {
            name: user,
            organisation,
            names: &[],
        },
    )?;
    let path = dir.join(format!("{component}.kubeconfig"));
    material
        .authority
        .kubeconfig(&path, &at.api_server(), "hindsight", &leaf)?;
    Ok(path)
}

/// A client as a kubeconfig file says.
///
/// # Errors
/// When the file cannot be read or names no usable cluster.
pub async fn client(kubeconfig: &Path) -> Result<kube::Client> {
    // A second installation is refused; whoever was first chose ring too, no other provider is built.
    drop(rustls::crypto::ring::default_provider().install_default());
    let file = Kubeconfig::read_from(kubeconfig)
        .with_context(|| format!("read {}", kubeconfig.display()))?;
    let options = KubeConfigOptions::default();
    let config = kube::Config::from_custom_kubeconfig(file, &options)
        .await
        .with_context(|| format!("use {}", kubeconfig.display()))?;
    Ok(kube::Client::try_from(config)?)
}

/// etcd, kube-apiserver and kube-controller-manager of a test: real API, garbage collection,
/// StatefulSets and Deployments, but no node, so that no pod ever runs.
///
/// They listen on a loopback address of their own and end with this value, and also with the process that holds it.
#[derive(Debug)]
pub struct ControlPlane {
    kubeconfig: PathBuf,
    bin: PathBuf,
    // Dropped in this order: clients before what they talk to.
    _controller_manager: Guarded,
    _api_server: Guarded,
    _etcd: Guarded,
    _claim: Claim,
}

impl ControlPlane {
    /// Starts one with its state in `dir` (made where missing; one control plane per folder) and waits
    /// until the API answers and the controllers have made the default ServiceAccount.
    ///
    /// # Errors
    /// When a program is missing or does not become ready; the message shows the end of its log.
    pub async fn start(dir: impl AsRef<Path>) -> Result<Self> {
        let dir = dir.as_ref();
        let started = Instant::now();
        parts::require(&parts::CONTROL_PLANE_TOOLS)?;
        let [state, pki, bin, logs] = ["", "pki", "bin", "logs"].map(|name| dir.join(name));
        for folder in [&state, &pki, &bin, &logs] {
            fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
        }
        // Their first build takes minutes, beside which other tasks of the caller should go on.
        let links = bin.clone();
        tokio::task::spawn_blocking(move || parts::link_kubernetes(&links)).await??;

        let claim = Claim::take()?;
        let at = Endpoints {
            etcd_ip: claim.ip.to_string(),
            etcd_client_port: 2379,
            etcd_peer_port: 2380,
            api_ip: claim.ip.to_string(),
            api_port: 6443,
            controller_manager_port: 10257,
        };
        let material = Material::open(&pki, &at)?;
        let kubeconfig = dir.join("kubeconfig");
        material.authority.kubeconfig(
            &kubeconfig,
            &at.api_server(),
            "hindsight-test",
            &material.admin,
        )?;
        let manager = component_kubeconfig(
            &pki,
            &material,
            &at,
            "controller-manager",
            "system:kube-controller-manager",
            None,
        )?;

        let start = |name: &'static str, run: &Invocation| {
            Guarded::start(name, run, logs.join(format!("{name}.log")))
        };
        let deadline = started + START_PATIENCE;
        let client = client(&kubeconfig).await?;
        let mut etcd = start("etcd", &etcd(&dir.join("etcd"), &at, &material)?)?;
        let mut api_server = start("kube-apiserver", &api_server(&bin, &at, &material))?;
        // The controller-manager gives up where its role is not there yet.
        while !answers(&client).await {
            wait_more(&mut [&mut etcd, &mut api_server], deadline).await?;
        }
        let run = controller_manager(&bin, &manager, &at, &material);
        let mut controller_manager = start("kube-controller-manager", &run)?;
        while !controllers_act(&client).await {
            wait_more(
                &mut [&mut etcd, &mut api_server, &mut controller_manager],
                deadline,
            )
            .await?;
        }
        Ok(Self {
            kubeconfig,
            bin,
            _controller_manager: controller_manager,
            _api_server: api_server,
            _etcd: etcd,
            _claim: claim,
        })
    }

    /// A kubeconfig with the administrator's rights.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// A `kubectl` of the same release.
    #[must_use]
    pub fn kubectl(&self) -> PathBuf {
        self.bin.join("kubectl")
    }

    /// A new client with the administrator's rights.
    ///
    /// # Errors
    /// When the kubeconfig was removed meanwhile.
    pub async fn client(&self) -> Result<kube::Client> {
        client(&self.kubeconfig).await
    }
}

/// A moment's pause while a condition is not met, and the end of patience where it never is.
async fn wait_more(running: &mut [&mut Guarded], deadline: Instant) -> Result<()> {
    for process in running.iter_mut() {
        process.check()?;
    }
    if Instant::now() >= deadline {
        let logs: Vec<_> = running.iter().map(|process| process.log_tail()).collect();
        bail!(
            "no control plane after {} s\n{}",
            START_PATIENCE.as_secs(),
            logs.join("\n")
        );
    }
    tokio::time::sleep(READY_POLL).await;
    Ok(())
}

/// Whether the API server says that it is ready; the built-in roles are there by then.
pub(crate) async fn answers(client: &kube::Client) -> bool {
    let Ok(request) = http_get("/readyz") else {
        return false;
    };
    client
        .request_text(request)
        .await
        .is_ok_and(|text| text == "ok")
}

/// Whether controllers have begun: no pod is admitted without this ServiceAccount.
pub(crate) async fn controllers_act(client: &kube::Client) -> bool {
    let accounts: kube::Api<k8s_openapi::api::core::v1::ServiceAccount> =
        kube::Api::namespaced(client.clone(), "default");
    accounts
        .get_opt("default")
        .await
        .is_ok_and(|account| account.is_some())
}

fn http_get(path: &str) -> Result<http::Request<Vec<u8>>> {
    Ok(http::Request::get(path).body(Vec::new())?)
}

/// A loopback address that no other control plane uses, for as long as this lives.
///
/// Free ports of 127.0.0.1 would not do: until a component listens, seconds later, any connection on the
/// machine may get the port as its own end. Here each control plane has the usual ports to itself.
#[derive(Debug)]
struct Claim {
    ip: Ipv4Addr,
    _listener: TcpListener,
}

impl Claim {
    fn take() -> Result<Self> {
        // Processes begin at places of their own; a collision costs one more look.
        let first = std::process::id().wrapping_mul(16);
        for number in (0..CLAIM_TRIES).map(|step| first.wrapping_add(step)) {
            let [_, high, middle, low] = number.to_be_bytes();
            let ip = Ipv4Addr::new(127, 128 | (high & 0x3f), middle, low);
            match TcpListener::bind((ip, CLAIM_PORT)) {
                Ok(listener) => {
                    return Ok(Self {
                        ip,
                        _listener: listener,
                    });
                }
                Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {}
                Err(error) => return Err(error).with_context(|| format!("listen on {ip}")),
            }
        }
        bail!("{CLAIM_TRIES} loopback addresses are all in use by control planes")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_differ_while_they_live() {
        let claims: Vec<_> = (0..40)
            .map(|_| Claim::take().expect("an address"))
            .collect();
        let mut addresses: Vec<_> = claims.iter().map(|claim| claim.ip).collect();
        assert!(addresses.iter().all(Ipv4Addr::is_loopback), "{addresses:?}");
        addresses.sort_unstable();
        addresses.dedup();
        assert_eq!(addresses.len(), claims.len());
    }
}
