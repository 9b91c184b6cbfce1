//! Ranges of time in milliseconds.

/// A range of time in milliseconds since the Unix epoch, both ends inclusive.
///
/// Blocks are half-open on disk (`maxTime` exclusive); convert where they are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TimeRange {
    pub start: i64,
    pub end: i64,
}

impl TimeRange {
    /// All of time.
    pub const ALL: Self = Self {
        start: i64::MIN,
        end: i64::MAX,
    };

    #[must_use]
    pub const fn new(start: i64, end: i64) -> Self {
        Self { start, end }
    }

    #[must_use]
    pub const fn contains(&self, t: i64) -> bool {
        self.start <= t && t <= self.end
    }

    #[must_use]
    pub const fn overlaps(&self, other: &Self) -> bool {
        self.start <= other.end && other.start <= self.end
    }

    /// Returns the part that both ranges share, if any.
    #[must_use]
    pub fn intersect(&self, other: &Self) -> Option<Self> {
        let both = Self {
            start: self.start.max(other.start),
            end: self.end.min(other.end),
        };
        (both.start <= both.end).then_some(both)
    }

    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.start > self.end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_touch_at_their_inclusive_ends() {
        let a = TimeRange::new(0, 10);
        assert!(a.overlaps(&TimeRange::new(10, 20)));
        assert!(!a.overlaps(&TimeRange::new(11, 20)));
        assert_eq!(
            a.intersect(&TimeRange::new(5, 20)),
            Some(TimeRange::new(5, 10))
        );
        assert_eq!(a.intersect(&TimeRange::new(11, 20)), None);
    }
}
