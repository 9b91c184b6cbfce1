use std::collections::BTreeMap;

use serde_json::json;

use super::super::build::Kind;
use super::super::dereference::References;
use super::super::observe::SidecarStatus;
use super::super::validate::{Reach, Reason, validate};
use super::*;
use crate::settings::Settings;

fn stack(embedded: bool) -> Stack {
    let spec = if embedded {
        json!({ "externalLabels": { "cluster": "c" }, "objectStorage": { "embedded": {} } })
    } else {
        json!({ "defaultScrapes": {} })
    };
    let resource: crds::MonitoringStack = serde_json::from_value(json!({
        "apiVersion": "hindsight.dev/v1alpha1",
        "kind": "MonitoringStack",
        "metadata": { "name": "demo", "namespace": "ns", "uid": "u" },
        "spec": spec,
    }))
    .expect("fits the type");
    let settings = Settings {
        cluster_stacks: ["ns".to_owned()].into(),
        ..Settings::default()
    };
    validate(&resource, &References::default(), &settings).expect("valid")
}

fn workload(name: &str, ready: i64, wanted: i64) -> Workload {
    Workload {
        kind: Kind::StatefulSet,
        name: name.to_owned(),
        wanted,
        ready,
        updated: wanted,
        observed: true,
    }
}

fn replica(n: u8, hash: Option<&str>) -> PodState {
    PodState {
        name: format!("demo-prometheus-{n}"),
        component: "prometheus".to_owned(),
        is_ready: true,
        sidecar: hash.map(|hash| SidecarStatus {
            config_hash: Some(hash.to_owned()),
            ..SidecarStatus::default()
        }),
        ..PodState::default()
    }
}

struct Scene {
    stack: Stack,
    workloads: Vec<Workload>,
    pods: Vec<PodState>,
    missing: BTreeSet<String>,
    default_class: Option<bool>,
    paused: bool,
}

/// A stack of which all is well.
fn scene() -> Scene {
    Scene {
        stack: stack(true),
        workloads: vec![
            workload("demo-prometheus", 2, 2),
            workload("demo-query", 1, 1),
            workload("demo-store", 1, 1),
            workload("demo-compact", 1, 1),
            workload("demo-s3", 1, 1),
        ],
        pods: vec![replica(0, Some("hash")), replica(1, Some("hash"))],
        missing: BTreeSet::new(),
        default_class: None,
        paused: false,
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("time")
}

fn status_of(scene: &Scene, previous: &MonitoringStackStatus, now: i64) -> MonitoringStackStatus {
    let observed = Observed {
        stack: &scene.stack,
        workloads: &scene.workloads,
        pods: &scene.pods,
        config_hash: "hash",
        missing_rule_config_maps: &scene.missing,
        growing_claims: &[],
        has_default_storage_class: scene.default_class,
        is_paused: scene.paused,
    };
    status(previous, Some(1), &Outcome::Observed(observed), at(now))
}

fn find<'a>(status: &'a MonitoringStackStatus, kind: &str) -> Option<(&'a str, &'a str)> {
    let found = status
        .conditions
        .iter()
        .find(|condition| condition.type_ == kind)?;
    Some((&found.status, &found.reason))
}

#[test]
fn a_stack_of_which_all_is_well_is_ready_and_nothing_else() {
    let status = status_of(&scene(), &MonitoringStackStatus::default(), 10);
    let kinds: Vec<_> = status
        .conditions
        .iter()
        .map(|one| (one.type_.as_str(), one.status.as_str()))
        .collect();
    assert_eq!(
        kinds,
        [
            ("Ready", "True"),
            ("PrometheusReady", "True"),
            ("PrometheusConfigured", "True"),
            ("QueryReady", "True"),
            ("StoreReady", "True"),
            ("CompactorReady", "True"),
            ("ObjectStorageReady", "True"),
        ]
    );
    assert_eq!(status.prometheus.as_deref(), Some("2/2"));
    assert_eq!(status.components.as_deref(), Some("4/4"));
    assert_eq!(status.bucket.as_deref(), Some("embedded"));
    assert_eq!(
        status.endpoints.expect("endpoints").query,
        "http://demo-query.ns.svc:10902"
    );
}

#[test]
fn one_change_of_the_scene_changes_one_condition() {
    type Change = Box<dyn Fn(&mut Scene)>;
    let cases: Vec<(Change, &str, (&str, &str))> = vec![
        (
            Box::new(|s| s.workloads[0].ready = 1),
            "PrometheusReady",
            ("False", "ReplicasNotReady"),
        ),
        (
            Box::new(|s| s.workloads[0].updated = 1),
            "PrometheusReady",
            ("False", "RollingOut"),
        ),
        (
            Box::new(|s| s.workloads[0].observed = false),
            "PrometheusReady",
            ("False", "ReplicasNotReady"),
        ),
        (
            Box::new(|s| s.workloads[1].ready = 0),
            "QueryReady",
            ("False", "ReplicasNotReady"),
        ),
        (
            Box::new(|s| s.workloads[2].ready = 0),
            "StoreReady",
            ("False", "ReplicasNotReady"),
        ),
        (
            Box::new(|s| s.workloads[3].ready = 0),
            "CompactorReady",
            ("False", "ReplicasNotReady"),
        ),
        (
            Box::new(|s| s.workloads[4].ready = 0),
            "ObjectStorageReady",
            ("False", "ReplicasNotReady"),
        ),
        (
            Box::new(|s| s.pods[1] = replica(1, None)),
            "PrometheusConfigured",
            ("False", "SidecarUnreachable"),
        ),
        (
            Box::new(|s| s.pods[1] = replica(1, Some("old"))),
            "PrometheusConfigured",
            ("False", "ReloadPending"),
        ),
        (
            Box::new(|s| {
                s.pods[0].sidecar = Some(SidecarStatus {
                    config_hash: Some("old".to_owned()),
                    config_error: Some("line 3: unknown field".to_owned()),
                    ..SidecarStatus::default()
                });
            }),
            "PrometheusConfigured",
            ("False", "ReloadFailed"),
        ),
        (
            Box::new(|s| {
                s.pods.pop();
            }),
            "PrometheusConfigured",
            ("False", "ReplicasMissing"),
        ),
        (
            Box::new(|s| {
                s.missing.insert("alerts".to_owned());
            }),
            "PrometheusConfigured",
            ("False", "RuleConfigMapNotFound"),
        ),
        (
            Box::new(|s| {
                let sidecar = s.pods[0].sidecar.as_mut().expect("sidecar");
                sidecar.upload_error = Some("access denied".to_owned());
            }),
            "ObjectStorageReady",
            ("False", "UploadFailed"),
        ),
    ];
    for (change, kind, expected) in cases {
        let mut scene = scene();
        change(&mut scene);
        let status = status_of(&scene, &MonitoringStackStatus::default(), 10);
        assert_eq!(find(&status, kind), Some(expected));
        assert_eq!(
            find(&status, "Ready"),
            Some(("False", expected.1)),
            "{kind}"
        );
        assert_eq!(
            find(&status, "Reconciling").map(|found| found.0),
            Some("True")
        );
        let unhappy = status
            .conditions
            .iter()
            .filter(|one| one.status == "False")
            .count();
        assert_eq!(unhappy, 2, "{kind}: {:?}", status.conditions);
    }
}

#[test]
fn conditions_that_speak_only_while_true() {
    let mut limited = scene();
    limited.stack.reach = Reach::Namespace;
    limited.default_class = Some(false);
    limited.paused = true;
    let status = status_of(&limited, &MonitoringStackStatus::default(), 10);
    for kind in ["ScopeLimited", "NoStorageClass", "Paused"] {
        assert_eq!(
            find(&status, kind).map(|found| found.0),
            Some("True"),
            "{kind}"
        );
    }
    let status = status_of(&scene(), &status, 20);
    for kind in [
        "ScopeLimited",
        "NoStorageClass",
        "Paused",
        "Reconciling",
        "Stalled",
    ] {
        assert_eq!(find(&status, kind), None, "{kind}");
    }
}

#[test]
fn a_transition_time_moves_only_with_the_status() {
    let first = status_of(&scene(), &MonitoringStackStatus::default(), 10);
    let again = status_of(&scene(), &first, 20);
    assert_eq!(again, first);
    let mut broken = scene();
    broken.workloads[1].ready = 0;
    let broken = status_of(&broken, &first, 30);
    let time = |status: &MonitoringStackStatus, kind: &str| {
        let found = status
            .conditions
            .iter()
            .find(|condition| condition.type_ == kind);
        found.expect("condition").last_transition_time.0.as_second()
    };
    assert_eq!(time(&broken, "QueryReady"), 30);
    assert_eq!(time(&broken, "PrometheusReady"), 10);
}

#[test]
fn a_changed_label_is_named_until_the_next_change() {
    let first = status_of(&scene(), &MonitoringStackStatus::default(), 10);
    let mut changed = scene();
    changed
        .stack
        .external_labels
        .insert("cluster".to_owned(), "d".to_owned());
    let second = status_of(&changed, &first, 20);
    let message = &second
        .conditions
        .iter()
        .find(|condition| condition.type_ == "StreamIdentityChanged")
        .expect("condition")
        .message;
    assert!(
        message.contains("cluster=\"c\"") && message.contains("cluster=\"d\""),
        "{message}"
    );
    let third = status_of(&changed, &second, 30);
    assert_eq!(third, second);
}

#[test]
fn invalid_input_is_stalled_and_keeps_what_is_known_of_components() {
    let good = status_of(&scene(), &MonitoringStackStatus::default(), 10);
    let invalid = [Invalid {
        path: "spec.objectStorage.secretRef".to_owned(),
        problem: "Secret \"a\" does not exist".to_owned(),
        reason: Reason::SecretNotFound,
    }];
    let status = status(&good, Some(2), &Outcome::Invalid(&invalid), at(20));
    assert_eq!(find(&status, "Ready"), Some(("False", "SecretNotFound")));
    assert_eq!(find(&status, "Stalled"), Some(("True", "SecretNotFound")));
    assert_eq!(
        find(&status, "ObjectStorageReady"),
        Some(("False", "SecretNotFound"))
    );
    assert_eq!(
        find(&status, "PrometheusReady"),
        Some(("True", "AllReplicasReady"))
    );
    assert_eq!(find(&status, "Reconciling"), None);
    assert_eq!(status.observed_generation, Some(2));
    assert_eq!(status.endpoints, good.endpoints);
}

#[test]
fn a_failed_write_is_reconciling_unless_a_person_must_help() {
    let error = ApplyError::Taken {
        kind: Kind::Secret,
        name: "demo-objstore".to_owned(),
    };
    let stalled = status(
        &MonitoringStackStatus::default(),
        Some(1),
        &Outcome::Failed(&error),
        at(1),
    );
    assert_eq!(find(&stalled, "Stalled"), Some(("True", "NameTaken")));
    let error = ApplyError::TimedOut {
        verb: "apply",
        what: "Service \"a\"".to_owned(),
    };
    let failed = status(
        &MonitoringStackStatus::default(),
        Some(1),
        &Outcome::Failed(&error),
        at(1),
    );
    assert_eq!(find(&failed, "Reconciling"), Some(("True", "ApplyFailed")));
    assert_eq!(find(&failed, "Stalled"), None);
}

#[test]
fn events_tell_of_flips_and_of_nothing_else() {
    let none = MonitoringStackStatus::default();
    let good = status_of(&scene(), &none, 10);
    assert!(transitions(&good, &good).is_empty());
    let mut broken = scene();
    broken.workloads[1].ready = 0;
    let broken = status_of(&broken, &good, 20);
    let kinds: Vec<_> = transitions(&good, &broken)
        .into_iter()
        .map(|transition| (transition.kind, transition.is_warning))
        .collect();
    assert_eq!(
        kinds,
        [("Ready".to_owned(), true), ("QueryReady".to_owned(), true)]
    );
    let back: Vec<_> = transitions(&broken, &good)
        .into_iter()
        .map(|t| (t.is_warning, t.message))
        .collect();
    // An event shows no condition type, so the message of a component's names it.
    assert!(back.iter().all(|(is_warning, _)| !is_warning));
    assert_eq!(back[0].1, "all components are ready");
    assert!(back[1].1.starts_with("QueryReady: "), "{}", back[1].1);
}

#[test]
fn a_newer_upload_alone_is_not_significant() {
    let mut with_upload = scene();
    with_upload.pods[0]
        .sidecar
        .as_mut()
        .expect("sidecar")
        .last_upload = Some(5_500);
    let none = status_of(&scene(), &MonitoringStackStatus::default(), 10);
    let first = status_of(&with_upload, &none, 10);
    assert!(is_significant(&none, &first));
    with_upload.pods[1]
        .sidecar
        .as_mut()
        .expect("sidecar")
        .last_upload = Some(9_000);
    let second = status_of(&with_upload, &first, 10);
    assert_ne!(second, first);
    assert!(!is_significant(&first, &second));
}

#[test]
fn a_second_uploader_of_the_same_stream_is_told() {
    use super::super::observe::DuplicateStream;
    let stream = |prometheus: &str| DuplicateStream {
        labels: BTreeMap::from(
            [
                ("cluster", "c"),
                ("prometheus", prometheus),
                ("prometheus_replica", "demo-prometheus-0"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
        ),
        blocks: vec!["A".to_owned(), "B".to_owned()],
    };
    let store = |streams: Vec<DuplicateStream>| PodState {
        name: "demo-store-0".to_owned(),
        component: "store".to_owned(),
        is_ready: true,
        duplicate_streams: streams,
        ..PodState::default()
    };
    let mut scene = scene();
    scene.pods.push(store(vec![stream("other/demo")]));
    let status = status_of(&scene, &MonitoringStackStatus::default(), 1);
    assert_eq!(find(&status, "DuplicateStream"), None);
    scene.pods.push(store(vec![stream("ns/demo")]));
    let status = status_of(&scene, &status, 2);
    assert_eq!(
        find(&status, "DuplicateStream"),
        Some(("True", "SameLabelsFromTwoUploaders"))
    );
}

#[test]
fn what_nobody_looked_at_is_not_over() {
    let mut scene = scene();
    scene.stack.reach = Reach::Namespace;
    let limited = status_of(&scene, &MonitoringStackStatus::default(), 1);
    assert!(find(&limited, "ScopeLimited").is_some());
    let invalid = [Invalid {
        path: "spec.prometheus.retention".to_owned(),
        problem: "must be longer than zero".to_owned(),
        reason: Reason::InvalidSpec,
    }];
    let stalled = status(&limited, Some(2), &Outcome::Invalid(&invalid), at(2));
    assert!(find(&stalled, "ScopeLimited").is_some());
    let told = |old: &MonitoringStackStatus, new: &MonitoringStackStatus| -> Vec<String> {
        let transitions = transitions(old, new).into_iter();
        transitions.map(|transition| transition.reason).collect()
    };
    assert!(!told(&limited, &stalled).contains(&"ScopeLimitedOver".to_owned()));
    scene.stack.reach = Reach::Cluster;
    let fine = status_of(&scene, &stalled, 3);
    let told = told(&stalled, &fine);
    for over in ["ScopeLimitedOver", "StalledOver"] {
        assert!(told.contains(&over.to_owned()), "{over}: {told:?}");
    }
}
