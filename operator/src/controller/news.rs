//! What is worth telling, as metrics and events: of the stack, and of each monitoring resource whose
//! verdict is new.

use std::collections::BTreeMap;

use crds::MonitoringStack;
use crds::coreos::Kind;
use crds::status::Rejected;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::ResourceExt as _;
use kube::runtime::events::{Event, EventType};

use super::{Context, Object, status};
use crate::coreos::Verdict;

impl Context {
    /// Counts the verdicts, and tells each object whose verdict is news.
    pub(super) async fn judge(&self, resource: &MonitoringStack, verdicts: &[Verdict]) {
        let namespace = resource.namespace().unwrap_or_default();
        for kind in Kind::ALL {
            let (selected, rejected) = status::resources::count(verdicts, kind);
            self.metrics.set_resources(
                &namespace,
                &resource.name_any(),
                kind.as_str(),
                selected.into(),
                rejected.into(),
            );
        }
        let news = self.remember(resource, |memory| {
            let stored = resource.status.as_ref();
            let stored = stored.map(|status| status.rejected.as_slice());
            news_of(&mut memory.told, stored.unwrap_or_default(), verdicts)
        });
        for verdict in news {
            let rejection = verdict.rejection.clone().unwrap_or_default();
            let transition = status::Transition {
                kind: "Reconcile".to_owned(),
                reason: status::resources::INVALID_CONFIGURATION.to_owned(),
                message: format!(
                    "left out by MonitoringStack {namespace}/{}: {rejection}",
                    resource.name_any()
                ),
                is_warning: true,
            };
            let kind = verdict.kind;
            let reference = ObjectReference {
                api_version: Some(format!("{}/{}", crds::coreos::GROUP, kind.version())),
                kind: Some(kind.as_str().to_owned()),
                namespace: Some(verdict.namespace.clone()),
                name: Some(verdict.name.clone()),
                uid: Some(verdict.uid.clone()),
                ..ObjectReference::default()
            };
            self.tell(&reference, transition).await;
        }
    }

    /// Publishes an event. One that is lost is not worth another pass.
    pub(super) async fn tell(&self, reference: &ObjectReference, transition: status::Transition) {
        const MAX_NOTE_CHARS: usize = 900;
        let event = Event {
            type_: if transition.is_warning {
                EventType::Warning
            } else {
                EventType::Normal
            },
            reason: transition.reason,
            note: Some(transition.message.chars().take(MAX_NOTE_CHARS).collect()),
            action: transition.kind,
            secondary: None,
        };
        let what = "an event".to_owned();
        let published = self
            .applier
            .write(
                "publish",
                what,
                "Event",
                self.recorder.publish(&event, reference),
            )
            .await;
        if let Err(error) = published {
            tracing::warn!(error = error.message(), "event lost");
        }
    }
}

/// The rejections that `told` does not have yet; afterwards it has them. Before the first pass of a
/// process, what the stored status names has been told already, and where that list is full, so has
/// everything.
fn news_of<'a>(
    told: &mut Option<BTreeMap<Object, String>>,
    stored: &[Rejected],
    verdicts: &'a [Verdict],
) -> Vec<&'a Verdict> {
    let key = |verdict: &Verdict| {
        (
            verdict.kind,
            verdict.namespace.clone(),
            verdict.name.clone(),
        )
    };
    let is_first = told.is_none();
    let is_full = stored.len() >= status::resources::MAX_REJECTED;
    let known = told.take().unwrap_or_default();
    let mut news = Vec::new();
    let mut now = BTreeMap::new();
    for verdict in verdicts {
        let Some(problem) = &verdict.rejection else {
            continue;
        };
        let was_told = if is_first {
            is_full
                || stored.iter().any(|one| {
                    one.kind == verdict.kind.as_str()
                        && one.namespace == verdict.namespace
                        && one.name == verdict.name
                        && problem.starts_with(&one.message)
                })
        } else {
            known.get(&key(verdict)) == Some(problem)
        };
        if !was_told {
            news.push(verdict);
        }
        now.insert(key(verdict), problem.clone());
    }
    *told = Some(now);
    news
}
