//! `info`: adds labels of info series, found by `job` and `instance`, to the series of a vector.

use hashbrown::HashMap;

use crate::annotations::Annotation;
use crate::plan::{InfoSource, Take};
use crate::queryable::{Columns, SelectHints, SelectRequest, Series};
use crate::symbols::{SymbolId, SymbolLabels};
use model::{MatchOp, Matcher};

use super::EngineError;
use super::block::{Block, Grid, HistogramRow, SeriesMeta, has, set};
use super::exec::{Exec, Operator};
use super::leaf::instant;
use super::window::{Out, RefTimes};

/// The labels by which an info series belongs to another.
const IDENTIFYING: [&str; 2] = ["instance", "job"];

type Identity = [SymbolId; 2];

/// Adds the labels of info series.
pub(crate) struct Info {
    input: Box<dyn Operator>,
    source: InfoSource,
    identifying: Identity,
    grid: Grid,
    done: bool,
}

/// The info series of a selection: rows hold the times of their samples.
struct InfoSeries {
    block: Block,
    /// The rows by metric and identity, the metrics in order of first appearance.
    metrics: Vec<HashMap<Identity, Vec<usize>>>,
}

impl Info {
    pub(crate) fn new(
        input: Box<dyn Operator>,
        source: &InfoSource,
        grid: Grid,
        ex: &mut Exec<'_>,
    ) -> Self {
        Self {
            input,
            source: source.clone(),
            identifying: IDENTIFYING.map(|name| ex.symbols.intern(name)),
            grid,
            done: false,
        }
    }

    fn identity(&self, labels: &SymbolLabels) -> Identity {
        self.identifying.map(|name| labels.get(name))
    }

    /// Whether a series is an info series itself.
    fn is_info(&self, labels: &SymbolLabels, ex: &Exec<'_>) -> bool {
        let name = ex.symbols.get(labels.get(SymbolId::METRIC_NAME));
        self.source.names.iter().all(|m| m.matches(name))
    }

    /// The matchers of one selection for each set of identifying labels that series have.
    fn identities(
        &self,
        block: &Block,
        is_info: &[bool],
        ex: &Exec<'_>,
    ) -> Result<Vec<Vec<Matcher>>, EngineError> {
        let mut sets: [Vec<Identity>; 4] = Default::default();
        for (meta, _) in block.series.iter().zip(is_info).filter(|(_, info)| !**info) {
            let [instance, job] = self.identity(&meta.labels);
            let number =
                2 * usize::from(instance != SymbolId::EMPTY) + usize::from(job != SymbolId::EMPTY);
            sets[number].push([instance, job]);
        }
        let mut all = Vec::new();
        for set in sets.iter().skip(1).filter(|set| !set.is_empty()) {
            let mut matchers = Vec::new();
            for (at, name) in IDENTIFYING.into_iter().enumerate() {
                let mut values: Vec<&str> = set
                    .iter()
                    .map(|identity| ex.symbols.get(identity[at]))
                    .collect();
                values.sort_unstable();
                values.dedup();
                let matcher = match values.as_slice() {
                    [value] => Ok(Matcher::equal(name, *value)),
                    values => {
                        let quoted: Vec<String> =
                            values.iter().map(|value| regex::escape(value)).collect();
                        Matcher::new(MatchOp::Regex, name, quoted.join("|"))
                    }
                };
                matchers.push(matcher.map_err(|error| EngineError::Internal(error.to_string()))?);
            }
            all.push(matchers);
        }
        Ok(all)
    }

    /// Reads the info series that belong to the series of `block`.
    fn read(
        &self,
        block: &Block,
        is_info: &[bool],
        ex: &mut Exec<'_>,
    ) -> Result<InfoSeries, EngineError> {
        let mut found = InfoSeries {
            block: Block::new(&self.grid),
            metrics: Vec::new(),
        };
        let mut metric_numbers: HashMap<SymbolId, usize> = HashMap::new();
        let refs = RefTimes {
            grid: self.grid,
            at: self.source.at,
            offset: self.source.offset_ms,
        };
        let mut columns = Columns::default();
        for mut matchers in self.identities(block, is_info, ex)? {
            matchers.extend(self.source.data.iter().cloned());
            matchers.extend(self.source.names.iter().cloned());
            let request = SelectRequest {
                matchers: &matchers,
                range: self.source.time,
                hints: SelectHints {
                    step_ms: self.source.step_ms,
                    func: Some("info".to_owned()),
                    ..SelectHints::default()
                },
            };
            let mut set = ex.queryable.select(&request, ex.cx)?;
            while let Some(Series { labels, mut data }) = set.next(&mut ex.symbols)? {
                ex.cx.check()?;
                columns.clear();
                while data.next_batch(&mut columns)? {}
                ex.stats.series += 1;
                ex.stats.samples += columns.ts.len() as u64;
                if !columns.histograms.is_empty() {
                    return Err(EngineError::execution("info sample should be float"));
                }
                let identity = self.identity(&labels);
                let name = labels.get(SymbolId::METRIC_NAME);
                let row = found.block.push_empty(SeriesMeta {
                    labels,
                    drop_name: false,
                });
                let (values, present) = found.block.row_mut(row);
                let mut out = Out {
                    values,
                    present,
                    histograms: &mut HistogramRow::new(),
                };
                instant(&refs, ex.lookback_ms(), Take::Timestamp, &columns, &mut out);
                let next = found.metrics.len();
                let number = *metric_numbers.entry(name).or_insert(next);
                if number == next {
                    found.metrics.push(HashMap::new());
                }
                let rows = found.metrics[number].entry(identity).or_default();
                rows.push(row);
            }
            for warning in set.warnings() {
                ex.cx.annotate(Annotation::storage(warning));
            }
            ex.charge_symbols()?;
        }
        Ok(found)
    }

    /// Whether series without info series are dropped.
    fn requires_match(&self) -> bool {
        self.source
            .data
            .iter()
            .any(|matcher| !matcher.matches_empty())
    }

    /// The labels of a series with those of its info series.
    fn combine(
        &self,
        base: &SymbolLabels,
        rows: &[Option<usize>],
        found: &InfoSeries,
        ex: &Exec<'_>,
    ) -> Result<Option<SymbolLabels>, EngineError> {
        if rows.iter().all(Option::is_none) {
            return Ok((!self.requires_match()).then(|| base.clone()));
        }
        let mut added: Vec<(SymbolId, SymbolId)> = Vec::new();
        for row in rows.iter().flatten() {
            for &(name, value) in found.block.series[*row].labels.pairs() {
                let text = ex.symbols.get(name);
                let is_wanted = self.source.data.is_empty()
                    || self.source.data.iter().any(|matcher| matcher.name == text);
                if name == SymbolId::METRIC_NAME || !is_wanted {
                    continue;
                }
                match added.iter().find(|(other, _)| *other == name) {
                    Some((_, other)) if *other != value => {
                        return Err(EngineError::execution(format!("conflicting label: {text}")));
                    }
                    Some(_) => {}
                    None if base.get(name) != SymbolId::EMPTY => {}
                    None => added.push((name, value)),
                }
            }
        }
        let mut labels = base.clone();
        for (name, value) in added {
            labels.set(name, value, &ex.symbols);
        }
        Ok(Some(labels))
    }
}

impl InfoSeries {
    /// Returns the series whose sample at a step is the latest.
    fn latest(
        &self,
        rows: &[usize],
        step: usize,
        ex: &Exec<'_>,
    ) -> Result<Option<usize>, EngineError> {
        let mut latest: Option<(usize, f64)> = None;
        for &row in rows {
            if !has(self.block.row_present(row), step) {
                continue;
            }
            let time = self.block.row_values(row)[step];
            match latest {
                Some((_, other)) if other > time => {}
                Some((other, same)) if same == time => {
                    let labels = |row: usize| self.block.series[row].labels.resolve(&ex.symbols);
                    let ms = (time * 1000.0).round();
                    return Err(EngineError::execution(format!(
                        "found duplicate series for info metric: existing {} @ {ms}, new {} @ {ms}",
                        labels(other),
                        labels(row),
                    )));
                }
                _ => latest = Some((row, time)),
            }
        }
        Ok(latest.map(|(row, _)| row))
    }
}

impl Operator for Info {
    fn next(&mut self, ex: &mut Exec<'_>) -> Result<Option<Block>, EngineError> {
        if self.done {
            return Ok(None);
        }
        self.done = true;
        let collected = ex.collect(self.input.as_mut(), &self.grid, "the vector of info")?;
        ex.let_go(collected.samples);
        let base = &collected.block;
        let is_info: Vec<bool> = base
            .series
            .iter()
            .map(|meta| self.is_info(&meta.labels, ex))
            .collect();
        let found = self.read(base, &is_info, ex)?;
        let mut out = ex.block(&self.grid);
        for (row, meta) in base.series.iter().enumerate() {
            ex.cx.check()?;
            if is_info[row] {
                out.push_row_of(base, row);
                continue;
            }
            let identity = self.identity(&meta.labels);
            let candidates: Vec<&[usize]> = found
                .metrics
                .iter()
                .map(|metric| metric.get(&identity).map_or(&[][..], Vec::as_slice))
                .collect();
            // Which info series are the latest changes seldom.
            let mut rows: HashMap<Vec<Option<usize>>, Option<usize>> = HashMap::new();
            let mut histograms: HashMap<usize, HistogramRow> = HashMap::new();
            let mut of_base = base.row_histograms(row).iter().peekable();
            for step in super::block::ones(&base.row_any(row)) {
                let mut latest = Vec::with_capacity(candidates.len());
                for rows in &candidates {
                    latest.push(found.latest(rows, step, ex)?);
                }
                let histogram = of_base.next_if(|(at, _)| *at as usize == step);
                let to = match rows.get(&latest) {
                    Some(to) => *to,
                    None => {
                        let labels = self.combine(&meta.labels, &latest, &found, ex)?;
                        let to = labels.map(|labels| {
                            out.push_empty(SeriesMeta {
                                labels,
                                drop_name: meta.drop_name,
                            })
                        });
                        rows.insert(latest, to);
                        to
                    }
                };
                let Some(to) = to else { continue };
                match histogram {
                    Some(histogram) => histograms.entry(to).or_default().push(histogram.clone()),
                    None => {
                        let (values, present) = out.row_mut(to);
                        values[step] = base.row_values(row)[step];
                        set(present, step);
                    }
                }
            }
            for (row, histograms) in histograms {
                out.set_histograms(row, histograms);
            }
        }
        Ok((out.rows() > 0).then_some(out))
    }
}
