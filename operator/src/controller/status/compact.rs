//! `CompactorReady` beyond its replicas: what is kept for how long.

use super::Draft;
use crate::controller::validate::Compact;

/// Adds the retention to a condition that is true: "for ever" must not come as a surprise.
pub(super) fn with_retention(mut condition: Draft, compact: &Compact) -> Draft {
    if condition.status == "True" {
        let length =
            |length: &Option<String>| length.clone().unwrap_or_else(|| "for ever".to_owned());
        condition.message = format!(
            "{}; kept: raw {}, 5m {}, 1h {}",
            condition.message,
            length(&compact.retention_raw),
            length(&compact.retention_five_minutes),
            length(&compact.retention_one_hour),
        );
    }
    condition
}
