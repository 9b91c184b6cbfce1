//! Windows of time, and into how many chunks a series is cut. Both as Thanos has them, so that blocks
//! downsampled by either are alike to the chunk.

/// The distance at which raw samples are assumed to lie when chunks are sized.
pub const ASSUMED_RAW_MS: i64 = 60_000;

/// A chunk is to have fewer samples on average.
const MAX_SAMPLES_PER_CHUNK: i64 = 140;

/// The last millisecond of the window of `length_ms` that `t` lies in.
pub fn window_end(t: i64, length_ms: i64) -> i64 {
    t.saturating_sub(t % length_ms)
        .saturating_add(length_ms - 1)
}

/// Into how many chunks `samples` samples go that lie between two times about `from_ms` apart, when they
/// become windows of `to_ms`.
pub fn target_chunks(
    min_time: i64,
    max_time: i64,
    from_ms: i64,
    to_ms: i64,
    samples: usize,
) -> usize {
    let length = max_time.saturating_sub(min_time);
    let windows = (length / to_ms) as f64;
    // More samples than fit are as many as fit; so are those of a single moment.
    let fullness = (samples as f64 / (length as f64 / from_ms as f64)).min(1.0);
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the fraction is cut off on purpose"
    )]
    let expected = (windows * fullness) as i64 + 1;
    let mut chunks = 1;
    while expected / chunks > MAX_SAMPLES_PER_CHUNK {
        chunks += 1;
    }
    usize::try_from(chunks).unwrap_or(1)
}

/// Appends samples but stale markers and those before one that came already.
pub fn append_in_order(to: &mut Vec<(i64, f64)>, samples: impl Iterator<Item = (i64, f64)>) {
    let mut last = i64::MIN;
    for (t, value) in samples {
        if t >= last && !model::is_stale_nan(value) {
            to.push((t, value));
            last = t;
        }
    }
}

/// Cuts raw samples into batches that each become a chunk: about equally many samples, and none ends
/// within a window.
pub fn batches<T>(
    samples: &[T],
    time: impl Fn(&T) -> i64,
    to_ms: i64,
) -> impl Iterator<Item = &[T]> {
    let (first, last) = (samples.first().map(&time), samples.last().map(&time));
    let target = target_chunks(
        first.unwrap_or_default(),
        last.unwrap_or_default(),
        ASSUMED_RAW_MS,
        to_ms,
        samples.len(),
    );
    let at_once = samples.len() / target + 1;
    let mut rest = samples;
    std::iter::from_fn(move || {
        let last = rest.get(at_once.min(rest.len()).checked_sub(1)?)?;
        let end = window_end(time(last), to_ms);
        let behind = rest.get(at_once.min(rest.len())..).unwrap_or_default();
        let more = behind.iter().take_while(|sample| time(sample) <= end);
        let (batch, after) = rest.split_at(at_once.min(rest.len()) + more.count());
        rest = after;
        Some(batch)
    })
}

/// Goes through the windows of samples in order of time: `add` takes a sample and whether it begins a
/// window, `close` ends one at a time, which is never behind the last sample. Returns the last such
/// time; `None` without samples.
pub fn each_window<T, A>(
    samples: &[T],
    time: impl Fn(&T) -> i64,
    to_ms: i64,
    state: &mut A,
    add: impl Fn(&mut A, &T, bool),
    close: impl Fn(&mut A, i64),
) -> Option<i64> {
    let last = time(samples.last()?);
    let mut end: Option<i64> = None;
    for sample in samples {
        let t = time(sample);
        let begins = end.is_none_or(|end| t > end);
        if begins {
            if let Some(end) = end {
                close(state, end);
            }
            end = Some(window_end(t, to_ms).min(last));
        }
        add(state, sample, begins);
    }
    if let Some(end) = end {
        close(state, end);
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_end_a_millisecond_before_the_next() {
        assert_eq!(window_end(0, 300_000), 299_999);
        assert_eq!(window_end(299_999, 300_000), 299_999);
        assert_eq!(window_end(300_000, 300_000), 599_999);
    }

    #[test]
    fn chunks_are_about_140_samples() {
        let day = 86_400_000;
        assert_eq!(target_chunks(0, 0, 60_000, 300_000, 1), 1);
        // 14 days at 15 s are 4032 windows of 5 minutes.
        assert_eq!(target_chunks(0, 14 * day, 60_000, 300_000, 80_640), 29);
        // Half empty at the assumed distance: half as many.
        assert_eq!(target_chunks(0, 14 * day, 60_000, 300_000, 10_080), 15);
        assert_eq!(target_chunks(0, 14 * day, 300_000, 3_600_000, 4032), 3);
    }

    #[test]
    fn a_batch_takes_its_last_window_whole() {
        let samples: Vec<i64> = (0..40_000).map(|i| i * 15_000).collect();
        let cut: Vec<&[i64]> = batches(&samples, |t| *t, 300_000).collect();
        assert!(cut.len() > 10);
        assert_eq!(cut.concat(), samples);
        for pair in cut.windows(2) {
            let (last, next) = (pair[0].last(), pair[1].first());
            let end = window_end(*last.expect("some"), 300_000);
            assert!(*next.expect("some") > end);
        }
        assert_eq!(batches(&[] as &[i64], |t| *t, 300_000).count(), 0);
    }
}
