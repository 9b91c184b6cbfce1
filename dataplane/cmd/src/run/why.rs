//! `hindsight tools why`: asks a querier, prints what it says.

use std::fmt::Write as _;
use std::io::Write as _;

use anyhow::{Context, bail};
use serde_json::Value;

use crate::args::why::WhyArgs;

pub(super) async fn run(args: &WhyArgs) -> anyhow::Result<()> {
    let mut url = reqwest::Url::parse(&args.url).with_context(|| format!("--url={}", args.url))?;
    let path = format!("{}/api/v1/why", url.path().trim_end_matches('/'));
    url.set_path(&path);
    let mut parameters = vec![("match[]", args.selector.as_str())];
    parameters.extend(args.time.as_deref().map(|time| ("time", time)));
    let client = reqwest::Client::builder().timeout(args.timeout.0).build()?;
    let asked = client.get(url.clone()).query(&parameters).send().await;
    let response = asked.with_context(|| format!("asking {url}"))?;
    let status = response.status();
    let body: Value = response
        .json()
        .await
        .with_context(|| format!("{url} answered {status} with something that is not its API's"))?;
    if body["status"] != "success" {
        bail!("{url} answered {status}: {}", text(&body["error"]));
    }
    let shown = if args.output == "json" {
        format!("{:#}\n", body["data"])
    } else {
        table(&body)
    };
    std::io::stdout().write_all(shown.as_bytes())?;
    Ok(())
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn labels(value: &Value) -> String {
    let pairs = value.as_object().into_iter().flatten();
    let pairs: Vec<_> = pairs
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    format!("{{{}}}", pairs.join(", "))
}

/// Lays the answer out for reading. Writing to a string cannot fail.
fn table(body: &Value) -> String {
    let data = &body["data"];
    let mut out = String::new();
    let _ = writeln!(
        out,
        "{} at {}\n{}\n",
        text(&data["selector"]),
        text(&data["time"]),
        text(&data["verdict"])
    );
    for store in list(&data["stores"]) {
        let _ = writeln!(
            out,
            "{} {} {}: {}",
            text(&store["component"]),
            text(&store["name"]),
            text(&store["outcome"]),
            text(&store["reason"])
        );
        for series in list(&store["series"]) {
            let stale = if series["stale"] == true {
                ", stale"
            } else {
                ""
            };
            let _ = writeln!(
                out,
                "    {} from {}: {} at {}{stale}",
                labels(&series["labels"]),
                labels(&series["replica"]),
                series["value"].as_str().unwrap_or("histogram"),
                text(&series["lastSample"]),
            );
        }
        let more = store["seriesCount"].as_u64().unwrap_or(0) as usize;
        let more = more.saturating_sub(list(&store["series"]).len());
        if more > 0 {
            let _ = writeln!(out, "    and {more} more");
        }
    }
    let targets = list(&data["targets"]);
    if !targets.is_empty() {
        let _ = writeln!(out, "\nscrape targets whose labels fit:");
    }
    for target in targets {
        let _ = writeln!(
            out,
            "    {} {} in {}, last {} {}",
            text(&target["health"]),
            text(&target["scrapeUrl"]),
            text(&target["scrapePool"]),
            text(&target["lastScrape"]),
            text(&target["lastError"])
        );
    }
    for warning in list(&body["warnings"]) {
        let _ = writeln!(out, "\nwarning: {}", text(warning));
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_answer_is_laid_out_for_reading() {
        let body = json!({"data": {
            "selector": "{__name__=\"up\"}", "time": "2026-01-01T00:00:00Z",
            "verdict": "found in 1 of 2 stores, from 1 replicas",
            "stores": [
                {"component": "sidecar", "name": "a:1", "outcome": "has", "reason": "1 series are current",
                 "seriesCount": 3, "series": [{"labels": {"job": "x"}, "replica": {"replica": "0"},
                 "value": "1", "lastSample": "2026-01-01T00:00:00Z", "stale": false}]},
                {"component": "store", "name": "b:1", "outcome": "pruned", "reason": "it has nothing of that time",
                 "seriesCount": 0, "series": []},
            ],
            "targets": [{"health": "down", "scrapeUrl": "http://x/metrics", "scrapePool": "p",
                         "lastScrape": "never", "lastError": "refused"}],
        }, "warnings": ["c:1 is away"]});
        let expected = "\
{__name__=\"up\"} at 2026-01-01T00:00:00Z
found in 1 of 2 stores, from 1 replicas

sidecar a:1 has: 1 series are current
    {job=\"x\"} from {replica=\"0\"}: 1 at 2026-01-01T00:00:00Z
    and 2 more
store b:1 pruned: it has nothing of that time

scrape targets whose labels fit:
    down http://x/metrics in p, last never refused

warning: c:1 is away
";
        assert_eq!(table(&body), expected);
    }
}
