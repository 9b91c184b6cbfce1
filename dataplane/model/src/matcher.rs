//! Label matchers.

use std::fmt;
use std::sync::Arc;

use crate::labels::{Labels, quote};
use crate::regex::{AnchoredRegex, RegexError};

/// The comparison of a [`Matcher`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MatchOp {
    Equal,
    NotEqual,
    Regex,
    NotRegex,
}

impl MatchOp {
    /// Returns the operator as it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Regex => "=~",
            Self::NotRegex => "!~",
        }
    }
}

/// A condition on the value of one label; a label that is not set has the value `""`.
#[derive(Clone)]
pub struct Matcher {
    pub op: MatchOp,
    pub name: String,
    pub value: String,
    regex: Option<Arc<AnchoredRegex>>,
}

impl Matcher {
    /// Returns a matcher.
    ///
    /// # Errors
    /// A regular expression that RE2 would refuse.
    pub fn new(
        op: MatchOp,
        name: impl Into<String>,
        value: impl Into<String>,
    ) -> Result<Self, RegexError> {
        let value = value.into();
        let regex = match op {
            MatchOp::Equal | MatchOp::NotEqual => None,
            MatchOp::Regex | MatchOp::NotRegex => Some(Arc::new(AnchoredRegex::new(&value)?)),
        };
        Ok(Self {
            op,
            name: name.into(),
            value,
            regex,
        })
    }

    /// Returns the matcher `name="value"`.
    pub fn equal(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            op: MatchOp::Equal,
            name: name.into(),
            value: value.into(),
            regex: None,
        }
    }

    /// Returns whether a label with `value` passes.
    #[must_use]
    pub fn matches(&self, value: &str) -> bool {
        let matched = self
            .regex
            .as_ref()
            .map_or_else(|| self.value == value, |re| re.is_match(value));
        matched != self.is_negative()
    }

    /// Returns whether `labels` pass.
    #[must_use]
    pub fn matches_labels(&self, labels: &Labels) -> bool {
        self.matches(labels.get(&self.name).unwrap_or(""))
    }

    /// Returns whether the matcher passes series without the label.
    #[must_use]
    pub fn matches_empty(&self) -> bool {
        self.matches("")
    }

    /// Returns whether the operator is `!=` or `!~`.
    #[must_use]
    pub const fn is_negative(&self) -> bool {
        matches!(self.op, MatchOp::NotEqual | MatchOp::NotRegex)
    }

    /// Returns the compiled expression of `=~` and `!~`.
    #[must_use]
    pub fn regex(&self) -> Option<&AnchoredRegex> {
        self.regex.as_deref()
    }

    /// Returns the values that are all the matcher (or, where it is negative, its opposite) accepts,
    /// sorted; nothing where they cannot be listed.
    #[must_use]
    pub fn set_matches(&self) -> Option<Vec<&str>> {
        match &self.regex {
            None => Some(vec![self.value.as_str()]),
            Some(re) => re
                .set_matches()
                .map(|set| set.iter().map(String::as_str).collect()),
        }
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        (self.op, &self.name, &self.value) == (other.op, &other.name, &other.value)
    }
}

impl Eq for Matcher {}

impl std::hash::Hash for Matcher {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (self.op, &self.name, &self.value).hash(state);
    }
}

/// Prints `name="value"` with the matcher's operator.
impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{}", self.name, self.op.as_str(), quote(&self.value))
    }
}

impl fmt::Debug for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_label_is_the_empty_value() {
        let labels = Labels::from_pairs([("job", "api")]);
        for (op, name, value, expected) in [
            (MatchOp::Equal, "job", "api", true),
            (MatchOp::NotEqual, "job", "api", false),
            (MatchOp::Equal, "pod", "", true),
            (MatchOp::NotEqual, "pod", "x", true),
            (MatchOp::Regex, "pod", ".+", false),
            (MatchOp::NotRegex, "job", "a.*|b", false),
            (MatchOp::Regex, "job", "api|web", true),
        ] {
            let matcher = Matcher::new(op, name, value).unwrap();
            assert_eq!(matcher.matches_labels(&labels), expected, "{matcher}");
        }
    }

    #[test]
    fn sets_can_be_listed() {
        assert_eq!(Matcher::equal("a", "x").set_matches(), Some(vec!["x"]));
        let set = Matcher::new(MatchOp::NotRegex, "a", "y|x").unwrap();
        assert_eq!(set.set_matches(), Some(vec!["x", "y"]));
        assert_eq!(
            Matcher::new(MatchOp::Regex, "a", "x.*")
                .unwrap()
                .set_matches(),
            None
        );
    }
}
