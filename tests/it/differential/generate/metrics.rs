//! What the generator knows of the data set's metrics.

use super::{Node, Shift};

/// The series of a metric.
#[derive(Debug)]
pub(crate) struct Family {
    pub(crate) name: &'static str,
    /// Whether the name has to stand in quotes inside the braces.
    pub(crate) is_quoted: bool,
    pub(crate) is_counter: bool,
    /// Names with some of their values.
    pub(crate) labels: &'static [(&'static str, &'static [&'static str])],
}

const fn gauge(name: &'static str, labels: Labels) -> Family {
    Family {
        name,
        is_quoted: false,
        is_counter: false,
        labels,
    }
}

const fn counter(name: &'static str, labels: Labels) -> Family {
    Family {
        name,
        is_quoted: false,
        is_counter: true,
        labels,
    }
}

type Labels = &'static [(&'static str, &'static [&'static str])];

const JOB: (&str, &[&str]) = ("job", &["api", "web"]);
const INSTANCE: (&str, &[&str]) = (
    "instance",
    &[
        "api-0:8080",
        "api-1:8080",
        "api-2:8080",
        "api-3:8080",
        "web-0:8080",
    ],
);
const QUEUE: (&str, &[&str]) = ("queue", &["mail", "print", "sms", "audio", "none"]);
const REGION: (&str, &[&str]) = ("region", &["eu", "us"]);

pub(crate) const FAMILIES: &[Family] = &[
    counter(
        "http_requests_total",
        &[JOB, INSTANCE, ("code", &["200", "404", "500"])],
    ),
    counter(
        "http_requests_total",
        &[JOB, INSTANCE, ("code", &["200", "404", "500"])],
    ),
    gauge("up", &[JOB, INSTANCE]),
    gauge(
        "build_info",
        &[JOB, INSTANCE, ("version", &["1.0", "1.1", "1.2"])],
    ),
    gauge("memory_bytes", &[JOB, INSTANCE]),
    counter(
        "request_duration_seconds_bucket",
        &[JOB, INSTANCE, ("le", &["0.01", "0.1", "1", "10", "+Inf"])],
    ),
    counter("request_duration_seconds_sum", &[JOB, INSTANCE]),
    counter("request_duration_seconds_count", &[JOB, INSTANCE]),
    counter(
        "cpu_seconds_total",
        &[
            ("cpu", &["0", "1"]),
            ("instance", &["api-0:8080", "api-1:8080", "db-0:9100"]),
            ("mode", &["idle", "iowait", "system", "user"]),
        ],
    ),
    counter(
        "odd_bucket",
        &[
            ("kind", &["no_inf", "falling", "negative", "empty"]),
            ("le", &["1", "10", "+Inf"]),
        ],
    ),
    gauge(
        "temperature_celsius",
        &[
            ("floor", &["0", "1"]),
            ("room", &["attic", "cellar", "hall", "kitchen"]),
        ],
    ),
    gauge("state", &[("id", &["0", "1", "2", "3", "4"])]),
    gauge("queue_length", &[QUEUE, REGION]),
    gauge("queue_capacity", &[QUEUE, REGION]),
    gauge("region_weight", &[REGION, ("continent", &["x"])]),
    counter(
        "restarts_total",
        &[
            ("namespace", &["batch", "live"]),
            ("pod", &["worker-0", "worker-4", "worker-9"]),
        ],
    ),
    gauge("sparse", &[("i", &["0", "1", "2"])]),
    gauge("single", &[]),
    gauge("extreme", &[]),
    gauge("cancelling", &[("shift", &["0", "1", "2", "3"])]),
    counter("tick", &[]),
    gauge("irregular", &[]),
    gauge("flapping", &[("marker", &["yes", "no"])]),
    gauge(
        "odd_labels",
        &[("unicode", &["日本語 é"]), ("blank", &[" "])],
    ),
    Family {
        name: "dotted.name with space",
        is_quoted: true,
        is_counter: true,
        labels: &[("\"a.b\"", &["1"]), ("c", &["2"])],
    },
    gauge("date_seconds", &[]),
    counter("nh_duration_seconds", &[JOB, INSTANCE]),
    counter("nh_duration_seconds", &[JOB, INSTANCE]),
    counter("nhcb_latency_seconds", &[JOB, INSTANCE]),
    counter("nh_float", &[("i", &["0", "1", "2", "3"])]),
    gauge("nh_gauge", &[("room", &["attic", "cellar", "hall"])]),
    counter("nh_changing", &[("what", &["schema", "bounds"])]),
    counter("mixed", &[("kind", &["float_first", "histogram_first"])]),
    counter("both_seconds", &[("le", &["1", "2", "+Inf"])]),
    counter("nh_nan", &[]),
    counter("nh_empty", &[]),
];

/// The metrics with native histograms.
pub(crate) const NATIVE: &[&str] = &[
    "nh_duration_seconds",
    "nh_duration_seconds",
    "nhcb_latency_seconds",
    "nhcb_latency_seconds",
    "nh_float",
    "nh_gauge",
    "nh_changing",
    "mixed",
    "both_seconds",
    "nh_nan",
    "nh_empty",
];

/// Returns the family of that name.
pub(crate) fn by_name(name: &str) -> &'static Family {
    FAMILIES
        .iter()
        .find(|family| family.name == name)
        .expect("a metric of the data set")
}

/// Returns the families that the expression selects by name.
pub(crate) fn families_in(node: &Node) -> Vec<&'static Family> {
    let mut found: Vec<&'static Family> = match node {
        Node::Selector(selector) => FAMILIES
            .iter()
            .filter(|family| family.name == selector.metric)
            .collect(),
        _ => Vec::new(),
    };
    for child in node.children() {
        found.extend(families_in(child));
    }
    found
}

/// Gives every selector and subquery of the expression the shift.
pub(crate) fn shift_selectors(node: &mut Node, to: &Shift) {
    match node {
        Node::Selector(selector) => selector.shift = to.clone(),
        Node::Subquery { shift, .. } => *shift = to.clone(),
        _ => {}
    }
    for child in node.children_mut() {
        shift_selectors(child, to);
    }
}
