//! The section `sidecar`.

use crds::MonitoringStackSpec;

use super::{Check, Container, args};

/// The validated section `sidecar`.
#[derive(Clone, Debug, PartialEq)]
pub struct Sidecar {
    pub block_duration: Option<BlockDuration>,
    pub container: Container,
}

/// Length of the blocks that Prometheus cuts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockDuration {
    pub text: String,
    pub ms: i64,
}

impl Check<'_> {
    pub(super) fn sidecar(&mut self, spec: &MonitoringStackSpec) -> Sidecar {
        let path = "spec.sidecar.blockDuration";
        let block_duration = spec.sidecar.block_duration.as_ref().map(|text| {
            let ms = self.duration_ms(path, text);
            if 0 < ms && ms < 120_000 {
                self.refuse(path, "must be at least 2m");
            }
            BlockDuration {
                text: text.clone(),
                ms,
            }
        });
        Sidecar {
            block_duration,
            container: self.container("spec.sidecar", &spec.sidecar.container, &args::SIDECAR),
        }
    }
}
