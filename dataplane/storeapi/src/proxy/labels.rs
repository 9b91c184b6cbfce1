//! Label names and values of many stores.

use std::sync::Arc;

use futures::StreamExt;
use futures::stream::FuturesUnordered;

use super::{Asked, NO_ENDPOINTS, Proxy};
use crate::coverage::Coverage;
use crate::error::{ErrorKind, StoreError};
use crate::request::{LabelsRequest, PartialResponse};
use crate::store::LabelsAnswer;

impl Proxy {
    /// Names where `label` is `None`, else its values.
    pub(super) async fn labels(
        &self,
        label: Option<&str>,
        request: &Arc<LabelsRequest>,
    ) -> Result<(LabelsAnswer, Coverage), StoreError> {
        let Asked {
            endpoints,
            recorder,
            matchers,
            nobody,
        } = self.choose(
            &request.matchers,
            request.time_range(),
            &request.store_match,
            request.partial_response,
        )?;
        let forwarded = Arc::new(LabelsRequest {
            matchers,
            ..(**request).clone()
        });
        let mut calls: FuturesUnordered<_> = endpoints
            .iter()
            .zip(&recorder.stores)
            .map(async |(endpoint, record)| {
                let request = Arc::clone(&forwarded);
                let answer = match label {
                    None => endpoint.store.label_names(request).await,
                    Some(label) => endpoint.store.label_values(label, request).await,
                };
                record.end(
                    answer
                        .as_ref()
                        .err()
                        .map(|error| error as &dyn std::fmt::Display),
                );
                answer.map_err(|error| error.of_store(record.address()))
            })
            .collect();
        let mut merged = LabelsAnswer::default();
        if nobody {
            merged.warnings.push(NO_ENDPOINTS.to_owned());
        }
        while let Some(answer) = calls.next().await {
            match answer {
                Ok(answer) => {
                    merged.values.extend(answer.values);
                    merged.warnings.extend(answer.warnings);
                }
                Err(error) if request.partial_response == PartialResponse::Warn => {
                    merged.warnings.push(error.to_string());
                }
                Err(error) => return Err(StoreError::new(ErrorKind::Aborted, error.to_string())),
            }
        }
        drop(calls);
        merged.values.sort_unstable();
        merged.values.dedup();
        if request.limit > 0 {
            merged
                .values
                .truncate(usize::try_from(request.limit).unwrap_or(usize::MAX));
        }
        // They come in the order of the stores' speed.
        merged.warnings.sort_unstable();
        Ok((merged, recorder.snapshot()))
    }
}
