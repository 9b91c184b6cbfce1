//! `/api/v1/openapi.yaml`: every call of the API with its parameters and answers.

use std::fmt::Write as _;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};

use super::State;

/// One call.
struct Call {
    path: &'static str,
    summary: &'static str,
    /// Whether a form may be posted instead.
    posts: bool,
    parameters: &'static [&'static [Parameter]],
    data: Data,
}

struct Parameter {
    name: &'static str,
    kind: Kind,
    required: bool,
    about: &'static str,
}

#[derive(Clone, Copy)]
enum Kind {
    Text,
    Texts,
    Switch,
    Integer,
    Time,
    Duration,
}

/// What a success has as `data`.
#[derive(Clone, Copy)]
enum Data {
    Query,
    Text,
    Texts,
    LabelSets,
    Object,
    List,
}

const fn optional(name: &'static str, kind: Kind, about: &'static str) -> Parameter {
    Parameter {
        name,
        kind,
        required: false,
        about,
    }
}

const fn required(name: &'static str, kind: Kind, about: &'static str) -> Parameter {
    Parameter {
        name,
        kind,
        required: true,
        about,
    }
}

const QUERY: &[Parameter] = &[required("query", Kind::Text, "PromQL expression.")];
const INSTANT: &[Parameter] = &[optional("time", Kind::Time, "Time of evaluation; now.")];
const RANGE: &[Parameter] = &[
    required("start", Kind::Time, "First step."),
    required("end", Kind::Time, "Last step at the latest."),
    optional(
        "step",
        Kind::Duration,
        "Distance of steps; a 250th of the range.",
    ),
];
const SPAN: &[Parameter] = &[
    optional("start", Kind::Time, "Nothing older counts."),
    optional("end", Kind::Time, "Nothing later counts."),
];
const EVALUATION: &[Parameter] = &[
    optional("timeout", Kind::Duration, "Give up after so long."),
    optional(
        "lookback_delta",
        Kind::Duration,
        "How far an instant selector looks back.",
    ),
    optional(
        "max_source_resolution",
        Kind::Text,
        "Coarsest data: a duration, 0s for raw, or auto.",
    ),
    optional(
        "engine",
        Kind::Text,
        "prometheus or thanos; there is one engine.",
    ),
    optional("stats", Kind::Text, "true or all: say what it cost."),
    optional("analyze", Kind::Switch, "Say what each operator read."),
    optional("coverage", Kind::Switch, "Say which stores took part."),
    optional(
        "shard_info",
        Kind::Text,
        "One shard of the series only, as JSON.",
    ),
];
const LIMIT: &[Parameter] = &[optional(
    "limit",
    Kind::Integer,
    "Longest result; 0 is any.",
)];
const SCOPE: &[Parameter] = &[
    optional("dedup", Kind::Switch, "Make replicas one series; true."),
    optional(
        "replicaLabels[]",
        Kind::Texts,
        "Labels that tell replicas apart.",
    ),
    optional(
        "partial_response",
        Kind::Switch,
        "Answer without stores that fail.",
    ),
    optional(
        "storeMatch[]",
        Kind::Texts,
        "Selectors of the stores to ask.",
    ),
];
const MATCH: &[Parameter] = &[optional("match[]", Kind::Texts, "Selectors of series.")];
const MATCH_REQUIRED: &[Parameter] = &[required("match[]", Kind::Texts, "Selectors of series.")];
const NAME: &[Parameter] = &[required(
    "name",
    Kind::Text,
    "Label name, escaped as U__ or not.",
)];
const RULES: &[Parameter] = &[
    optional("type", Kind::Text, "alert or record."),
    optional("rule_name[]", Kind::Texts, "Names of rules."),
    optional("rule_group[]", Kind::Texts, "Names of groups."),
    optional("file[]", Kind::Texts, "Files."),
    optional("exclude_alerts", Kind::Switch, "Leave active alerts out."),
];
const STATE: &[Parameter] = &[optional("state", Kind::Text, "active, dropped or any.")];
const METRIC: &[Parameter] = &[
    optional("metric", Kind::Text, "Name of one metric."),
    optional("limit", Kind::Integer, "Most metrics."),
];
const PEERS: &[Parameter] = &[
    optional("dedup", Kind::Switch, "Make replicas one; true."),
    optional(
        "replicaLabels[]",
        Kind::Texts,
        "Labels that tell replicas apart.",
    ),
    optional(
        "partial_response",
        Kind::Switch,
        "Answer without peers that fail.",
    ),
];

const fn call(path: &'static str, summary: &'static str, data: Data) -> Call {
    Call {
        path,
        summary,
        posts: false,
        parameters: &[],
        data,
    }
}

const fn with(call: Call, posts: bool, parameters: &'static [&'static [Parameter]]) -> Call {
    Call {
        posts,
        parameters,
        ..call
    }
}

const CALLS: [Call; 25] = [
    with(
        call(
            "/query",
            "Evaluates an expression at one time.",
            Data::Query,
        ),
        true,
        &[QUERY, INSTANT, LIMIT, EVALUATION, SCOPE],
    ),
    with(
        call(
            "/query_range",
            "Evaluates an expression over time.",
            Data::Query,
        ),
        true,
        &[QUERY, RANGE, LIMIT, EVALUATION, SCOPE],
    ),
    with(
        call(
            "/query_explain",
            "Lists the operators of an instant query.",
            Data::Object,
        ),
        true,
        &[QUERY, INSTANT, LIMIT, EVALUATION, SCOPE],
    ),
    with(
        call(
            "/query_range_explain",
            "Lists the operators of a range query.",
            Data::Object,
        ),
        true,
        &[QUERY, RANGE, LIMIT, EVALUATION, SCOPE],
    ),
    with(
        call(
            "/why",
            "Says why a selector finds something, or does not.",
            Data::Object,
        ),
        true,
        &[MATCH_REQUIRED, INSTANT, SCOPE],
    ),
    with(
        call("/series", "Lists series by their labels.", Data::LabelSets),
        true,
        &[MATCH_REQUIRED, SPAN, LIMIT, SCOPE],
    ),
    with(
        call("/labels", "Lists label names.", Data::Texts),
        true,
        &[MATCH, SPAN, LIMIT, SCOPE],
    ),
    with(
        call(
            "/label/{name}/values",
            "Lists the values of a label.",
            Data::Texts,
        ),
        false,
        &[NAME, MATCH, SPAN, LIMIT, SCOPE],
    ),
    with(
        call(
            "/parse_query",
            "Returns the syntax tree of an expression.",
            Data::Object,
        ),
        true,
        &[QUERY],
    ),
    with(
        call(
            "/format_query",
            "Returns an expression, laid out.",
            Data::Text,
        ),
        true,
        &[QUERY],
    ),
    call("/features", "Says which features are on.", Data::Object),
    with(
        call(
            "/read",
            "Remote read: snappy-compressed protocol buffers.",
            Data::Object,
        ),
        true,
        &[SCOPE],
    ),
    call("/stores", "Lists the endpoints by component.", Data::Object),
    with(
        call("/rules", "Lists rule groups.", Data::Object),
        false,
        &[RULES, MATCH, PEERS],
    ),
    with(
        call("/alerts", "Lists active alerts.", Data::Object),
        false,
        &[MATCH, PEERS],
    ),
    with(
        call("/targets", "Lists scrape targets.", Data::Object),
        false,
        &[STATE, PEERS],
    ),
    with(
        call(
            "/metadata",
            "Lists type, help and unit of metrics.",
            Data::Object,
        ),
        false,
        &[METRIC, PEERS],
    ),
    with(
        call(
            "/query_exemplars",
            "Lists exemplars of selected series.",
            Data::List,
        ),
        true,
        &[QUERY, SPAN, PEERS],
    ),
    call("/status/buildinfo", "Says what was built.", Data::Object),
    call(
        "/status/config",
        "Returns the configuration in Prometheus' form.",
        Data::Object,
    ),
    call(
        "/status/flags",
        "Lists flags and their values.",
        Data::Object,
    ),
    call("/status/runtimeinfo", "Says how it runs.", Data::Object),
    with(
        call(
            "/status/tsdb",
            "Adds up statistics of the endpoints' heads.",
            Data::Object,
        ),
        false,
        &[LIMIT, PEERS],
    ),
    call(
        "/status/hindsight",
        "Says how it is, for its operator.",
        Data::Object,
    ),
    call("/openapi.yaml", "This document.", Data::Object),
];

pub(super) async fn document(api: State) -> Response {
    let prefix = &api.config.web.route_prefix;
    let mut response = write(prefix, api.kit.build.version).into_response();
    let kind = HeaderValue::from_static("application/yaml; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// Writes the document. Texts here hold nothing that YAML would have to escape in quotes.
fn write(prefix: &str, version: &str) -> String {
    let mut out = format!(
        "openapi: 3.1.0\ninfo:\n  title: \"Hindsight query API\"\n  version: \"{version}\"\n\
         servers:\n- url: \"{prefix}/api/v1\"\npaths:\n"
    );
    for call in &CALLS {
        write_call(&mut out, call);
    }
    out.push_str(COMPONENTS);
    out
}

fn write_call(out: &mut String, call: &Call) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "  \"{}\":", call.path);
    let is_read = call.path == "/read";
    let gets = !is_read;
    for (method, is_there) in [("get", gets), ("post", call.posts)] {
        if !is_there {
            continue;
        }
        let _ = writeln!(out, "    {method}:\n      summary: \"{}\"", call.summary);
        let all: Vec<&Parameter> = call.parameters.iter().copied().flatten().collect();
        let in_path =
            |parameter: &&&Parameter| call.path.contains(&format!("{{{}}}", parameter.name));
        let form = method == "post" && !is_read;
        let listed: Vec<_> = all
            .iter()
            .filter(|parameter| !form || in_path(parameter))
            .collect();
        if !listed.is_empty() {
            let _ = writeln!(out, "      parameters:");
        }
        for parameter in listed {
            let place = if in_path(&parameter) { "path" } else { "query" };
            let _ = writeln!(
                out,
                "      - name: \"{}\"\n        in: {place}\n        required: {}\n        \
                 description: \"{}\"\n        schema: {}",
                parameter.name,
                parameter.required,
                parameter.about,
                parameter.kind.schema()
            );
        }
        if form {
            write_form(out, &all);
        }
        if is_read {
            out.push_str(
                "      requestBody:\n        required: true\n        content:\n          \
                 \"application/x-protobuf\": {}\n",
            );
        }
        write_responses(out, call);
    }
}

fn write_form(out: &mut String, parameters: &[&Parameter]) {
    out.push_str(
        "      requestBody:\n        required: true\n        content:\n          \
         \"application/x-www-form-urlencoded\":\n            schema:\n              type: object\n",
    );
    let required: Vec<_> = parameters
        .iter()
        .filter(|parameter| parameter.required)
        .map(|parameter| format!("\"{}\"", parameter.name))
        .collect();
    if !required.is_empty() {
        let _ = writeln!(out, "              required: [{}]", required.join(", "));
    }
    out.push_str("              properties:\n");
    for parameter in parameters {
        let schema = parameter.kind.schema();
        let _ = writeln!(out, "                \"{}\": {schema}", parameter.name);
    }
}

fn write_responses(out: &mut String, call: &Call) {
    out.push_str("      responses:\n        \"200\":\n          description: \"A success.\"\n");
    match call.path {
        "/read" => out.push_str(
            "          content:\n            \"application/x-protobuf\": {}\n            \
             \"application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse\": {}\n",
        ),
        "/openapi.yaml" => {
            out.push_str("          content:\n            \"application/yaml\": {}\n");
        }
        _ => {
            let data = call.data.schema();
            let _ = writeln!(
                out,
                "          content:\n            \"application/json\":\n              schema:\n                \
                 allOf:\n                - $ref: \"#/components/schemas/Success\"\n                \
                 - properties: {{data: {data}}}"
            );
        }
    }
    out.push_str("        default:\n          $ref: \"#/components/responses/Error\"\n");
}

impl Kind {
    const fn schema(self) -> &'static str {
        match self {
            Self::Text => "{type: string}",
            Self::Texts => "{type: array, items: {type: string}}",
            Self::Switch => "{type: boolean}",
            Self::Integer => "{type: integer, minimum: 0}",
            Self::Time => "{$ref: \"#/components/schemas/Time\"}",
            Self::Duration => "{$ref: \"#/components/schemas/Duration\"}",
        }
    }
}

impl Data {
    const fn schema(self) -> &'static str {
        match self {
            Self::Query => "{$ref: \"#/components/schemas/QueryData\"}",
            Self::Text => "{type: string}",
            Self::Texts => "{type: array, items: {type: string}}",
            Self::LabelSets => {
                "{type: array, items: {type: object, additionalProperties: {type: string}}}"
            }
            Self::Object => "{type: object}",
            Self::List => "{type: array}",
        }
    }
}

const COMPONENTS: &str = r##"components:
  responses:
    Error:
      description: "400 wrong request, 404 no such call, 422 the query fails, 500 internal, 503 timeout or cancelled."
      content:
        "application/json":
          schema: {$ref: "#/components/schemas/Error"}
  schemas:
    Time:
      description: "Unix seconds or RFC 3339."
      anyOf: [{type: number}, {type: string, format: date-time}]
    Duration:
      description: "Seconds or a duration such as 5m."
      anyOf: [{type: number}, {type: string}]
    Success:
      type: object
      required: [status, data]
      properties:
        status: {const: success}
        warnings: {type: array, items: {type: string}}
        infos: {type: array, items: {type: string}}
    Error:
      type: object
      required: [status, errorType, error]
      properties:
        status: {const: error}
        errorType: {enum: [bad_data, execution, timeout, canceled, internal, not_found]}
        error: {type: string}
    QueryData:
      type: object
      required: [resultType, result]
      properties:
        resultType: {enum: [scalar, string, vector, matrix]}
        result: {type: array}
        stats: {type: object}
        analysis: {type: object}
        coverage: {type: object}
"##;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_is_described_and_no_other() {
        let mut described: Vec<_> = CALLS.iter().map(|call| call.path).collect();
        let mut routed: Vec<_> = crate::http::routes().iter().map(|route| route.0).collect();
        described.sort_unstable();
        routed.sort_unstable();
        assert_eq!(described, routed);
    }

    #[test]
    fn the_document_is_yaml_with_all_references_resolved() {
        let text = write("/prefix", "1.2.3");
        let document: serde_json::Value = serde_saphyr::from_str(&text).expect("YAML");
        assert_eq!(document["openapi"], "3.1.0");
        assert_eq!(document["servers"][0]["url"], "/prefix/api/v1");
        let paths = document["paths"].as_object().expect("paths");
        assert_eq!(paths.len(), CALLS.len());
        for reference in text.split("$ref: \"#").skip(1) {
            let pointer = reference.split('"').next().expect("ends");
            assert!(document.pointer(pointer).is_some(), "{pointer}");
        }
    }
}
