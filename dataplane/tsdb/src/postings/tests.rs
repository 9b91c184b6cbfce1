use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn list() -> impl Strategy<Value = Vec<u32>> {
    let dense = prop::collection::btree_set(0u32..60, 0..40);
    let sparse = prop::collection::btree_set(any::<u32>(), 0..8);
    (dense, sparse).prop_map(|(dense, sparse)| {
        dense
            .into_iter()
            .chain(sparse)
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect()
    })
}

fn lists(n: impl Into<prop::collection::SizeRange>) -> impl Strategy<Value = Vec<Vec<u32>>> {
    prop::collection::vec(list(), n)
}

/// Walks `postings` with the given moves beside a plain sorted list.
fn check_walk(mut postings: impl Postings, naive: &BTreeSet<u32>, moves: &[Option<u32>]) {
    let mut rest: Vec<u32> = naive.iter().copied().collect();
    for &target in moves {
        match target {
            Some(target) => {
                postings.seek(target);
                rest.retain(|&reference| reference >= target);
            }
            None => {
                assert_eq!(postings.current(), rest.first().copied());
                postings.advance();
                rest = rest.split_off(1.min(rest.len()));
            }
        }
    }
    assert_eq!(postings.current(), rest.first().copied());
    assert_eq!(postings.collect_all(), rest);
    assert_eq!(postings.next(), None);
}

fn moves() -> impl Strategy<Value = Vec<Option<u32>>> {
    let target = prop_oneof![3 => Just(None), 2 => (0u32..60).prop_map(Some)];
    prop::collection::vec(target, 0..12)
}

fn of(lists: &[Vec<u32>]) -> Vec<ListPostings<'_>> {
    lists.iter().map(|list| ListPostings::new(list)).collect()
}

proptest! {
    #[test]
    fn set_algebra_agrees_with_sets(lists in lists(1..5), removed in list(), moves in moves()) {
        let sets: Vec<BTreeSet<u32>> =
            lists.iter().map(|list| list.iter().copied().collect()).collect();
        let in_all = sets[0].iter().copied().filter(|r| sets.iter().all(|set| set.contains(r)));
        check_walk(intersect(of(&lists)), &in_all.collect(), &moves);

        let in_any: BTreeSet<u32> = sets.iter().flatten().copied().collect();
        check_walk(merge(of(&lists)), &in_any, &moves);

        let removed_set: BTreeSet<u32> = removed.iter().copied().collect();
        let difference = in_any.difference(&removed_set).copied().collect();
        check_walk(without(merge(of(&lists)), ListPostings::new(&removed)), &difference, &moves);

        let nested: Vec<Box<dyn Postings>> = vec![
            Box::new(merge(of(&lists))),
            Box::new(without(ListPostings::new(&removed), intersect(of(&lists)))),
        ];
        let in_all: BTreeSet<u32> =
            sets[0].iter().copied().filter(|r| sets.iter().all(|set| set.contains(r))).collect();
        let expected = removed_set
            .iter()
            .copied()
            .filter(|r| in_any.contains(r) && !in_all.contains(r))
            .collect();
        check_walk(intersect(nested), &expected, &moves);
    }

    #[test]
    fn an_encoded_list_is_read_in_place(list in list(), moves in moves(), junk: Vec<u8>) {
        let mut data = Vec::new();
        write_postings(list.len(), list.iter().copied(), &mut data).expect("it is small");
        data.extend(junk);
        let decoded = decode_postings(&data).expect("what was encoded decodes");
        prop_assert_eq!(decoded.len(), list.len());
        check_walk(decoded, &list.iter().copied().collect(), &moves);
    }

    #[test]
    fn flipped_and_cut_lists_are_refused(list in list(), bit: prop::sample::Index) {
        let mut data = Vec::new();
        write_postings(list.len(), list.iter().copied(), &mut data).expect("it is small");
        let bit = bit.index(data.len() * 8);
        data[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(decode_postings(&data).is_err());
        data[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(decode_postings(&data[..bit / 8]).is_err());
    }
}

#[test]
fn no_lists_have_no_series_in_common() {
    assert_eq!(intersect(Vec::<ListPostings<'_>>::new()).next(), None);
    assert_eq!(merge(Vec::<ListPostings<'_>>::new()).next(), None);
}
