//! Native histograms in answers: count, sum and the buckets that are not empty.

use model::histogram::{CUSTOM_BUCKETS_SCHEMA, FloatHistogram, Span};

use super::number::{push_float, push_u64};

struct Bucket {
    lower: f64,
    upper: f64,
    lower_inclusive: bool,
    upper_inclusive: bool,
    count: f64,
}

/// Appends `{"count":"..","sum":"..","buckets":[[inclusiveness,"lower","upper","count"],..]}`.
pub(super) fn push_histogram(out: &mut Vec<u8>, histogram: &FloatHistogram) {
    out.extend_from_slice(b"{\"count\":\"");
    push_float(out, histogram.count);
    out.extend_from_slice(b"\",\"sum\":\"");
    push_float(out, histogram.sum);
    out.push(b'"');
    let mut any = false;
    for bucket in buckets(histogram)
        .iter()
        .filter(|bucket| bucket.count != 0.0)
    {
        out.extend_from_slice(if any { b"," } else { b",\"buckets\":[" });
        any = true;
        out.push(b'[');
        push_u64(
            out,
            match (bucket.lower_inclusive, bucket.upper_inclusive) {
                (false, true) => 0,
                (true, false) => 1,
                (false, false) => 2,
                (true, true) => 3,
            },
        );
        for value in [bucket.lower, bucket.upper, bucket.count] {
            out.extend_from_slice(b",\"");
            push_float(out, value);
            out.push(b'"');
        }
        out.push(b']');
    }
    if any {
        out.push(b']');
    }
    out.push(b'}');
}

/// Returns all buckets in ascending order of their bounds.
fn buckets(histogram: &FloatHistogram) -> Vec<Bucket> {
    let custom = histogram.schema == CUSTOM_BUCKETS_SCHEMA;
    let bucket = |lower: f64, upper: f64, index: i64, count: f64| Bucket {
        lower,
        upper,
        lower_inclusive: if custom { index == 0 } else { lower < 0.0 },
        upper_inclusive: custom || upper > 0.0,
        count,
    };
    let mut all = Vec::new();
    let mut negative = indexed(&histogram.negative_spans, &histogram.negative_buckets);
    negative.reverse();
    for (index, count) in negative {
        let (lower, upper) = (-bound(histogram, index), -bound(histogram, index - 1));
        all.push(bucket(lower, upper, index, count));
    }
    if histogram.zero_count > 0.0 {
        all.push(Bucket {
            lower: -histogram.zero_threshold,
            upper: histogram.zero_threshold,
            lower_inclusive: true,
            upper_inclusive: true,
            count: histogram.zero_count,
        });
    }
    for (index, count) in indexed(&histogram.positive_spans, &histogram.positive_buckets) {
        let (lower, upper) = (bound(histogram, index - 1), bound(histogram, index));
        all.push(bucket(lower, upper, index, count));
    }
    all
}

fn indexed(spans: &[Span], counts: &[f64]) -> Vec<(i64, f64)> {
    let mut indexed = Vec::with_capacity(counts.len());
    let mut counts = counts.iter();
    let mut index = 0i64;
    for span in spans {
        index += i64::from(span.offset);
        // Bounded by the counts, not by the length that the span declares.
        for count in counts.by_ref().take(span.length as usize) {
            indexed.push((index, *count));
            index += 1;
        }
    }
    indexed
}

/// Returns the upper bound of the bucket at `index`.
fn bound(histogram: &FloatHistogram, index: i64) -> f64 {
    if histogram.schema == CUSTOM_BUCKETS_SCHEMA {
        return match usize::try_from(index) {
            Err(_) => f64::NEG_INFINITY,
            Ok(at) => histogram
                .custom_values
                .get(at)
                .copied()
                .unwrap_or(f64::INFINITY),
        };
    }
    #[expect(clippy::cast_precision_loss, reason = "indexes are far below 2^52")]
    let exponent = index as f64 * f64::from(-histogram.schema).exp2();
    // The bucket that would end at 2^1024 ends at the largest float.
    if exponent == 1024.0 {
        f64::MAX
    } else {
        exponent.exp2()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(histogram: &FloatHistogram) -> String {
        let mut out = Vec::new();
        push_histogram(&mut out, histogram);
        String::from_utf8(out).expect("ascii")
    }

    #[test]
    fn buckets_are_listed_from_negative_to_positive() {
        let histogram = FloatHistogram {
            schema: 0,
            zero_threshold: 0.001,
            zero_count: 2.0,
            count: 9.0,
            sum: 18.4,
            positive_spans: vec![
                Span {
                    offset: 0,
                    length: 2,
                },
                Span {
                    offset: 1,
                    length: 1,
                },
            ],
            positive_buckets: vec![1.0, 0.0, 3.0],
            negative_spans: vec![Span {
                offset: 1,
                length: 1,
            }],
            negative_buckets: vec![4.0],
            ..FloatHistogram::default()
        };
        assert_eq!(
            text(&histogram),
            r#"{"count":"9","sum":"18.4","buckets":[[1,"-2","-1","4"],[3,"-0.001","0.001","2"],[0,"0.5","1","1"],[0,"4","8","3"]]}"#
        );
    }

    #[test]
    fn custom_bounds_end_in_infinity() {
        let histogram = FloatHistogram {
            schema: CUSTOM_BUCKETS_SCHEMA,
            count: 3.0,
            sum: 4.0,
            positive_spans: vec![Span {
                offset: 0,
                length: 3,
            }],
            positive_buckets: vec![1.0, 1.0, 1.0],
            custom_values: vec![5.0, 10.0],
            ..FloatHistogram::default()
        };
        assert_eq!(
            text(&histogram),
            r#"{"count":"3","sum":"4","buckets":[[3,"-Inf","5","1"],[0,"5","10","1"],[0,"10","+Inf","1"]]}"#
        );
    }

    #[test]
    fn spans_that_promise_more_than_there_is_are_harmless() {
        let histogram = FloatHistogram {
            positive_spans: vec![Span {
                offset: 0,
                length: u32::MAX,
            }],
            positive_buckets: vec![1.0],
            ..FloatHistogram::default()
        };
        assert_eq!(
            text(&histogram),
            r#"{"count":"0","sum":"0","buckets":[[0,"0.5","1","1"]]}"#
        );
    }
}
