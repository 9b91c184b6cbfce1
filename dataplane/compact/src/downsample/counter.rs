//! Counters over their resets, and over the borders of aggregate chunks.
//!
//! A counter's aggregate begins with the first raw value of its chunk and ends with the last one, at the
//! time of the sample before it a second time. Between chunks these two tell whether there was a reset.

/// A counter as it would have run without resets.
#[derive(Debug, Clone, Copy, Default)]
pub struct Running {
    last: Option<(i64, f64)>,
    total: f64,
}

impl Running {
    /// Takes the next sample and returns the total after it; `None` for one that only says what the
    /// true value was, goes back in time, or is no number.
    pub fn next(&mut self, t: i64, value: f64) -> Option<f64> {
        if value.is_nan() {
            return None;
        }
        match &mut self.last {
            None => {
                self.last = Some((t, value));
                self.total = value;
                Some(value)
            }
            Some((last_t, last_value)) if t > *last_t => {
                if value >= *last_value {
                    self.total += value - *last_value;
                } else {
                    self.total += value;
                }
                (*last_t, *last_value) = (t, value);
                Some(self.total)
            }
            Some((last_t, last_value)) => {
                if t == *last_t {
                    *last_value = value;
                }
                None
            }
        }
    }

    /// The last raw value.
    pub fn last_value(&self) -> Option<f64> {
        self.last.map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(samples: &[(i64, f64)]) -> (Vec<(i64, f64)>, Option<f64>) {
        let mut running = Running::default();
        let totals = samples
            .iter()
            .filter_map(|(t, value)| running.next(*t, *value).map(|total| (*t, total)));
        (totals.collect(), running.last_value())
    }

    #[test]
    fn resets_are_added_up() {
        let (totals, last) = run(&[(1, 5.0), (2, 7.0), (3, 1.0), (4, f64::NAN), (5, 4.0)]);
        assert_eq!(totals, [(1, 5.0), (2, 7.0), (3, 8.0), (5, 11.0)]);
        assert_eq!(last, Some(4.0));
    }

    #[test]
    fn a_reset_between_chunks_is_seen_by_the_true_last_value() {
        // The first chunk ran to 12 over a reset; its last raw value was 2.
        let first = [(1, 10.0), (9, 12.0), (9, 2.0)];
        let grown = [(11, 3.0), (19, 5.0), (19, 5.0)];
        let (totals, _) = run(&[first, grown].concat());
        assert_eq!(totals, [(1, 10.0), (9, 12.0), (11, 13.0), (19, 15.0)]);
        let reset = [(11, 1.0), (19, 1.0), (19, 1.0)];
        let (totals, _) = run(&[first, reset].concat());
        assert_eq!(totals, [(1, 10.0), (9, 12.0), (11, 13.0), (19, 13.0)]);
    }
}
