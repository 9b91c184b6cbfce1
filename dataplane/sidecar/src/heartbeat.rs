//! Asks Prometheus regularly who it is: its external labels, its oldest sample, whether it answers.

use std::sync::Arc;
use std::time::Duration;

use model::Labels;
use runtime::clock::Clock;
use tokio::sync::watch;

use crate::metrics::SidecarMetrics;
use crate::prometheus::{Prometheus, PrometheusError};
use crate::reload::chain;
use crate::store::Identity;

/// How often Prometheus is asked until it has answered with its labels.
const UNTIL_KNOWN: Duration = Duration::from_millis(500);

/// Why a Prometheus without external labels is not served.
pub const NO_LABELS: &str = "prometheus has no external labels; set global.external_labels, they \
                             identify its series and blocks among those of others";

/// What the probe is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heartbeat {
    Starting,
    Up,
    Down(String),
}

/// Keeps [`Identity`] fresh.
#[derive(Debug)]
pub struct Pulse {
    pub prometheus: Prometheus,
    pub min_time: i64,
    pub interval: Duration,
    pub metrics: SidecarMetrics,
    pub clock: Arc<dyn Clock>,
    pub identity: watch::Sender<Identity>,
    pub heartbeat: watch::Sender<Heartbeat>,
}

impl Pulse {
    /// Runs until it is dropped.
    pub async fn run(self) {
        loop {
            let beat = match self.ask().await {
                Ok(()) => Heartbeat::Up,
                Err(err) => Heartbeat::Down(err),
            };
            self.metrics
                .prometheus_up
                .set(i64::from(beat == Heartbeat::Up));
            self.heartbeat.send_if_modified(|last| {
                let changed = *last != beat;
                if changed && let Heartbeat::Down(reason) = &beat {
                    tracing::warn!(reason, "prometheus cannot be served");
                }
                last.clone_from(&beat);
                changed
            });
            let known = self.identity.borrow().known;
            tokio::time::sleep(if known { self.interval } else { UNTIL_KNOWN }).await;
        }
    }

    async fn ask(&self) -> Result<(), String> {
        let text = |err: PrometheusError| chain(&err);
        self.prometheus.ready().await.map_err(text)?;
        let external_labels = self.prometheus.external_labels().await.map_err(text)?;
        if external_labels.is_empty() {
            self.set(Identity::default());
            return Err(NO_LABELS.to_owned());
        }
        let lowest = self.prometheus.lowest_timestamp().await.map_err(text)?;
        let min_time = lowest.unwrap_or(self.min_time).max(self.min_time);
        self.metrics
            .last_heartbeat
            .set(self.clock.now_ms() as f64 / 1_000.0);
        self.set(Identity {
            external_labels,
            min_time,
            known: true,
        });
        Ok(())
    }

    fn set(&self, next: Identity) {
        self.identity.send_if_modified(|identity| {
            let changed = *identity != next;
            if changed && identity.external_labels != next.external_labels {
                log_labels(&next.external_labels);
            }
            *identity = next;
            changed
        });
    }
}

fn log_labels(labels: &Labels) {
    tracing::info!(external_labels = %labels, "prometheus' external labels");
}
