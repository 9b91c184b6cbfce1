//! The section `compact`.

use crds::MonitoringStackSpec;
use crds::compact::Deduplication;
use crds::workload::PodOptions;

use super::{Check, Container, Volume, args};

const HOUR_MS: i64 = 3_600_000;
/// Blocks are downsampled to five minutes when they are so old.
const FIVE_MINUTES_AFTER_MS: i64 = 40 * HOUR_MS;
/// And to one hour when they are so old.
const ONE_HOUR_AFTER_MS: i64 = 10 * 24 * HOUR_MS;

/// The validated section `compact`, where there is something to compact.
#[derive(Clone, Debug, PartialEq)]
pub struct Compact {
    /// How long each resolution is kept; for ever where nothing is said.
    pub retention_raw: Option<String>,
    pub retention_five_minutes: Option<String>,
    pub retention_one_hour: Option<String>,
    pub downsampling: bool,
    pub deduplication: Deduplication,
    pub concurrency: i32,
    pub delete_delay: String,
    pub volume: Volume,
    pub container: Container,
    pub pod: PodOptions,
}

impl Check<'_> {
    pub(super) fn compact(&mut self, spec: &MonitoringStackSpec) -> Option<Compact> {
        let section = &spec.compact;
        if spec.object_storage.is_none() || !section.enabled {
            return None;
        }
        let path = "spec.compact";
        let retention = &section.retention;
        for (name, length, least) in [
            ("raw", &retention.raw, FIVE_MINUTES_AFTER_MS),
            ("fiveMinutes", &retention.five_minutes, ONE_HOUR_AFTER_MS),
            ("oneHour", &retention.one_hour, 0),
        ] {
            let Some(length) = length else { continue };
            let path = format!("{path}.retention.{name}");
            let ms = self.duration_ms(&path, length);
            if section.downsampling && 0 < ms && ms < least {
                self.refuse(
                    &path,
                    format!(
                        "must be at least {}h with downsampling: data would be dropped before it is downsampled",
                        least / HOUR_MS
                    ),
                );
            }
        }
        if !(1..=64).contains(&section.concurrency) {
            self.refuse(&format!("{path}.concurrency"), "must lie between 1 and 64");
        }
        if model::parse_duration(&section.delete_delay).is_err() {
            let problem = format!("{:?} is no duration such as 48h", section.delete_delay);
            self.refuse(&format!("{path}.deleteDelay"), problem);
        }
        Some(Compact {
            retention_raw: retention.raw.clone(),
            retention_five_minutes: retention.five_minutes.clone(),
            retention_one_hour: retention.one_hour.clone(),
            downsampling: section.downsampling,
            deduplication: section.deduplication,
            concurrency: section.concurrency,
            delete_delay: section.delete_delay.clone(),
            volume: self.volume(&format!("{path}.storage"), &section.storage, "50Gi"),
            container: self.container(path, &section.container, &args::COMPACT),
            pod: self.pod(path, &section.pod),
        })
    }
}
