//! Rule groups of replicas as one.

use std::cmp::Ordering;

use model::{Labels, Matcher};
use prost_types::Timestamp;
use storeapi::StoreError;
use storeapi::info::from_wire_labels;
use storeapi::proto::thanos as pb;
use storeapi::proto::thanos::rule::Result as Kind;

use super::strip;

/// Joins groups of one file and name, removes replica labels from their rules, and keeps of equal
/// rules one: a firing alert before a pending one, else the one evaluated last.
pub(super) fn join(
    mut groups: Vec<pb::RuleGroup>,
    replica_labels: &[String],
) -> Vec<pb::RuleGroup> {
    groups.sort_by(|a, b| (&a.file, &a.name).cmp(&(&b.file, &b.name)));
    let mut joined: Vec<pb::RuleGroup> = Vec::new();
    for mut group in groups {
        match joined
            .last_mut()
            .filter(|last| last.file == group.file && last.name == group.name)
        {
            Some(last) => last.rules.append(&mut group.rules),
            None => joined.push(group),
        }
    }
    for group in &mut joined {
        for rule in &mut group.rules {
            strip_rule(rule, replica_labels);
        }
        group
            .rules
            .sort_by(|a, b| key(a).cmp(&key(b)).then_with(|| prefer(a, b)));
        group.rules.dedup_by(|later, kept| key(later) == key(kept));
    }
    joined
}

/// Keeps the rules that a request wants, and the groups that have any. Peers choose too, but not all
/// of them know every condition.
pub(super) fn choose(
    groups: &mut Vec<pb::RuleGroup>,
    request: &pb::RulesRequest,
) -> Result<(), StoreError> {
    use pb::rules_request::Type;
    let selectors = request.matcher_string.iter().map(|text| {
        promql::parse_metric_selector(text)
            .map_err(|error| StoreError::invalid(format!("selector {text}: {error}")))
    });
    let selectors: Vec<Vec<Matcher>> = selectors.collect::<Result<_, _>>()?;
    let listed = |list: &[String], name: &str| list.is_empty() || list.iter().any(|n| n == name);
    let wanted = Type::try_from(request.r#type).unwrap_or(Type::All);
    groups.retain(|group| {
        listed(&request.rule_group, &group.name) && listed(&request.file, &group.file)
    });
    for group in &mut *groups {
        group.rules.retain(|rule| {
            let (kind, name, labels) = match &rule.result {
                Some(Kind::Alert(alert)) => (Type::Alert, &alert.name, &alert.labels),
                Some(Kind::Recording(rule)) => (Type::Record, &rule.name, &rule.labels),
                None => return false,
            };
            let labels = labels.as_ref().map(|set| from_wire_labels(&set.labels));
            let labels = labels.unwrap_or_else(Labels::empty);
            (wanted == Type::All || wanted == kind)
                && listed(&request.rule_name, name)
                && (selectors.is_empty()
                    || selectors
                        .iter()
                        .any(|set| set.iter().all(|matcher| matcher.matches_labels(&labels))))
        });
    }
    groups.retain(|group| !group.rules.is_empty());
    Ok(())
}

fn strip_rule(rule: &mut pb::Rule, replica_labels: &[String]) {
    match &mut rule.result {
        Some(Kind::Recording(recording)) => strip(&mut recording.labels, replica_labels),
        Some(Kind::Alert(alert)) => {
            strip(&mut alert.labels, replica_labels);
            for instance in &mut alert.alerts {
                strip(&mut instance.labels, replica_labels);
            }
        }
        None => {}
    }
}

type Key<'a> = (u8, &'a str, Vec<(&'a str, &'a str)>, &'a str, u64, u64);

/// What makes two rules the same one.
fn key(rule: &pb::Rule) -> Key<'_> {
    match &rule.result {
        Some(Kind::Alert(alert)) => (
            0,
            &alert.name,
            pairs(&alert.labels),
            &alert.query,
            alert.duration_seconds.to_bits(),
            alert.keep_firing_for_seconds.to_bits(),
        ),
        Some(Kind::Recording(rule)) => (1, &rule.name, pairs(&rule.labels), &rule.query, 0, 0),
        None => (2, "", Vec::new(), "", 0, 0),
    }
}

fn pairs(labels: &Option<pb::LabelSet>) -> Vec<(&str, &str)> {
    let labels = labels.iter().flat_map(|set| &set.labels);
    labels
        .map(|label| (label.name.as_str(), label.value.as_str()))
        .collect()
}

/// Orders equal rules, the one to keep first.
fn prefer(a: &pb::Rule, b: &pb::Rule) -> Ordering {
    let age = |at: &Option<Timestamp>| at.as_ref().map_or((0, 0), |at| (at.seconds, at.nanos));
    match (&a.result, &b.result) {
        (Some(Kind::Alert(a)), Some(Kind::Alert(b))) => b
            .state
            .cmp(&a.state)
            .then_with(|| age(&b.last_evaluation).cmp(&age(&a.last_evaluation))),
        (Some(Kind::Recording(a)), Some(Kind::Recording(b))) => {
            age(&b.last_evaluation).cmp(&age(&a.last_evaluation))
        }
        _ => Ordering::Equal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Option<pb::LabelSet> {
        let labels = pairs.iter().map(|(name, value)| pb::Label {
            name: (*name).into(),
            value: (*value).into(),
        });
        Some(pb::LabelSet {
            labels: labels.collect(),
        })
    }

    fn alert(replica: &str, state: pb::AlertState) -> pb::Rule {
        pb::Rule {
            result: Some(Kind::Alert(pb::Alert {
                state: state.into(),
                name: "Down".into(),
                query: "up == 0".into(),
                labels: labels(&[("replica", replica), ("severity", "page")]),
                ..pb::Alert::default()
            })),
        }
    }

    fn group(rules: Vec<pb::Rule>) -> pb::RuleGroup {
        pb::RuleGroup {
            name: "g".into(),
            file: "f".into(),
            rules,
            ..pb::RuleGroup::default()
        }
    }

    #[test]
    fn a_rule_of_two_replicas_is_one_and_firing_wins() {
        let groups = vec![
            group(vec![alert("a", pb::AlertState::Pending)]),
            group(vec![alert("b", pb::AlertState::Firing)]),
        ];
        let joined = join(groups.clone(), &["replica".into()]);
        let expected = pb::Rule {
            result: alert("", pb::AlertState::Firing)
                .result
                .map(|kind| match kind {
                    Kind::Alert(alert) => Kind::Alert(pb::Alert {
                        labels: labels(&[("severity", "page")]),
                        ..alert
                    }),
                    other => other,
                }),
        };
        assert_eq!(joined, [group(vec![expected])]);
        assert_eq!(join(groups, &[])[0].rules.len(), 2);
    }
}
