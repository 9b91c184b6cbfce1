//! Which stores may hold part of an answer.

use model::{Labels, Matcher, TimeRange};

use crate::store::StoreInfo;

/// The pseudo label by which a request names stores.
const ADDRESS: &str = "__address__";

/// Returns the matchers that `external` has not answered, or `None` if it contradicts one: no series
/// under these labels can match.
#[must_use]
pub fn against_external_labels(matchers: &[Matcher], external: &Labels) -> Option<Vec<Matcher>> {
    let mut rest = Vec::with_capacity(matchers.len());
    for matcher in matchers {
        match external.get(&matcher.name) {
            None => rest.push(matcher.clone()),
            Some(value) if matcher.matches(value) => {}
            Some(_) => return None,
        }
    }
    Some(rest)
}

/// Why a store cannot hold part of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Pruned {
    #[error("it has nothing of that time")]
    Time,
    #[error("storeMatch[] leaves it out")]
    NotWanted,
    #[error("its external labels contradict the selector")]
    Labels,
    #[error("none of its TSDBs has both that time and fitting external labels")]
    Tsdbs,
}

/// Returns why a store holds no series of this range and these matchers, as far as it has said;
/// `None` where it may.
#[must_use]
pub fn pruned(
    info: &StoreInfo,
    address: &str,
    range: TimeRange,
    matchers: &[Matcher],
    store_match: &[Vec<Matcher>],
) -> Option<Pruned> {
    if !info.range.is_some_and(|covered| covered.overlaps(&range)) {
        return Some(Pruned::Time);
    }
    if !wanted(info, address, store_match) {
        return Some(Pruned::NotWanted);
    }
    if !any_set_may_match(&info.label_sets, matchers) {
        return Some(Pruned::Labels);
    }
    // Finer than the above: a time and a label set that only different TSDBs have do not add up.
    let fits = info.tsdb_infos.is_empty()
        || info.tsdb_infos.iter().any(|tsdb| {
            tsdb.range.overlaps(&range) && labels_may_match(&tsdb.labels, matchers.iter())
        });
    (!fits).then_some(Pruned::Tsdbs)
}

#[cfg(test)]
fn may_hold(
    info: &StoreInfo,
    address: &str,
    range: TimeRange,
    matchers: &[Matcher],
    store_match: &[Vec<Matcher>],
) -> bool {
    pruned(info, address, range, matchers, store_match).is_none()
}

/// A matcher counts only for a label that the set has: series may carry any other.
fn labels_may_match<'a>(labels: &Labels, mut matchers: impl Iterator<Item = &'a Matcher>) -> bool {
    matchers.all(|matcher| {
        labels
            .get(&matcher.name)
            .is_none_or(|value| matcher.matches(value))
    })
}

fn any_set_may_match(sets: &[Labels], matchers: &[Matcher]) -> bool {
    sets.is_empty()
        || sets
            .iter()
            .any(|labels| labels_may_match(labels, matchers.iter()))
}

/// Returns whether the caller wants this store asked: any of the sets, each matcher of it.
fn wanted(info: &StoreInfo, address: &str, store_match: &[Vec<Matcher>]) -> bool {
    store_match.is_empty()
        || store_match.iter().any(|set| {
            let (by_address, by_labels): (Vec<_>, Vec<_>) =
                set.iter().partition(|matcher| matcher.name == ADDRESS);
            by_address.iter().all(|matcher| matcher.matches(address))
                && (info.label_sets.is_empty()
                    || info
                        .label_sets
                        .iter()
                        .any(|labels| labels_may_match(labels, by_labels.iter().copied())))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::TsdbInfo;
    use model::MatchOp;

    fn regex(name: &str, value: &str) -> Matcher {
        Matcher::new(MatchOp::Regex, name, value).expect("valid")
    }

    fn store(sets: &[&[(&str, &str)]]) -> StoreInfo {
        StoreInfo {
            label_sets: sets
                .iter()
                .map(|set| Labels::from_pairs(set.iter().copied()))
                .collect(),
            range: Some(TimeRange::new(100, 200)),
            ..StoreInfo::default()
        }
    }

    #[test]
    fn stores_are_pruned_by_time_and_by_external_labels() {
        let eu = store(&[
            &[("cluster", "eu"), ("replica", "0")],
            &[("cluster", "eu2")],
        ]);
        let at = |start, end, matchers: &[Matcher]| {
            may_hold(&eu, "a:1", TimeRange::new(start, end), matchers, &[])
        };
        assert!(at(200, 300, &[]));
        assert!(!at(201, 300, &[]));
        assert!(!at(0, 99, &[]));
        assert!(at(
            0,
            100,
            &[Matcher::equal("cluster", "eu2"), Matcher::equal("pod", "x")]
        ));
        assert!(!at(0, 100, &[Matcher::equal("cluster", "us")]));
        assert!(!at(
            0,
            100,
            &[
                Matcher::equal("cluster", "eu"),
                Matcher::equal("replica", "1")
            ]
        ));
        assert!(at(
            0,
            100,
            &[
                Matcher::equal("cluster", "eu2"),
                Matcher::equal("replica", "1")
            ]
        ));
        let anything = store(&[]);
        assert!(may_hold(
            &anything,
            "",
            TimeRange::ALL,
            &[Matcher::equal("cluster", "us")],
            &[]
        ));
        let empty = StoreInfo {
            range: None,
            ..store(&[])
        };
        assert!(!may_hold(&empty, "", TimeRange::ALL, &[], &[]));
    }

    #[test]
    fn a_tsdb_has_to_have_both_the_time_and_the_labels() {
        let tsdb = |cluster, start, end| TsdbInfo {
            labels: Labels::from_pairs([("cluster", cluster)]),
            range: TimeRange::new(start, end),
        };
        let info = StoreInfo {
            tsdb_infos: vec![tsdb("eu", 100, 150), tsdb("us", 151, 200)],
            ..store(&[&[("cluster", "eu")], &[("cluster", "us")]])
        };
        let may = |cluster, start, end| {
            may_hold(
                &info,
                "",
                TimeRange::new(start, end),
                &[Matcher::equal("cluster", cluster)],
                &[],
            )
        };
        assert!(may("eu", 120, 130));
        assert!(!may("us", 120, 130));
        assert!(may("us", 120, 160));
    }

    #[test]
    fn the_caller_may_choose_stores_by_address_or_labels() {
        let info = store(&[&[("cluster", "eu")]]);
        let wants = |sets: &[Vec<Matcher>]| wanted(&info, "a:1", sets);
        assert!(wants(&[]));
        assert!(wants(&[vec![regex("__address__", "a:.*")]]));
        assert!(!wants(&[vec![regex("__address__", "b:.*")]]));
        assert!(wants(&[
            vec![regex("__address__", "b:.*")],
            vec![regex("cluster", "eu|us")]
        ]));
        assert!(!wants(&[vec![
            regex("__address__", "a:.*"),
            regex("cluster", "us")
        ]]));
    }

    #[test]
    fn matchers_on_external_labels_are_answered_and_stripped() {
        let external = Labels::from_pairs([("cluster", "eu")]);
        let name = Matcher::equal("__name__", "up");
        let matchers = [name.clone(), regex("cluster", "e.")];
        assert_eq!(
            against_external_labels(&matchers, &external),
            Some(vec![name.clone()])
        );
        let matchers = [name, Matcher::equal("cluster", "us")];
        assert_eq!(against_external_labels(&matchers, &external), None);
    }
}
