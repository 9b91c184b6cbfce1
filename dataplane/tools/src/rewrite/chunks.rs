//! Chunks of one series: without some times, and in order.

use std::collections::BTreeMap;

use chunk::histogram::{FloatHistogramAppender, HistogramAppender};
use chunk::{Columns, Encoding, HistogramColumns};
use model::TimeRange;
use tsdb::block::{EncodedChunk, cut_float_chunks};

/// Returns what is left of `chunks` outside of `gone`. Those that `gone` does not touch keep their bytes.
pub(super) fn without(
    chunks: Vec<EncodedChunk>,
    gone: &[TimeRange],
) -> Result<Vec<EncodedChunk>, String> {
    if gone.is_empty() {
        return Ok(chunks);
    }
    let mut left = Vec::with_capacity(chunks.len());
    for chunk in chunks {
        let range = TimeRange::new(chunk.min_time, chunk.max_time);
        let mut touching = gone.iter().filter(|gone| gone.overlaps(&range)).peekable();
        if touching.peek().is_none() {
            left.push(chunk);
        } else if touching.all(|gone| gone.start > range.start || gone.end < range.end) {
            left.extend(filtered(&chunk, gone)?);
        }
    }
    Ok(left)
}

fn filtered(chunk: &EncodedChunk, gone: &[TimeRange]) -> Result<Vec<EncodedChunk>, String> {
    let stays = |t: i64| !gone.iter().any(|gone| gone.start <= t && t <= gone.end);
    if chunk.encoding.is_float() {
        let samples: Vec<(i64, f64)> = floats(chunk)?
            .into_iter()
            .filter(|(t, _)| stays(*t))
            .collect();
        return Ok(cut_float_chunks(&samples));
    }
    if chunk.encoding.is_histogram() {
        return histograms(chunk, stays);
    }
    Err(
        "samples of a downsampled chunk cannot be deleted one by one; delete whole series"
            .to_owned(),
    )
}

fn floats(chunk: &EncodedChunk) -> Result<Vec<(i64, f64)>, String> {
    let mut columns = Columns::new();
    chunk::decode_floats(chunk.encoding, &chunk.data, &mut columns)
        .map_err(|corrupt| corrupt.to_string())?;
    Ok(columns.iter().collect())
}

/// Encodes the histograms that stay; a new chunk begins where the layout does not fit the one before.
fn histograms(
    chunk: &EncodedChunk,
    stays: impl Fn(i64) -> bool,
) -> Result<Vec<EncodedChunk>, String> {
    let mut columns = HistogramColumns::new();
    chunk::decode_histograms(chunk.encoding, &chunk.data, &mut columns)
        .map_err(|corrupt| corrupt.to_string())?;
    let kept: Vec<usize> = (0..columns.len())
        .filter(|&i| columns.timestamp(i).is_some_and(&stays))
        .collect();
    let time = |i: &usize| columns.timestamp(*i).unwrap_or_default();
    let (Some(min_time), Some(max_time)) = (kept.first().map(time), kept.last().map(time)) else {
        return Ok(Vec::new());
    };
    let header = columns.counter_reset_header();
    let refused = |_| "its histograms do not fit one chunk".to_owned();
    let (encoding, data) = if columns.is_float() {
        let mut appender = FloatHistogramAppender::new(header);
        for &i in &kept {
            let histogram = columns.float_histogram(i).ok_or("a histogram is missing")?;
            appender.append(time(&i), &histogram).map_err(refused)?;
        }
        (Encoding::FloatHistogram, appender.finish())
    } else {
        let mut appender = HistogramAppender::new(header);
        for &i in &kept {
            let histogram = columns.histogram(i).ok_or("a histogram is missing")?;
            appender.append(time(&i), &histogram).map_err(refused)?;
        }
        (Encoding::Histogram, appender.finish())
    };
    Ok(vec![EncodedChunk {
        min_time,
        max_time,
        encoding,
        data,
    }])
}

/// Returns the chunks by time. Of equal ones one stays; floats that share time are made one, the sample of
/// the earlier chunk winning.
pub(super) fn in_order(mut chunks: Vec<EncodedChunk>) -> Result<Vec<EncodedChunk>, String> {
    let apart = |chunks: &[EncodedChunk]| {
        chunks
            .windows(2)
            .all(|pair| matches!(pair, [a, b] if a.max_time < b.min_time))
    };
    if apart(&chunks) {
        return Ok(chunks);
    }
    chunks.sort_by(|a, b| {
        let key = |chunk: &EncodedChunk| (chunk.min_time, chunk.max_time);
        key(a).cmp(&key(b)).then_with(|| a.data.cmp(&b.data))
    });
    chunks.dedup();
    if apart(&chunks) {
        return Ok(chunks);
    }
    let mut ordered: Vec<EncodedChunk> = Vec::with_capacity(chunks.len());
    let mut run: Vec<EncodedChunk> = Vec::new();
    let mut until = i64::MIN;
    for chunk in chunks {
        if !run.is_empty() && chunk.min_time > until {
            ordered.extend(merged(std::mem::take(&mut run))?);
        }
        until = until.max(chunk.max_time);
        run.push(chunk);
    }
    ordered.extend(merged(run)?);
    Ok(ordered)
}

fn merged(run: Vec<EncodedChunk>) -> Result<Vec<EncodedChunk>, String> {
    if run.len() < 2 {
        return Ok(run);
    }
    if !run.iter().all(|chunk| chunk.encoding.is_float()) {
        return Err("chunks of histograms overlap, which cannot be repaired here".to_owned());
    }
    let mut samples: BTreeMap<i64, f64> = BTreeMap::new();
    for chunk in &run {
        for (t, value) in floats(chunk)? {
            samples.entry(t).or_insert(value);
        }
    }
    let samples: Vec<(i64, f64)> = samples.into_iter().collect();
    Ok(cut_float_chunks(&samples))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(times: std::ops::Range<i64>) -> Vec<EncodedChunk> {
        let samples: Vec<(i64, f64)> = times.map(|t| (t, t as f64)).collect();
        cut_float_chunks(&samples)
    }

    fn samples(chunks: &[EncodedChunk]) -> Vec<i64> {
        let times = chunks
            .iter()
            .flat_map(|chunk| floats(chunk).expect("decodes"));
        times.map(|(t, _)| t).collect()
    }

    #[test]
    fn only_touched_chunks_change() {
        let chunks: Vec<_> = [chunk(0..10), chunk(10..20), chunk(20..30)].concat();
        for (gone, expected) in [
            (vec![], (0..30).collect::<Vec<i64>>()),
            (vec![TimeRange::ALL], vec![]),
            (
                vec![TimeRange::new(10, 19)],
                (0..10).chain(20..30).collect(),
            ),
            (vec![TimeRange::new(5, 14)], (0..5).chain(15..30).collect()),
            (
                vec![TimeRange::new(-5, 2), TimeRange::new(29, 99)],
                (3..29).collect(),
            ),
            (vec![TimeRange::new(100, 200)], (0..30).collect()),
        ] {
            let left = without(chunks.clone(), &gone).expect("floats");
            assert_eq!(samples(&left), expected, "{gone:?}");
        }
        let left = without(chunks.clone(), &[TimeRange::new(0, 5)]).expect("floats");
        assert_eq!(left.get(1..), chunks.get(1..), "untouched bytes changed");
    }

    #[test]
    fn chunks_are_put_in_order_and_made_one_where_they_overlap() {
        for (chunks, expected) in [
            (
                [chunk(10..20), chunk(0..10)].concat(),
                (0..20).collect::<Vec<i64>>(),
            ),
            ([chunk(0..10), chunk(0..10)].concat(), (0..10).collect()),
            (
                [chunk(0..10), chunk(5..15), chunk(20..25)].concat(),
                (0..15).chain(20..25).collect(),
            ),
            (vec![], vec![]),
        ] {
            let ordered = in_order(chunks).expect("floats");
            assert_eq!(samples(&ordered), expected);
        }
    }
}
