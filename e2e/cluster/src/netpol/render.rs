//! Chains as the text that `nft -f` reads.

use std::fmt::Write as _;

use super::{Allow, Chain, Direction, Peers, Ports, TABLE};

pub(super) fn script(chains: &[Chain]) -> String {
    let mut text = String::new();
    // Added first so that the deletion cannot fail; the whole file is one transaction.
    line(&mut text, 0, &format!("add table inet {TABLE}"));
    line(&mut text, 0, &format!("delete table inet {TABLE}"));
    line(&mut text, 0, &format!("table inet {TABLE} {{"));
    for chain in chains {
        pod_chain(&mut text, chain);
    }
    for direction in [Direction::Ingress, Direction::Egress] {
        line(&mut text, 1, &format!("map {} {{", map(direction)));
        line(&mut text, 2, "type ipv4_addr : verdict");
        let elements: Vec<_> = chains
            .iter()
            .filter(|chain| chain.direction == direction)
            .map(|chain| format!("{} : jump {}", chain.pod, chain_name(chain)))
            .collect();
        if !elements.is_empty() {
            line(
                &mut text,
                2,
                &format!("elements = {{ {} }}", elements.join(", ")),
            );
        }
        line(&mut text, 1, "}");
    }
    let (to, from) = (map(Direction::Ingress), map(Direction::Egress));
    for (hook, rules) in [
        (
            "forward",
            vec![
                format!("ip saddr vmap @{from}"),
                format!("ip daddr vmap @{to}"),
            ],
        ),
        ("input", vec![format!("ip saddr vmap @{from}")]),
    ] {
        line(&mut text, 1, &format!("chain {hook} {{"));
        line(
            &mut text,
            2,
            &format!("type filter hook {hook} priority filter; policy accept;"),
        );
        line(&mut text, 2, "ct state established,related accept");
        for rule in rules {
            line(&mut text, 2, &rule);
        }
        line(&mut text, 1, "}");
    }
    line(&mut text, 0, "}");
    text
}

fn pod_chain(text: &mut String, chain: &Chain) {
    let address = match chain.direction {
        Direction::Ingress => "saddr",
        Direction::Egress => "daddr",
    };
    line(text, 1, &format!("chain {} {{", chain_name(chain)));
    line(text, 2, &format!("# {}", chain.name));
    // No policy keeps a pod from itself, by way of its Service.
    line(text, 2, &format!("ip {address} {} return", chain.pod));
    for allow in &chain.allowed {
        line(text, 2, &format!("{}return", condition(address, allow)));
    }
    line(text, 2, "counter drop");
    line(text, 1, "}");
}

/// The rule's matches, each with a space behind it.
fn condition(address: &str, allow: &Allow) -> String {
    let mut text = String::new();
    match &allow.peers {
        Peers::All => {}
        Peers::Pods(pods) => {
            let pods: Vec<_> = pods.iter().map(ToString::to_string).collect();
            text.push_str(&format!("ip {address} {{ {} }} ", pods.join(", ")));
        }
        Peers::Block { cidr, except } => {
            text.push_str(&format!("ip {address} {cidr} "));
            // One match each: members of a set may not overlap, exceptions may.
            for except in except {
                text.push_str(&format!("ip {address} != {except} "));
            }
        }
    }
    match &allow.ports {
        Ports::All => {}
        Ports::Of {
            protocol,
            ranges: None,
        } => {
            text.push_str(&format!("meta l4proto {protocol} "));
        }
        Ports::Of {
            protocol,
            ranges: Some(ranges),
        } => {
            let ranges: Vec<_> = ranges
                .iter()
                .map(|&(first, last)| match first == last {
                    true => first.to_string(),
                    false => format!("{first}-{last}"),
                })
                .collect();
            text.push_str(&format!("{protocol} dport {{ {} }} ", ranges.join(", ")));
        }
    }
    text
}

fn map(direction: Direction) -> &'static str {
    match direction {
        Direction::Ingress => "to-pod",
        Direction::Egress => "from-pod",
    }
}

fn chain_name(chain: &Chain) -> String {
    format!(
        "{}-{}",
        map(chain.direction),
        chain.pod.to_string().replace('.', "-")
    )
}

fn line(text: &mut String, depth: usize, content: &str) {
    // Writing to a string does not fail.
    let _ = writeln!(text, "{:1$}{content}", "", depth * 2);
}
