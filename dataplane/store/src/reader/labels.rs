//! Label names and values of one block.

use std::collections::BTreeSet;

use storeapi::StoreError;
use tsdb::index::{SeriesEntry, SeriesRef, SymbolRef};
use tsdb::postings::{ListPostings, Postings, decode_postings, intersect};

use super::{BlockRequest, Tools, corrupt, entries::RawEntries, postings};

/// Series entries read at once for their names.
const BATCH_SERIES: usize = 4096;

/// Returns the names of the block's labels, external ones included, without those to strip.
///
/// # Errors
/// The block cannot be read, or a limit is exceeded.
pub async fn label_names(
    tools: &Tools,
    request: &BlockRequest,
) -> Result<BTreeSet<String>, StoreError> {
    let header = request
        .block
        .header(&*tools.bucket, tools.clock.now_ms())
        .await;
    let header = header.map_err(|error| request.error(&error))?;
    let mut names: BTreeSet<String> = if request.matchers.is_empty() {
        header.postings().label_names().map(str::to_owned).collect()
    } else {
        let series = postings::expand(tools, request, &header).await?;
        if series.is_empty() {
            return Ok(BTreeSet::new());
        }
        request.budget.add_series(series.len() as u64)?;
        let mut symbols: BTreeSet<SymbolRef> = BTreeSet::new();
        let mut entry = SeriesEntry::default();
        for batch in series.chunks(BATCH_SERIES) {
            let raw = RawEntries::fetch(tools, request, &header, batch).await?;
            for &reference in batch {
                raw.decode(SeriesRef(reference).offset(header.version()), &mut entry)?;
                symbols.extend(entry.labels.iter().map(|(name, _)| *name));
            }
        }
        let text = |symbol| header.symbols().get(symbol).map(str::to_owned);
        symbols
            .into_iter()
            .map(text)
            .collect::<Result<_, _>>()
            .map_err(|error| corrupt(&error))?
    };
    names.extend(
        request
            .block
            .external_labels
            .iter()
            .map(|label| label.name.to_owned()),
    );
    names.retain(|name| !request.strip.contains(name));
    Ok(names)
}

/// Returns the values of a label of the block.
///
/// # Errors
/// The block cannot be read, or a limit is exceeded.
pub async fn label_values(
    tools: &Tools,
    request: &BlockRequest,
    label: &str,
) -> Result<BTreeSet<String>, StoreError> {
    let header = request
        .block
        .header(&*tools.bucket, tools.clock.now_ms())
        .await;
    let header = header.map_err(|error| request.error(&error))?;
    let external = request.block.external_labels.get(label);
    if request.matchers.is_empty() {
        return Ok(match external {
            Some(value) => BTreeSet::from([value.to_owned()]),
            None => header
                .postings()
                .values(label)
                .map(|(value, _)| value.to_owned())
                .collect(),
        });
    }
    let series = postings::expand(tools, request, &header).await?;
    if series.is_empty() {
        return Ok(BTreeSet::new());
    }
    if let Some(value) = external {
        return Ok(BTreeSet::from([value.to_owned()]));
    }
    request.budget.add_series(series.len() as u64)?;
    // The lists of one label lie together in the index, and four bytes a series are less than its entry.
    let values: Vec<_> = header.postings().values(label).collect();
    let ranges = values.iter().map(|(_, range)| range.clone()).collect();
    let lists = postings::lists(tools, request, ranges).await?;
    let mut found = BTreeSet::new();
    for (value, range) in values {
        let bytes = lists.get(&range.start).cloned().unwrap_or_default();
        let list = decode_postings(&bytes).map_err(|error| corrupt(&error))?;
        let selected: Box<dyn Postings> = Box::new(ListPostings::new(&series));
        let mut both = intersect(vec![Box::new(list), selected]);
        if both.current().is_some() {
            found.insert(value.to_owned());
        }
    }
    Ok(found)
}
