//! What the cluster changes in the machine's network, and its undoing.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::control_plane::NODE_IP;
use crate::layout::{NODE_LINK, POD_BRIDGE, POD_CIDR};
use crate::netpol;
use crate::process::{run, run_with_input};

/// The cluster's own table: it gives pods the node's address on their way out.
const TABLE: &str = "hindsight-cluster";

/// Forwarding, and nftables' sight of what is bridged between pods.
const SYSCTLS: [&str; 2] = ["net/ipv4/ip_forward", "net/bridge/bridge-nf-call-iptables"];

/// A kernel setting as it was found.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Sysctl {
    name: String,
    before: String,
}

/// Reads what [`up`] will change, for the record, before it does.
pub(crate) fn settings() -> Result<Vec<Sysctl>> {
    // Built in on some kernels, where there is no module to load; the file tells.
    drop(run("modprobe", &["br_netfilter"]));
    SYSCTLS
        .iter()
        .map(|&name| {
            let path = format!("/proc/sys/{name}");
            let before = fs::read_to_string(&path).with_context(|| {
                format!("read {path}: the kernel needs br_netfilter (modprobe br_netfilter)")
            })?;
            Ok(Sysctl {
                name: name.to_owned(),
                before: before.trim().to_owned(),
            })
        })
        .collect()
}

/// There is room for one cluster on a machine: fails where another folder's has it.
pub(crate) fn require_room(dir: &Path) -> Result<()> {
    let Some(owner) = owner()? else { return Ok(()) };
    // An empty name is of a start that was killed before it could write it.
    let ours = owner.is_empty() || fs::canonicalize(dir).is_ok_and(|dir| dir == Path::new(&owner));
    ensure!(
        ours,
        "another embedded cluster is up on this machine, with its state in {owner}; \
         end it first: hindsight-cluster down --dir {owner}"
    );
    Ok(())
}

/// Makes the node's interface and rules. `dir` is written on the interface, for [`require_room`].
pub(crate) fn up(dir: &Path) -> Result<()> {
    if owner()?.is_none() {
        // A bridge without ports: an interface that every kernel with pod networking can make.
        run("ip", &["link", "add", NODE_LINK, "type", "bridge"]).context(
            "make a network interface (this needs root, or CAP_NET_ADMIN and CAP_SYS_ADMIN)",
        )?;
    }
    let alias = dir.to_string_lossy();
    run("ip", &["link", "set", NODE_LINK, "alias", &alias])?;
    run(
        "ip",
        &[
            "address",
            "replace",
            &format!("{NODE_IP}/32"),
            "dev",
            NODE_LINK,
        ],
    )?;
    run("ip", &["link", "set", NODE_LINK, "up"])?;
    for name in SYSCTLS {
        set(name, "1")?;
    }
    run("nft", &["add", "table", "ip", TABLE])?;
    run("nft", &["flush", "table", "ip", TABLE])?;
    let chain = "{ type nat hook postrouting priority srcnat; }";
    run("nft", &["add", "chain", "ip", TABLE, "postrouting", chain])?;
    let rule = format!(
        "add rule ip {TABLE} postrouting ip saddr {POD_CIDR} ip daddr != {POD_CIDR} \
         oifname != \"{POD_BRIDGE}\" masquerade"
    );
    run("nft", &rule.split_ascii_whitespace().collect::<Vec<_>>())?;
    Ok(())
}

/// Removes interfaces, rules and addresses, and sets the kernel's settings back. Repeatable.
pub(crate) fn down(before: &[Sysctl]) -> Result<()> {
    for link in [POD_BRIDGE, NODE_LINK] {
        if exists(link)? {
            run("ip", &["link", "delete", link])?;
        }
    }
    let tables = run("nft", &["list", "tables"])?;
    for table in [
        format!("ip {TABLE}"),
        format!("inet {}", netpol::TABLE),
        "ip kube-proxy".to_owned(),
        "ip6 kube-proxy".to_owned(),
    ] {
        if tables
            .lines()
            .any(|line| line.trim() == format!("table {table}"))
        {
            let mut delete = vec!["delete", "table"];
            delete.extend(table.split(' '));
            run("nft", &delete)?;
        }
    }
    remove_port_mappings()?;
    for setting in before {
        set(&setting.name, &setting.before)?;
    }
    Ok(())
}

/// The state folder that the node's interface names.
pub(crate) fn owner() -> Result<Option<String>> {
    let path = format!("/sys/class/net/{NODE_LINK}/ifalias");
    match fs::read_to_string(&path) {
        Ok(alias) => Ok(Some(alias.trim().to_owned())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("read {path}")),
    }
}

fn exists(link: &str) -> Result<bool> {
    Ok(Path::new("/sys/class/net").join(link).try_exists()?)
}

fn set(name: &str, value: &str) -> Result<()> {
    let path = format!("/proc/sys/{name}");
    if fs::read_to_string(&path).is_ok_and(|now| now.trim() == value) {
        return Ok(());
    }
    fs::write(&path, value).with_context(|| format!("set {path} to {value}"))
}

/// The portmap plugin's chains, which it leaves behind once a pod has used a host port.
fn remove_port_mappings() -> Result<()> {
    let rules = run("iptables-save", &["-t", "nat"])?;
    let deletions = port_mapping_deletions(&rules);
    if !deletions.is_empty() {
        // By way of a script, for a rule may carry a quoted comment.
        let script = format!("*nat\n{}\nCOMMIT\n", deletions.join("\n"));
        run_with_input("iptables-restore", &["--noflush"], &script)?;
    }
    Ok(())
}

/// What to ask of iptables: jumps first, then the emptied chains, for a used chain cannot be deleted.
fn port_mapping_deletions(rules: &str) -> Vec<String> {
    let ours = |chain: &str| chain.starts_with("CNI-HOSTPORT-") || chain.starts_with("CNI-DN-");
    let chains: Vec<&str> = rules
        .lines()
        .filter_map(|line| line.strip_prefix(':')?.split(' ').next())
        .filter(|chain| ours(chain))
        .collect();
    let jumps = rules.lines().filter_map(|line| {
        let rest = line.strip_prefix("-A ")?;
        let from = rest.split(' ').next()?;
        let to = rest.rsplit_once("-j ")?.1.split(' ').next()?;
        (ours(to) && !ours(from)).then(|| format!("-D {rest}"))
    });
    let flushes = chains.iter().map(|chain| format!("-F {chain}"));
    let deletions = chains.iter().map(|chain| format!("-X {chain}"));
    jumps.chain(flushes).chain(deletions).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_mappings_are_undone_jumps_first_and_other_rules_stay() {
        let rules = "*nat\n:PREROUTING ACCEPT [0:0]\n:CNI-HOSTPORT-DNAT - [0:0]\n\
            :CNI-DN-0a1b - [0:0]\n:DOCKER - [0:0]\n\
            -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER\n\
            -A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT\n\
            -A CNI-HOSTPORT-DNAT -p tcp -j CNI-DN-0a1b\nCOMMIT\n";
        assert_eq!(
            port_mapping_deletions(rules),
            [
                "-D PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT",
                "-F CNI-HOSTPORT-DNAT",
                "-F CNI-DN-0a1b",
                "-X CNI-HOSTPORT-DNAT",
                "-X CNI-DN-0a1b",
            ]
        );
        assert_eq!(
            port_mapping_deletions("*nat\n:DOCKER - [0:0]\nCOMMIT\n"),
            [""; 0]
        );
    }
}
