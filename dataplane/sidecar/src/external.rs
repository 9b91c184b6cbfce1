//! Matchers on external labels, which Prometheus' own storage does not know.

use model::{Labels, Matcher};
use storeapi::StoreError;

/// Splits off the matchers on external labels. Returns those that are left for Prometheus, or nothing
/// where an external label does not match and the answer is empty.
#[must_use]
pub fn strip(matchers: &[Matcher], external: &Labels) -> Option<Vec<Matcher>> {
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

/// As [`strip`], for calls that must not read everything.
///
/// # Errors
/// [`StoreError::NoMatchers`] where only external labels were matched.
pub fn strip_required(
    matchers: &[Matcher],
    external: &Labels,
) -> Result<Option<Vec<Matcher>>, StoreError> {
    match strip(matchers, external) {
        Some(rest) if rest.is_empty() => Err(StoreError::NoMatchers),
        rest => Ok(rest),
    }
}

#[cfg(test)]
mod tests {
    use model::MatchOp;

    use super::*;

    #[test]
    fn matchers_on_external_labels_are_answered_here() {
        let external = Labels::from_pairs([("cluster", "eu")]);
        let up = Matcher::equal("__name__", "up");
        let eu = Matcher::new(MatchOp::Regex, "cluster", "eu|us").unwrap();
        let us = Matcher::equal("cluster", "us");
        assert_eq!(
            strip(&[up.clone(), eu.clone()], &external),
            Some(vec![up.clone()])
        );
        assert_eq!(strip(&[up, us], &external), None);
        assert_eq!(
            strip_required(&[eu], &external),
            Err(StoreError::NoMatchers)
        );
    }
}
