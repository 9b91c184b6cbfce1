//! What every call about series may choose, and on whose behalf it is made.

use http::HeaderMap;

use super::Api;
use super::error::ApiError;
use super::form::Form;
use crate::config::AnswersConfig;
use crate::tenant::Tenant;

pub(super) use crate::service::Reach as Scope;

impl Scope {
    pub(super) fn decode(api: &Api, form: &Form, headers: &HeaderMap) -> Result<Self, ApiError> {
        let answers = &api.config.answers;
        let asked: Vec<String> = form.all("replicaLabels[]").map(str::to_owned).collect();
        Ok(Self {
            dedup: form.switch("dedup", true)?,
            replica_labels: if asked.is_empty() {
                answers.replica_labels.clone()
            } else {
                asked
            },
            partial_response: form.switch("partial_response", answers.partial_response)?,
            store_match: form.selectors("storeMatch[]")?,
            tenant: tenant(headers, answers)?,
        })
    }

    /// Returns the labels to strip.
    pub(super) fn stripped(&self) -> Vec<String> {
        if self.dedup {
            self.replica_labels.clone()
        } else {
            Vec::new()
        }
    }

    pub(super) fn strategy(&self) -> storeapi::PartialResponse {
        if self.partial_response {
            storeapi::PartialResponse::Warn
        } else {
            storeapi::PartialResponse::Abort
        }
    }
}

/// Reads the tenant from the request's header.
///
/// # Errors
/// A name that could not be a tenant's.
pub(super) fn tenant(headers: &HeaderMap, answers: &AnswersConfig) -> Result<Tenant, ApiError> {
    let invalid = || ApiError::bad_data("tenant name not valid");
    let named = headers.get(&answers.tenant_header);
    let name = match named.map(|value| value.to_str()) {
        Some(Ok(name)) if !name.is_empty() => name,
        Some(Err(_)) => return Err(invalid()),
        _ => answers.default_tenant.as_str(),
    };
    Tenant::new(name, answers.enforced_tenant_label.as_deref()).ok_or_else(invalid)
}
