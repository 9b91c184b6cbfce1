//! Images of all containers.

use crds::MonitoringStackSpec;
use crds::images::PullPolicy;

use super::{Check, Reason};
use crate::settings::VERSITYGW_IMAGE;

/// Images of all containers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Images {
    pub hindsight: String,
    pub versitygw: String,
    pub pull_policy: PullPolicy,
    pub pull_secrets: Vec<String>,
}

impl Check<'_> {
    pub(super) fn images(&mut self, spec: &MonitoringStackSpec) -> Images {
        Images {
            hindsight: self.image(
                "spec.images.hindsight",
                spec.images.hindsight.as_deref(),
                &self.settings.hindsight_image.clone(),
            ),
            versitygw: self.image(
                "spec.images.versitygw",
                spec.images.versitygw.as_deref(),
                VERSITYGW_IMAGE,
            ),
            pull_policy: spec.images.pull_policy,
            pull_secrets: spec.images.pull_secrets.clone(),
        }
    }

    pub(super) fn image(&mut self, path: &str, chosen: Option<&str>, default: &str) -> String {
        let image = chosen.unwrap_or(default);
        // The defaults are the administrator's own choice.
        if chosen.is_some() && !self.settings.allows_image(image) {
            self.refuse_as(
                Reason::ImageNotAllowed,
                path,
                format!(
                    "{image:?} is not below an allowed prefix ({}); ask the administrator to add it to --allowed-images",
                    self.settings.allowed_images.join(", ")
                ),
            );
        }
        image.to_owned()
    }
}
