//! A histogram as text, as Prometheus writes it into labels.

use std::fmt::Write;

use model::histogram::FloatHistogram;

use crate::number::format_g;

use super::buckets::{Bucket, negative, positive, zero};
use super::has_custom_buckets;

/// Returns count, sum and the filled buckets with their bounds.
pub(crate) fn text(h: &FloatHistogram) -> String {
    let mut text = format!("{{count:{}, sum:{}", format_g(h.count), format_g(h.sum));
    let mut write = |bucket: &Bucket, closed: (bool, bool)| {
        if bucket.count == 0.0 {
            return;
        }
        // Writing to a string does not fail.
        let _ = write!(
            text,
            ", {}{},{}{}:{}",
            if closed.0 { '[' } else { '(' },
            format_g(bucket.lower),
            format_g(bucket.upper),
            if closed.1 { ']' } else { ')' },
            format_g(bucket.count),
        );
    };
    let below: Vec<Bucket> = negative(h).collect();
    for bucket in below.iter().rev() {
        write(bucket, (bucket.lower < 0.0, bucket.upper > 0.0));
    }
    if !has_custom_buckets(h) {
        write(&zero(h), (true, true));
    }
    for bucket in positive(h) {
        let closed = if has_custom_buckets(h) {
            (bucket.lower == f64::NEG_INFINITY, true)
        } else {
            (bucket.lower < 0.0, bucket.upper > 0.0)
        };
        write(&bucket, closed);
    }
    text.push('}');
    text
}
