//! Typed requests, and their conversion from and to the wire's.

use model::{MatchOp, Matcher, TimeRange};
use prost_types::Any;

use crate::error::StoreError;
use crate::proto::thanos as pb;
use crate::series::Aggregate;

/// What happens to an answer when a store fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum PartialResponse {
    /// The failure becomes a warning, the rest goes on.
    #[default]
    Warn,
    /// The first failure ends the call.
    Abort,
}

/// Asks for series.
#[derive(Debug, Clone, Default)]
pub struct SeriesRequest {
    /// Inclusive, milliseconds.
    pub range: Option<TimeRange>,
    /// All must match; those on external labels are evaluated by the store and stripped.
    pub matchers: Vec<Matcher>,
    /// Coarsest resolution the caller can use, in milliseconds; 0 is raw only.
    pub max_resolution_ms: i64,
    /// Parts of downsampled chunks that are wanted; a raw block answers with raw chunks anyway.
    pub aggregates: Vec<Aggregate>,
    pub partial_response: PartialResponse,
    /// Labels only.
    pub skip_chunks: bool,
    /// Packed request hints, passed on as they are.
    pub hints: Option<Any>,
    /// What the querier is going to do with the series.
    pub query_hints: Option<pb::QueryHints>,
    /// Keep only one shard of the series.
    pub shard: Option<pb::ShardInfo>,
    /// Labels to remove before sorting.
    pub without_replica_labels: Vec<String>,
    /// Largest number of series; 0 is no limit.
    pub limit: u64,
    /// Series a wire frame; 0 or 1 sends them one by one.
    pub batch_size: usize,
    /// Only stores that satisfy one of these sets, over `__address__` and external labels; does not
    /// travel.
    pub store_match: Vec<Vec<Matcher>>,
    /// Travels as metadata, not in the message.
    pub tenant: Option<String>,
}

impl SeriesRequest {
    /// Returns a request for raw series.
    #[must_use]
    pub fn new(range: TimeRange, matchers: Vec<Matcher>) -> Self {
        Self {
            range: Some(range),
            matchers,
            batch_size: crate::DEFAULT_BATCH_SIZE,
            ..Self::default()
        }
    }

    /// Returns the range asked for; without one, all of time.
    #[must_use]
    pub fn time_range(&self) -> TimeRange {
        self.range.unwrap_or(TimeRange::ALL)
    }

    /// Returns the message for a peer.
    #[must_use]
    pub fn to_proto(&self) -> pb::SeriesRequest {
        let range = self.time_range();
        pb::SeriesRequest {
            min_time: range.start,
            max_time: range.end,
            matchers: matchers_to_proto(&self.matchers),
            max_resolution_window: self.max_resolution_ms,
            aggregates: self.aggregates.iter().map(|a| *a as i32).collect(),
            partial_response_disabled: self.partial_response == PartialResponse::Abort,
            partial_response_strategy: strategy_to_proto(self.partial_response),
            skip_chunks: self.skip_chunks,
            hints: self.hints.clone(),
            query_hints: self.query_hints.clone(),
            shard_info: self.shard.clone(),
            without_replica_labels: self.without_replica_labels.clone(),
            limit: i64::try_from(self.limit).unwrap_or(i64::MAX),
            response_batch_size: i64::try_from(self.batch_size).unwrap_or(i64::MAX),
            ..pb::SeriesRequest::default()
        }
    }

    /// Returns the typed request of a message.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for a matcher that does not parse or an unknown enum value.
    pub fn try_from_proto(request: pb::SeriesRequest) -> Result<Self, StoreError> {
        let mut aggregates = Vec::with_capacity(request.aggregates.len().min(Aggregate::ALL.len()));
        for number in request.aggregates {
            let aggregate = usize::try_from(number)
                .ok()
                .and_then(|i| Aggregate::ALL.get(i))
                .ok_or_else(|| StoreError::invalid(format!("unknown aggregate {number}")))?;
            aggregates.push(*aggregate);
        }
        Ok(Self {
            range: Some(TimeRange::new(request.min_time, request.max_time)),
            matchers: matchers_from_proto(&request.matchers)?,
            max_resolution_ms: request.max_resolution_window,
            aggregates,
            partial_response: strategy_from_proto(
                request.partial_response_disabled,
                request.partial_response_strategy,
            ),
            skip_chunks: request.skip_chunks,
            hints: request.hints,
            query_hints: request.query_hints,
            shard: request.shard_info.filter(|shard| shard.total_shards > 0),
            without_replica_labels: request.without_replica_labels,
            limit: u64::try_from(request.limit).unwrap_or(0),
            batch_size: usize::try_from(request.response_batch_size).unwrap_or(0),
            store_match: Vec::new(),
            tenant: None,
        })
    }
}

/// Asks for label names, or for the values of one label.
#[derive(Debug, Clone, Default)]
pub struct LabelsRequest {
    /// Inclusive, milliseconds; without one, all of time.
    pub range: Option<TimeRange>,
    /// Only series that match all of these; none means every series.
    pub matchers: Vec<Matcher>,
    pub partial_response: PartialResponse,
    /// Packed request hints, passed on as they are.
    pub hints: Option<Any>,
    /// These are absent from the names and have no values.
    pub without_replica_labels: Vec<String>,
    /// Largest number of results; 0 is no limit.
    pub limit: u64,
    /// See [`SeriesRequest::store_match`].
    pub store_match: Vec<Vec<Matcher>>,
    /// Travels as metadata, not in the message.
    pub tenant: Option<String>,
}

impl LabelsRequest {
    /// Returns the range asked for; without one, all of time.
    #[must_use]
    pub fn time_range(&self) -> TimeRange {
        self.range.unwrap_or(TimeRange::ALL)
    }

    /// Returns the message that asks a peer for names.
    #[must_use]
    pub fn to_names_proto(&self) -> pb::LabelNamesRequest {
        let range = self.time_range();
        pb::LabelNamesRequest {
            partial_response_disabled: self.partial_response == PartialResponse::Abort,
            partial_response_strategy: strategy_to_proto(self.partial_response),
            start: range.start,
            end: range.end,
            hints: self.hints.clone(),
            matchers: matchers_to_proto(&self.matchers),
            without_replica_labels: self.without_replica_labels.clone(),
            limit: i64::try_from(self.limit).unwrap_or(i64::MAX),
        }
    }

    /// Returns the message that asks a peer for the values of `label`.
    #[must_use]
    pub fn to_values_proto(&self, label: &str) -> pb::LabelValuesRequest {
        let names = self.to_names_proto();
        pb::LabelValuesRequest {
            label: label.to_owned(),
            partial_response_disabled: names.partial_response_disabled,
            partial_response_strategy: names.partial_response_strategy,
            start: names.start,
            end: names.end,
            hints: names.hints,
            matchers: names.matchers,
            without_replica_labels: names.without_replica_labels,
            limit: names.limit,
        }
    }

    /// Returns the typed request of a message for names.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for a matcher that does not parse.
    pub fn try_from_names_proto(request: pb::LabelNamesRequest) -> Result<Self, StoreError> {
        Ok(Self {
            range: Some(TimeRange::new(request.start, request.end)),
            matchers: matchers_from_proto(&request.matchers)?,
            partial_response: strategy_from_proto(
                request.partial_response_disabled,
                request.partial_response_strategy,
            ),
            hints: request.hints,
            without_replica_labels: request.without_replica_labels,
            limit: u64::try_from(request.limit).unwrap_or(0),
            store_match: Vec::new(),
            tenant: None,
        })
    }

    /// Returns the label and the typed request of a message for values.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for an empty label or a matcher that does not parse.
    pub fn try_from_values_proto(
        request: pb::LabelValuesRequest,
    ) -> Result<(String, Self), StoreError> {
        if request.label.is_empty() {
            return Err(StoreError::invalid("label name parameter cannot be empty"));
        }
        let typed = Self::try_from_names_proto(pb::LabelNamesRequest {
            partial_response_disabled: request.partial_response_disabled,
            partial_response_strategy: request.partial_response_strategy,
            start: request.start,
            end: request.end,
            hints: request.hints,
            matchers: request.matchers,
            without_replica_labels: request.without_replica_labels,
            limit: request.limit,
        })?;
        Ok((request.label, typed))
    }
}

/// Returns the wire's form of matchers.
#[must_use]
pub fn matchers_to_proto(matchers: &[Matcher]) -> Vec<pb::LabelMatcher> {
    use pb::label_matcher::Type;
    matchers
        .iter()
        .map(|matcher| pb::LabelMatcher {
            r#type: match matcher.op {
                MatchOp::Equal => Type::Eq,
                MatchOp::NotEqual => Type::Neq,
                MatchOp::Regex => Type::Re,
                MatchOp::NotRegex => Type::Nre,
            }
            .into(),
            name: matcher.name.clone(),
            value: matcher.value.clone(),
        })
        .collect()
}

/// Returns matchers of the wire's form.
///
/// # Errors
/// [`StoreError::Invalid`] for an unknown operator or a regular expression that RE2 would refuse.
pub fn matchers_from_proto(matchers: &[pb::LabelMatcher]) -> Result<Vec<Matcher>, StoreError> {
    use pb::label_matcher::Type;
    matchers
        .iter()
        .map(|matcher| {
            let op = match Type::try_from(matcher.r#type) {
                Ok(Type::Eq) => MatchOp::Equal,
                Ok(Type::Neq) => MatchOp::NotEqual,
                Ok(Type::Re) => MatchOp::Regex,
                Ok(Type::Nre) => MatchOp::NotRegex,
                Err(_) => {
                    let number = matcher.r#type;
                    return Err(StoreError::invalid(format!(
                        "unknown matcher type {number}"
                    )));
                }
            };
            Matcher::new(op, &matcher.name, &matcher.value)
                .map_err(|e| StoreError::invalid(format!("matcher on {:?}: {e}", matcher.name)))
        })
        .collect()
}

fn strategy_to_proto(partial_response: PartialResponse) -> i32 {
    match partial_response {
        PartialResponse::Warn => pb::PartialResponseStrategy::Warn.into(),
        PartialResponse::Abort => pb::PartialResponseStrategy::Abort.into(),
    }
}

/// Returns the strategy; the deprecated flag, where set, also means abort.
#[must_use]
pub fn strategy_from_proto(disabled: bool, strategy: i32) -> PartialResponse {
    if disabled || strategy == i32::from(pb::PartialResponseStrategy::Abort) {
        PartialResponse::Abort
    } else {
        PartialResponse::Warn
    }
}
