//! Where float samples are decoded to.

/// Timestamps and values, index by index; owned by the caller and used again for the next chunk.
///
/// The vectors behind it only ever grow, and growing is the only time they are zeroed: decoding a
/// chunk into used columns writes each sample once and nothing else.
#[derive(Debug, Clone, Default)]
pub struct Columns {
    ts: Vec<i64>,
    values: Vec<f64>,
    len: usize,
}

impl Columns {
    pub fn new() -> Self {
        Self::default()
    }

    /// How many samples there are.
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Forgets all samples, keeps the memory.
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// Forgets all samples from index `len` on.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// The timestamps, milliseconds since the epoch.
    #[inline]
    pub fn timestamps(&self) -> &[i64] {
        self.ts.get(..self.len).unwrap_or_default()
    }

    /// The values, as many as [`Columns::timestamps`].
    #[inline]
    pub fn values(&self) -> &[f64] {
        self.values.get(..self.len).unwrap_or_default()
    }

    /// Returns the samples one by one.
    pub fn iter(&self) -> impl Iterator<Item = (i64, f64)> + '_ {
        self.timestamps()
            .iter()
            .copied()
            .zip(self.values().iter().copied())
    }

    /// Appends one sample.
    pub fn push(&mut self, t: i64, value: f64) {
        let (ts, values) = self.spare(1);
        for (slot, t) in ts.iter_mut().zip([t]) {
            *slot = t;
        }
        for (slot, value) in values.iter_mut().zip([value]) {
            *slot = value;
        }
        self.len += 1;
    }

    /// Room for `n` samples behind the present ones; they count only after [`Columns::commit`].
    pub(crate) fn spare(&mut self, n: usize) -> (&mut [i64], &mut [f64]) {
        let end = self.len + n;
        if self.ts.len() < end {
            let grown = end.next_power_of_two();
            self.ts.resize(grown, 0);
            self.values.resize(grown, 0.0);
        }
        match (
            self.ts.get_mut(self.len..end),
            self.values.get_mut(self.len..end),
        ) {
            (Some(ts), Some(values)) => (ts, values),
            _ => (&mut [], &mut []),
        }
    }

    pub(crate) fn commit(&mut self, n: usize) {
        self.len = (self.len + n).min(self.ts.len());
    }
}
