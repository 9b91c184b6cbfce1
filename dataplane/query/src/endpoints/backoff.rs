//! When an endpoint that fails is asked again.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::{Duration, Instant};

/// Failures after which an endpoint is still asked in every round: a restart takes that long.
const PATIENCE: u32 = 2;
/// The longest pause; an endpoint that is back is noticed within it.
const LONGEST: Duration = Duration::from_secs(15);

/// The pauses between calls to one endpoint. They double while it fails, and are cut short at random,
/// so that queriers that lost a store at the same time do not all come back at the same time.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
    until: Option<Instant>,
}

impl Backoff {
    /// Returns whether the endpoint is to be asked now.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| now >= until)
    }

    /// Notes an answer.
    pub(super) fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// Notes a failure of an endpoint that is asked every `interval`.
    pub(super) fn failed(&mut self, interval: Duration, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        let Some(doublings) = self.failures.checked_sub(PATIENCE).filter(|n| *n > 0) else {
            return;
        };
        let factor = 1u32.checked_shl(doublings).unwrap_or(u32::MAX);
        let pause = interval.saturating_mul(factor).min(LONGEST.max(interval));
        self.until = now.checked_add(pause.mul_f64(between_half_and_one()));
    }
}

fn between_half_and_one() -> f64 {
    // Each state is seeded anew, which is all the randomness that is needed here.
    let random = RandomState::new().build_hasher().finish();
    #[expect(clippy::cast_precision_loss, reason = "24 bits")]
    let fraction = (random >> 40) as f64 / (1u64 << 24) as f64;
    0.5 + fraction / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_end_with_an_answer() {
        let (interval, now) = (Duration::from_secs(5), Instant::now());
        let mut backoff = Backoff::default();
        for (failures, seconds) in [(1, 0), (2, 0), (3, 10), (4, 15), (5, 15), (60, 15)] {
            while backoff.failures < failures {
                backoff.failed(interval, now);
            }
            let (least, most) = (
                Duration::from_secs(seconds) / 2,
                Duration::from_secs(seconds),
            );
            assert!(backoff.is_due(now + most), "{failures}");
            assert_eq!(backoff.is_due(now), seconds == 0, "{failures}");
            if seconds > 0 {
                assert!(
                    !backoff.is_due(now + least - Duration::from_millis(1)),
                    "{failures}"
                );
            }
        }
        backoff.succeeded();
        assert!(backoff.is_due(now));
    }
}
