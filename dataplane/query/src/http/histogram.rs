//! Native histograms in answers: count, sum and the buckets that are not empty.

use model::histogram::FloatHistogram;
use promql::engine::histogram_buckets;

use super::number::{push_float, push_u64};

/// Appends `{"count":"..","sum":"..","buckets":[[inclusiveness,"lower","upper","count"],..]}`.
pub(super) fn push_histogram(out: &mut Vec<u8>, histogram: &FloatHistogram) {
    out.extend_from_slice(b"{\"count\":\"");
    push_float(out, histogram.count);
    out.extend_from_slice(b"\",\"sum\":\"");
    push_float(out, histogram.sum);
    out.push(b'"');
    let mut any = false;
    for bucket in histogram_buckets(histogram) {
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

#[cfg(test)]
mod tests {
    use model::histogram::{CUSTOM_BUCKETS_SCHEMA, Span};

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
