//! From matchers to postings: which lists a selector reads, and how they combine.
//!
//! Planning looks only at the postings table, so that a reader of a bucket can fetch all lists at
//! once before it combines them.

use std::ops::Range;

use model::Matcher;

use super::PostingsTable;
use crate::Corrupt;
use crate::postings::{BigEndianPostings, Postings, intersect, merge, without};

/// The lists that answer a selector. A series is selected if it is in at least one list of each of
/// `unions` and in none of `excluded`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelectorPlan {
    /// Never empty; the lists of a union come in order of their place in the file.
    pub unions: Vec<Vec<Range<u64>>>,
    pub excluded: Vec<Range<u64>>,
}

impl SelectorPlan {
    /// Plans the conjunction of `matchers`; `None` where no series can match.
    ///
    /// A matcher that the empty value satisfies also selects series without the label: it excludes the
    /// values it refuses instead of including those it accepts.
    ///
    /// # Errors
    /// The postings table is not sound.
    pub fn new(table: &PostingsTable, matchers: &[Matcher]) -> Result<Option<Self>, Corrupt> {
        let mut plan = Self {
            unions: Vec::new(),
            excluded: Vec::new(),
        };
        for matcher in matchers {
            let empty_matches = matcher.matches_empty();
            let accept = |value: &str| matcher.matches(value) != empty_matches;
            let ranges = ranges_of(table, matcher, empty_matches, accept)?;
            if empty_matches {
                plan.excluded.extend(ranges);
            } else if ranges.is_empty() {
                return Ok(None);
            } else {
                plan.unions.push(ranges);
            }
        }
        if plan.unions.is_empty() {
            let (name, value) = super::ALL_POSTINGS;
            match table.range(name, value)? {
                Some(all) => plan.unions.push(vec![all]),
                None => return Ok(None),
            }
        }
        Ok(Some(plan))
    }

    /// Returns all ranges of the index file that the plan reads.
    pub fn ranges(&self) -> impl Iterator<Item = &Range<u64>> {
        self.unions.iter().flatten().chain(&self.excluded)
    }

    /// Combines the lists, which `list` gives by range, to the selected series in order.
    ///
    /// # Errors
    /// What `list` answers.
    pub fn series<'a, E>(
        &self,
        mut list: impl FnMut(&Range<u64>) -> Result<BigEndianPostings<'a>, E>,
    ) -> Result<Vec<u32>, E> {
        let mut unions = Vec::with_capacity(self.unions.len());
        for union in &self.unions {
            let lists = union.iter().map(&mut list).collect::<Result<Vec<_>, E>>()?;
            let size: usize = lists.iter().map(BigEndianPostings::len).sum();
            unions.push((size, merge(lists)));
        }
        // The smallest leads the intersection.
        unions.sort_by_key(|(size, _)| *size);
        let included = intersect(unions.into_iter().map(|(_, union)| union).collect());
        let excluded = self
            .excluded
            .iter()
            .map(list)
            .collect::<Result<Vec<_>, E>>()?;
        Ok(without(included, merge(excluded)).collect_all())
    }
}

/// Returns the lists of the matcher's label whose value is accepted.
fn ranges_of(
    table: &PostingsTable,
    matcher: &Matcher,
    empty_matches: bool,
    accept: impl Fn(&str) -> bool,
) -> Result<Vec<Range<u64>>, Corrupt> {
    // What is looked for is the matcher's own set, either to include it or, negated, to exclude it.
    if matcher.is_negative() == empty_matches
        && let Some(values) = matcher.set_matches()
    {
        let mut ranges = Vec::with_capacity(values.len());
        for value in values {
            if accept(value)
                && let Some(range) = table.range(&matcher.name, value)?
            {
                ranges.push(range);
            }
        }
        return Ok(ranges);
    }
    let prefix = match matcher.regex() {
        Some(regex) if matcher.is_negative() == empty_matches => regex.prefix(),
        _ => "",
    };
    let values = table.values_from(&matcher.name, prefix);
    Ok(values
        .take_while(|(value, _)| value.starts_with(prefix))
        .filter(|(value, _)| accept(value))
        .map(|(_, range)| range)
        .collect())
}
