//! `/api/v1/rules` as the Rules service.

use model::Labels;
use serde::Deserialize;
use storeapi::proto::thanos as pb;
use storeapi::{Answer, RulesApi, StoreError, async_trait};

use super::{JsonLabels, PrometheusApis, label_set, timestamp};

#[derive(Deserialize)]
struct JsonRules {
    groups: Vec<JsonGroup>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct JsonGroup {
    name: String,
    file: String,
    rules: Vec<JsonRule>,
    interval: f64,
    #[serde(default)]
    limit: i64,
    #[serde(default)]
    evaluation_time: f64,
    #[serde(default)]
    last_evaluation: String,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum JsonRule {
    Recording(JsonRecording),
    Alerting(JsonAlerting),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct JsonRecording {
    name: String,
    query: String,
    #[serde(default)]
    labels: JsonLabels,
    #[serde(default)]
    health: String,
    #[serde(default)]
    last_error: String,
    #[serde(default)]
    evaluation_time: f64,
    #[serde(default)]
    last_evaluation: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct JsonAlerting {
    name: String,
    query: String,
    #[serde(default)]
    state: String,
    #[serde(default)]
    duration: f64,
    #[serde(default)]
    keep_firing_for: f64,
    #[serde(default)]
    labels: JsonLabels,
    #[serde(default)]
    annotations: JsonLabels,
    #[serde(default)]
    alerts: Vec<JsonAlert>,
    #[serde(default)]
    health: String,
    #[serde(default)]
    last_error: String,
    #[serde(default)]
    evaluation_time: f64,
    #[serde(default)]
    last_evaluation: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct JsonAlert {
    labels: JsonLabels,
    #[serde(default)]
    annotations: JsonLabels,
    state: String,
    active_at: String,
    value: String,
}

#[async_trait]
impl RulesApi for PrometheusApis {
    async fn rules(
        &self,
        request: pb::RulesRequest,
    ) -> Result<Answer<Vec<pb::RuleGroup>>, StoreError> {
        use pb::rules_request::Type;
        let mut query = Vec::new();
        match Type::try_from(request.r#type) {
            Ok(Type::All) => {}
            Ok(Type::Alert) => query.push(("type", "alert".to_owned())),
            Ok(Type::Record) => query.push(("type", "record".to_owned())),
            Err(_) => {
                return Err(StoreError::invalid(format!(
                    "unknown rule type {}",
                    request.r#type
                )));
            }
        }
        for (name, values) in [
            ("match[]", request.matcher_string),
            ("rule_name[]", request.rule_name),
            ("rule_group[]", request.rule_group),
            ("file[]", request.file),
        ] {
            query.extend(values.into_iter().map(|value| (name, value)));
        }
        let found: JsonRules = self.prometheus.get("/api/v1/rules", &query).await?;
        let external = self.external_labels();
        Ok(Answer::new(
            found
                .groups
                .into_iter()
                .map(|g| group(g, &external))
                .collect(),
        ))
    }
}

fn group(group: JsonGroup, external: &Labels) -> pb::RuleGroup {
    pb::RuleGroup {
        name: group.name,
        file: group.file,
        rules: group.rules.into_iter().map(|r| rule(r, external)).collect(),
        interval: group.interval,
        evaluation_duration_seconds: group.evaluation_time,
        last_evaluation: timestamp(&group.last_evaluation),
        limit: group.limit,
        ..pb::RuleGroup::default()
    }
}

fn rule(rule: JsonRule, external: &Labels) -> pb::Rule {
    use pb::rule::Result;
    let result = match rule {
        JsonRule::Recording(rule) => Result::Recording(pb::RecordingRule {
            name: rule.name,
            query: rule.query,
            labels: label_set(rule.labels, external),
            health: rule.health,
            last_error: rule.last_error,
            evaluation_duration_seconds: rule.evaluation_time,
            last_evaluation: timestamp(&rule.last_evaluation),
        }),
        JsonRule::Alerting(rule) => Result::Alert(pb::Alert {
            state: state(&rule.state),
            name: rule.name,
            query: rule.query,
            duration_seconds: rule.duration,
            keep_firing_for_seconds: rule.keep_firing_for,
            labels: label_set(rule.labels, external),
            annotations: label_set(rule.annotations, &Labels::empty()),
            alerts: rule
                .alerts
                .into_iter()
                .map(|a| alert(a, external))
                .collect(),
            health: rule.health,
            last_error: rule.last_error,
            evaluation_duration_seconds: rule.evaluation_time,
            last_evaluation: timestamp(&rule.last_evaluation),
        }),
    };
    pb::Rule {
        result: Some(result),
    }
}

fn alert(alert: JsonAlert, external: &Labels) -> pb::AlertInstance {
    pb::AlertInstance {
        labels: label_set(alert.labels, external),
        annotations: label_set(alert.annotations, &Labels::empty()),
        state: state(&alert.state),
        active_at: timestamp(&alert.active_at),
        value: alert.value,
        ..pb::AlertInstance::default()
    }
}

fn state(name: &str) -> i32 {
    match name {
        "inactive" => pb::AlertState::Inactive,
        "pending" => pb::AlertState::Pending,
        "firing" => pb::AlertState::Firing,
        _ => pb::AlertState::Unknown,
    }
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_keeps_its_rules_and_gains_external_labels() {
        let json = r#"{"groups":[{"name":"g","file":"f","interval":15,"rules":[
            {"type":"recording","name":"r","query":"up","health":"ok"},
            {"type":"alerting","name":"A","query":"up == 0","state":"firing","duration":60,
             "labels":{"severity":"page"},"alerts":[
               {"labels":{"alertname":"A"},"state":"firing","activeAt":"2026-01-01T00:00:00Z","value":"0e+00"}]}]}]}"#;
        let rules: JsonRules = serde_json::from_str(json).unwrap();
        let external = Labels::from_pairs([("cluster", "eu")]);
        let groups: Vec<_> = rules
            .groups
            .into_iter()
            .map(|g| group(g, &external))
            .collect();
        let Some(pb::rule::Result::Alert(alert)) = &groups[0].rules[1].result else {
            panic!("the second rule is an alert");
        };
        assert_eq!(alert.state, i32::from(pb::AlertState::Firing));
        let names: Vec<_> = alert
            .labels
            .as_ref()
            .unwrap()
            .labels
            .iter()
            .map(|l| l.name.as_str())
            .collect();
        assert_eq!(names, ["cluster", "severity"]);
        assert_eq!(
            alert.alerts[0].active_at.as_ref().unwrap().seconds,
            1_767_225_600
        );
    }
}
