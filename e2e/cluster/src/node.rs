//! Configuration files and command lines of the node: containerd, CNI, kubelet, kube-proxy, scheduler.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::json;

use crate::control_plane::{Material, NODE_IP, component_kubeconfig};
use crate::image::PAUSE_IMAGE;
use crate::layout::{
    CGROUP, CNI_NETWORK, DNS_SERVICE_IP, Layout, NODE_NAME, POD_BRIDGE, POD_CIDR, endpoints,
};
use crate::pki::{Pair, Subject, write_atomic};
use crate::process::Invocation;

/// Debian's place for CNI plugins.
const CNI_PLUGINS: &str = "/usr/lib/cni";

const SCHEDULER_PORT: u16 = 10259;
const KUBE_PROXY_HEALTH_PORT: u16 = 10256;
const KUBE_PROXY_METRICS_PORT: u16 = 10249;

/// `overlay`'s number in statfs(2).
const OVERLAYFS_MAGIC: i64 = 0x794c_7630;

pub(crate) fn containerd(layout: &Layout) -> Result<Invocation> {
    let program = crate::parts::find("containerd").context("containerd is not installed")?;
    let runc = crate::parts::find("runc").context("runc is not installed")?;
    let conflist = serde_json::to_vec_pretty(&cni(&layout.dir))?;
    write_atomic(
        &layout.cni_config().join("10-hindsight.conflist"),
        &conflist,
        0o644,
    )?;
    // An overlay cannot be stacked on another one.
    let kind = nix::sys::statfs::statfs(&layout.dir)?.filesystem_type();
    let snapshotter = if kind.0 as i64 == OVERLAYFS_MAGIC {
        "native"
    } else {
        "overlayfs"
    };
    let config = layout.config().join("containerd.toml");
    let text = containerd_config(&layout.dir, &runc, snapshotter);
    write_atomic(&config, text.as_bytes(), 0o644)?;
    Ok(Invocation::new(program)
        .arg("--config")
        .arg(config.display().to_string()))
}

fn containerd_config(dir: &Path, runc: &Path, snapshotter: &str) -> String {
    let (dir, runc) = (dir.display(), runc.display());
    format!(
        r#"version = 2
root = "{dir}/containerd/root"
state = "{dir}/containerd/state"
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
  "io.containerd.internal.v1.tracing",
]

[grpc]
address = "{dir}/containerd.sock"

[debug]
address = "{dir}/containerd-debug.sock"

[plugins."io.containerd.internal.v1.opt"]
path = "{dir}/containerd/opt"

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{PAUSE_IMAGE}"
# Without CAP_SYS_RESOURCE a score below the own one is refused, and every sandbox with it.
restrict_oom_score_adj = true
# All mounts lie below the state folder, so that `down` finds them.
netns_mounts_under_state_dir = true
disable_apparmor = true

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{CNI_PLUGINS}"
conf_dir = "{dir}/config/cni"

[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "{snapshotter}"
default_runtime_name = "runc"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
BinaryName = "{runc}"
Root = "{dir}/containerd/runc"
SystemdCgroup = false
"#
    )
}

fn cni(dir: &Path) -> serde_json::Value {
    json!({
        "cniVersion": "0.4.0",
        "name": CNI_NETWORK,
        "plugins": [
            {
                "type": "bridge",
                "bridge": POD_BRIDGE,
                "isGateway": true,
                // One nftables rule of the cluster's own does it, see `network`.
                "ipMasq": false,
                "hairpinMode": true,
                "ipam": {
                    "type": "host-local",
                    "dataDir": dir.join("cni"),
                    "ranges": [[{"subnet": POD_CIDR}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": true}},
        ],
    })
}

pub(crate) fn scheduler(layout: &Layout, material: &Material) -> Result<Invocation> {
    let user = "system:kube-scheduler";
    let kubeconfig = kubeconfig(layout, material, "scheduler", user, None)?;
    Ok(Invocation::new(layout.bin().join("kube-scheduler"))
        .file("kubeconfig", &kubeconfig)
        .file("authentication-kubeconfig", &kubeconfig)
        .file("authorization-kubeconfig", &kubeconfig)
        .flag("bind-address", NODE_IP)
        .flag("secure-port", SCHEDULER_PORT)
        .flag("leader-elect", false))
}

pub(crate) fn kubelet(layout: &Layout, material: &Material) -> Result<Invocation> {
    let user = format!("system:node:{NODE_NAME}");
    let kubeconfig = kubeconfig(layout, material, "kubelet", &user, Some("system:nodes"))?;
    let serving = material.authority.leaf(
        "kubelet-serving",
        Subject {
            name: &user,
            organisation: Some("system:nodes"),
            names: &[NODE_IP, NODE_NAME, "localhost"],
        },
    )?;
    let config = layout.config().join("kubelet.json");
    let text = kubelet_config(&layout.dir, &material.authority.pair, &serving);
    write_atomic(&config, &serde_json::to_vec_pretty(&text)?, 0o644)?;
    Ok(Invocation::new(layout.bin().join("kubelet"))
        .file("config", &config)
        .file("kubeconfig", &kubeconfig)
        .file("root-dir", &layout.kubelet())
        .file("cert-dir", &layout.pki())
        .flag("hostname-override", NODE_NAME)
        .flag("node-ip", NODE_IP)
        // cAdvisor's own way to the runtime; without it there are no metrics by container.
        .file("containerd", &layout.containerd_socket())
        .flag("containerd-namespace", "k8s.io")
        .flag("node-labels", "topology.kubernetes.io/zone=local"))
}

fn kubelet_config(dir: &Path, authority: &Pair, serving: &Pair) -> serde_json::Value {
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": NODE_IP,
        "healthzBindAddress": NODE_IP,
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
            "x509": {"clientCAFile": authority.cert},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": serving.cert,
        "tlsPrivateKeyFile": serving.key,
        "containerRuntimeEndpoint": format!("unix://{}", dir.join("containerd.sock").display()),
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": format!("/{CGROUP}"),
        "failCgroupV1": false,
        "failSwapOn": false,
        "oomScoreAdj": 0,
        "clusterDNS": [DNS_SERVICE_IP],
        "clusterDomain": "cluster.local",
        "resolvConf": dir.join("config/resolv.conf"),
        "podLogsDir": dir.join("pod-logs"),
        "volumePluginDir": dir.join("kubelet/volume-plugins"),
        // kube-proxy works with nftables; nothing needs these chains.
        "makeIPTablesUtilChains": false,
        // Images came from no registry: one that is collected cannot be pulled again.
        "imageGCHighThresholdPercent": 100,
        // A developer's disk is often nearly full; only the very end of it evicts.
        "evictionHard": {
            "memory.available": "50Mi",
            "nodefs.available": "1%",
            "nodefs.inodesFree": "1%",
            "imagefs.available": "1%",
        },
        "logging": {"verbosity": 1},
    })
}

pub(crate) fn kube_proxy(layout: &Layout, material: &Material) -> Result<Invocation> {
    let kubeconfig = kubeconfig(layout, material, "kube-proxy", "system:kube-proxy", None)?;
    let config = layout.config().join("kube-proxy.json");
    let text = json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clientConnection": {"kubeconfig": kubeconfig},
        "hostnameOverride": NODE_NAME,
        "bindAddress": NODE_IP,
        "clusterCIDR": POD_CIDR,
        "detectLocalMode": "ClusterCIDR",
        "nodePortAddresses": [format!("{NODE_IP}/32")],
        "healthzBindAddress": format!("{NODE_IP}:{KUBE_PROXY_HEALTH_PORT}"),
        "metricsBindAddress": format!("{NODE_IP}:{KUBE_PROXY_METRICS_PORT}"),
        "oomScoreAdj": 0,
        // Zero leaves the machine's own settings as they are.
        "conntrack": {
            "maxPerCore": 0,
            "min": 0,
            "tcpEstablishedTimeout": "0s",
            "tcpCloseWaitTimeout": "0s",
        },
    });
    write_atomic(&config, &serde_json::to_vec_pretty(&text)?, 0o644)?;
    Ok(Invocation::new(layout.bin().join("kube-proxy")).file("config", &config))
}

fn kubeconfig(
    layout: &Layout,
    material: &Material,
    component: &str,
    user: &str,
    organisation: Option<&str>,
) -> Result<PathBuf> {
    component_kubeconfig(
        &layout.pki(),
        material,
        &endpoints(),
        component,
        user,
        organisation,
    )
}

/// Writes the resolver file that pods without cluster DNS get, CoreDNS among them; answers whether it
/// names a server. One on loopback is the machine's own stub, which from a pod is the pod itself.
pub(crate) fn resolv_conf(layout: &Layout) -> Result<bool> {
    let mut text = String::new();
    for source in ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"] {
        let Ok(source) = fs::read_to_string(source) else {
            continue;
        };
        text = reachable_servers(&source);
        if !text.is_empty() {
            break;
        }
    }
    write_atomic(&layout.config().join("resolv.conf"), text.as_bytes(), 0o644)?;
    Ok(!text.is_empty())
}

fn reachable_servers(resolv_conf: &str) -> String {
    resolv_conf
        .lines()
        .filter_map(|line| line.trim().strip_prefix("nameserver"))
        .filter_map(|server| server.trim().parse::<std::net::Ipv4Addr>().ok())
        .filter(|server| !server.is_loopback())
        .map(|server| format!("nameserver {server}\n"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stub_on_loopback_is_no_server_for_pods() {
        let text = "# stub\nnameserver 127.0.0.53\nnameserver ::1\noptions edns0\n";
        assert_eq!(reachable_servers(text), "");
        let text = "search example.test\nnameserver 192.0.2.53\n nameserver 127.0.0.1\n";
        assert_eq!(reachable_servers(text), "nameserver 192.0.2.53\n");
    }

    #[test]
    fn nothing_of_containerd_lies_outside_the_state_folder() {
        let text = containerd_config(
            Path::new("/state"),
            Path::new("/usr/sbin/runc"),
            "overlayfs",
        );
        for key in ["root", "state", "address", "path", "conf_dir", "Root"] {
            let values: Vec<_> = text
                .lines()
                .filter_map(|line| line.strip_prefix(&format!("{key} = ")))
                .collect();
            assert!(!values.is_empty(), "{key} is not set");
            assert!(
                values.iter().all(|value| value.starts_with("\"/state/")),
                "{key}: {values:?}"
            );
        }
        assert!(text.contains("restrict_oom_score_adj = true"));
        assert!(text.contains("netns_mounts_under_state_dir = true"));
    }

    #[test]
    fn kubelet_authenticates_and_never_collects_images() {
        let pair = |name: &str| Pair {
            cert: name.into(),
            key: name.into(),
        };
        let config = kubelet_config(Path::new("/state"), &pair("/ca"), &pair("/serving"));
        assert_eq!(config["authentication"]["anonymous"]["enabled"], false);
        assert_eq!(config["authorization"]["mode"], "Webhook");
        assert_eq!(config["imageGCHighThresholdPercent"], 100);
        assert_eq!(
            config["containerRuntimeEndpoint"],
            "unix:///state/containerd.sock"
        );
    }

    #[test]
    fn addresses_of_pods_are_given_out_below_the_state_folder() {
        let network = cni(Path::new("/state"));
        assert_eq!(network["name"], CNI_NETWORK);
        assert_eq!(network["plugins"][0]["bridge"], POD_BRIDGE);
        assert_eq!(network["plugins"][0]["ipam"]["dataDir"], "/state/cni");
    }
}
