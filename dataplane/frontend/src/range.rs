//! A range query: read, aligned, split at multiples of an interval.

use promql::Expr;
use promql::ast::{At, DurationSpec, VectorSelector};

/// A range query that is understood.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RangeQuery {
    pub(crate) query: String,
    /// First and last step and their distance, milliseconds.
    pub(crate) start: i64,
    pub(crate) end: i64,
    pub(crate) step: i64,
    /// All other parameters.
    pub(crate) others: Vec<(String, String)>,
}

const OWN: [&str; 4] = ["query", "start", "end", "step"];

impl RangeQuery {
    /// Reads the parameters; `None` where one is missing or wrong, which the querier says better.
    pub(crate) fn decode(parameters: &[(String, String)]) -> Option<Self> {
        let get = |name: &str| {
            let found = parameters.iter().find(|(n, _)| n == name);
            found.map(|(_, value)| value.as_str())
        };
        let (start, end) = (time(get("start")?)?, time(get("end")?)?);
        let step = step(get("step")?)?;
        let others = parameters
            .iter()
            .filter(|(name, _)| !OWN.contains(&name.as_str()));
        (step > 0 && end >= start).then(|| Self {
            query: get("query").unwrap_or_default().to_owned(),
            start,
            end,
            step,
            others: others.cloned().collect(),
        })
    }

    /// Moves start and end back to multiples of the step.
    pub(crate) fn align(&mut self) {
        self.start = self.start.div_euclid(self.step).saturating_mul(self.step);
        self.end = self.end.div_euclid(self.step).saturating_mul(self.step);
    }

    pub(crate) fn is_aligned(&self) -> bool {
        self.start % self.step == 0 && self.end % self.step == 0
    }

    /// Returns the same query over another range.
    pub(crate) fn over(&self, start: i64, end: i64) -> Self {
        Self {
            start,
            end,
            ..self.clone()
        }
    }

    /// Returns the pieces between multiples of `interval`, in order; each step is in exactly one.
    pub(crate) fn split(&self, interval: i64) -> Vec<Self> {
        if interval <= 0 {
            return vec![self.clone()];
        }
        let mut pieces = Vec::new();
        let mut start = self.start;
        while start <= self.end {
            let next = start
                .div_euclid(interval)
                .saturating_add(1)
                .saturating_mul(interval);
            // The last step before the boundary.
            let steps = next.saturating_sub(1).saturating_sub(start) / self.step;
            let last = start.saturating_add(steps.saturating_mul(self.step));
            let end = last.min(self.end);
            pieces.push(self.over(start, end));
            let Some(after) = last.checked_add(self.step) else {
                break;
            };
            start = after;
        }
        pieces
    }

    /// Returns the parameters of the call.
    pub(crate) fn parameters(&self) -> Vec<(String, String)> {
        let own = [
            ("query", self.query.clone()),
            ("start", seconds(self.start)),
            ("end", seconds(self.end)),
            ("step", seconds(self.step)),
        ];
        let own = own.map(|(name, value)| (name.to_owned(), value));
        own.into_iter().chain(self.others.iter().cloned()).collect()
    }

    /// Returns the value of one of the other parameters.
    pub(crate) fn other(&self, name: &str) -> Option<&str> {
        let found = self.others.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Returns whether each step of the answer is the same whatever range it is asked in.
    pub(crate) fn is_divisible(&self) -> bool {
        let options = promql::ParseOptions {
            experimental_functions: true,
            duration_expressions: true,
            extended_range_selectors: true,
            fill_modifiers: true,
            extended_functions: true,
        };
        // What does not parse is an error, and that is the querier's to say.
        promql::parse(&self.query, &options).is_ok_and(|expr| is_divisible(&expr))
    }
}

/// Functions that speak of the whole range.
const OF_THE_RANGE: [&str; 4] = ["start", "end", "step", "range"];

fn is_divisible(expr: &Expr) -> bool {
    let mut divisible = true;
    expr.walk(&mut |node| {
        divisible &= match node {
            Expr::VectorSelector(selector) => is_local(selector),
            Expr::MatrixSelector(matrix) => {
                is_literal(Some(&matrix.range)) && is_local(&matrix.selector)
            }
            Expr::Subquery(subquery) => {
                is_literal(Some(&subquery.range))
                    && is_literal(subquery.step.as_ref())
                    && is_past(subquery.offset.as_ref())
                    && subquery.at.is_none()
            }
            Expr::Call(call) => !OF_THE_RANGE.contains(&call.func.name),
            _ => true,
        };
    });
    divisible
}

/// A fixed time may lie in what is too fresh to keep; start and end differ from piece to piece.
fn is_local(selector: &VectorSelector) -> bool {
    let at: Option<At> = selector.at;
    at.is_none() && is_past(selector.offset.as_ref())
}

fn is_literal(spec: Option<&DurationSpec>) -> bool {
    spec.is_none_or(|spec| spec.literal_ms().is_some())
}

/// A negative offset looks into the future of its step, where data may still come.
fn is_past(offset: Option<&DurationSpec>) -> bool {
    offset.is_none_or(|spec| spec.literal_ms().is_some_and(|ms| ms >= 0))
}

/// Reads Unix seconds or RFC 3339 into milliseconds.
fn time(text: &str) -> Option<i64> {
    if let Ok(seconds) = text.parse::<f64>() {
        return milliseconds(seconds);
    }
    let timestamp: jiff::Timestamp = text.parse().ok()?;
    Some(timestamp.as_millisecond())
}

/// Reads seconds or a duration into milliseconds.
fn step(text: &str) -> Option<i64> {
    if let Ok(seconds) = text.parse::<f64>() {
        return milliseconds(seconds);
    }
    model::parse_duration(text).ok()
}

/// `None` where a time is not a whole number of milliseconds or far outside of what can be meant.
fn milliseconds(seconds: f64) -> Option<i64> {
    const LATEST: f64 = 1e15;
    let ms = (seconds * 1000.0).round();
    #[expect(clippy::cast_possible_truncation, reason = "in range")]
    (ms.is_finite() && ms.abs() < LATEST).then_some(ms as i64)
}

fn seconds(ms: i64) -> String {
    match ms % 1000 {
        0 => (ms / 1000).to_string(),
        _ => {
            #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
            let seconds = ms as f64 / 1000.0;
            seconds.to_string()
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn range(start: i64, end: i64, step: i64) -> RangeQuery {
        RangeQuery {
            query: "up".into(),
            start,
            end,
            step,
            others: Vec::new(),
        }
    }

    #[test]
    fn parameters_are_read_and_written() {
        let given = [
            ("query", "up"),
            ("start", "1.5"),
            ("end", "1970-01-01T00:01:00Z"),
            ("step", "15s"),
            ("dedup", "true"),
        ];
        let given: Vec<_> = given
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect();
        let query = RangeQuery::decode(&given).expect("understood");
        assert_eq!(
            (query.start, query.end, query.step),
            (1_500, 60_000, 15_000)
        );
        let written: Vec<String> = query
            .parameters()
            .into_iter()
            .map(|(_, value)| value)
            .collect();
        assert_eq!(written, ["up", "1.5", "60", "15", "true"]);
        let mut aligned = query;
        aligned.align();
        assert_eq!((aligned.start, aligned.end), (0, 60_000));
        for (name, wrong) in [
            ("step", "0"),
            ("step", "x"),
            ("start", "61"),
            ("end", "later"),
        ] {
            let mut wrongly = given.clone();
            for (n, value) in &mut wrongly {
                if n == name {
                    *value = wrong.to_owned();
                }
            }
            assert_eq!(RangeQuery::decode(&wrongly), None, "{name}={wrong}");
        }
    }

    #[test]
    fn what_depends_on_its_own_range_is_not_divided() {
        for (query, divisible) in [
            ("rate(up[5m])", true),
            ("up offset 5m + time()", true),
            ("max_over_time(rate(up[5m])[1h:1m])", true),
            ("up @ end()", false),
            ("up @ 100", false),
            ("up offset -5m", false),
            ("sum(max_over_time(up[1h:1m] @ start()))", false),
            ("up[range()]", false),
            ("rate(up[5m * 2])", false),
            ("end() - start()", false),
            ("up{", false),
        ] {
            let query = RangeQuery {
                query: query.into(),
                ..range(0, 1, 1)
            };
            assert_eq!(query.is_divisible(), divisible, "{}", query.query);
        }
    }

    proptest! {
        #[test]
        fn every_step_is_in_exactly_one_piece_and_no_piece_crosses_a_boundary(
            start in -100_000i64..100_000,
            length in 0i64..500_000,
            step in 1i64..40_000,
            interval in 1i64..200_000,
        ) {
            let whole = range(start, start + length, step);
            let steps = |of: &RangeQuery| {
                (of.start..=of.end).step_by(usize::try_from(of.step).expect("small")).collect::<Vec<_>>()
            };
            let pieces = whole.split(interval);
            let of_pieces: Vec<i64> = pieces.iter().flat_map(steps).collect();
            prop_assert_eq!(of_pieces, steps(&whole));
            for piece in &pieces {
                prop_assert_eq!(piece.start.div_euclid(interval), steps(piece).last().expect("a step").div_euclid(interval));
            }
        }
    }
}
