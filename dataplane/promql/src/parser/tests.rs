use std::collections::BTreeSet;

use proptest::prelude::*;
use serde::Deserialize;

use super::*;
use crate::printer::prettify;

/// What Prometheus says about a query; `testdata/parser.jsonl` has one a line.
#[derive(Deserialize)]
struct Case {
    query: String,
    /// `all` where every optional part of the language is enabled.
    #[serde(default)]
    flags: String,
    #[serde(default)]
    printed: String,
    /// Nothing where it equals `printed`.
    #[serde(default)]
    pretty: String,
    #[serde(default)]
    error: String,
    #[serde(default)]
    start: usize,
    #[serde(default)]
    end: usize,
}

const CASES: &str = include_str!("../../testdata/parser.jsonl");

/// Where we differ from Prometheus on purpose: the start of a query and the reason. May only shrink.
const DIFFERENCES: [(&str, &str); 3] = [
    (
        r#""\a\b\f\n\r\t\v\\\" - \xFF\377"#,
        "a string has to be UTF-8, as label values have to",
    ),
    (
        r"'\a\b\f\n\r\t\v\\\' - \xFF\377",
        "a string has to be UTF-8, as label values have to",
    ),
    (
        "(-{}-1-{}-1-{}-1",
        "a thousand operators in a row are deeper than MAX_DEPTH",
    ),
];

const ALL: ParseOptions = ParseOptions {
    experimental_functions: true,
    duration_expressions: true,
    extended_range_selectors: true,
    fill_modifiers: true,
    extended_functions: false,
};

fn cases() -> Vec<Case> {
    CASES
        .lines()
        .map(|line| serde_json::from_str(line).expect(line))
        .collect()
}

impl Case {
    fn parse(&self) -> Result<Expr, ParseError> {
        let options = if self.flags == "all" {
            ALL
        } else {
            ParseOptions::default()
        };
        parse(&self.query, &options)
    }

    /// Returns in what we differ from Prometheus.
    fn difference(&self) -> Option<String> {
        let query = &self.query;
        let wanted_pretty = if self.pretty.is_empty() {
            &self.printed
        } else {
            &self.pretty
        };
        let (got, wanted) = match (self.parse(), self.error.is_empty()) {
            (Err(err), true) => (err.to_string(), self.printed.clone()),
            (Err(err), false) => (err.to_string(), self.error.clone()),
            (Ok(expr), false) => (expr.to_string(), self.error.clone()),
            (Ok(expr), true) => {
                let wanted_pos = PosRange::new(self.start, self.end);
                (
                    format!("{expr}\n{}\n{:?}", prettify(&expr), expr.pos()),
                    format!("{}\n{wanted_pretty}\n{wanted_pos:?}", self.printed),
                )
            }
        };
        (got != wanted)
            .then(|| format!("{query:?} ({})\n  got  {got}\n  want {wanted}", self.flags))
    }
}

#[test]
fn queries_parse_print_and_fail_as_in_prometheus() {
    let mut met = BTreeSet::new();
    let mut differences = Vec::new();
    for case in cases() {
        let Some(difference) = case.difference() else {
            continue;
        };
        match DIFFERENCES
            .iter()
            .find(|(start, _)| case.query.starts_with(start))
        {
            Some((start, _)) => {
                met.insert(*start);
            }
            None => differences.push(difference),
        }
    }
    assert!(
        differences.is_empty(),
        "{}:\n{}",
        differences.len(),
        differences.join("\n")
    );
    assert_eq!(
        met.len(),
        DIFFERENCES.len(),
        "a listed difference is gone: remove it"
    );
}

/// Returns the tree without its positions.
fn shape(expr: &Expr) -> String {
    let debug = format!("{expr:?}");
    let mut parts = debug.split("PosRange {");
    let mut shape = parts.next().unwrap_or("").to_owned();
    for part in parts {
        shape.push_str(part.split_once('}').map_or("", |(_, rest)| rest));
    }
    shape
}

#[test]
fn what_is_printed_is_printed_the_same_again() {
    // Prometheus' printer drops what these need: a sign that keeps arithmetic in an offset, and
    // ranges below a millisecond.
    let lossy = ["foo offset --5m + 3", "foo offset 0.0001"];
    let mut n = 0;
    for case in cases() {
        let Ok(expr) = case.parse() else { continue };
        if lossy.contains(&case.query.as_str()) {
            continue;
        }
        let printed = expr.to_string();
        let again = parse(&printed, &ALL).unwrap_or_else(|err| panic!("{printed}: {err}"));
        assert_eq!(again.to_string(), printed, "{}", case.query);
        n += 1;
    }
    assert!(n > 500, "only {n} valid cases");
}

fn error(query: &str) -> String {
    parse(query, &ALL).unwrap_err().to_string()
}

#[test]
fn errors_carry_line_column_and_bytes() {
    let err = parse("sum(\n  rate(foo))", &ALL).unwrap_err();
    assert_eq!((err.line, err.col, err.pos), (2, 8, PosRange::new(12, 15)));
    assert_eq!(
        err.to_string(),
        "2:8: parse error: expected type range vector in call to function \"rate\", got instant vector"
    );
}

#[test]
fn deep_input_is_refused_and_never_exhausts_the_stack() {
    let n = 200_000;
    let nested = format!("nested deeper than the limit of {MAX_NESTING} levels");
    let deep = format!("nested deeper than the limit of {MAX_DEPTH} levels");
    for (query, message) in [
        ("(".repeat(5 * n), &nested[..]),
        ("-".repeat(n), &nested),
        ("abs(".repeat(n), &nested),
        ("sum by (a) (".repeat(n / 10), &nested),
        ("1^".repeat(n), &nested),
        (format!("1{}", "+1".repeat(n)), &deep),
        (format!("a{}", "[1m:]".repeat(n)), &deep),
        (
            format!("a[{}", "(".repeat(n)),
            "more than the limit of 64 terms",
        ),
        (
            format!("a[{}", "-".repeat(n)),
            "more than the limit of 64 terms",
        ),
        (
            format!("a offset ({}1)", "1+".repeat(n)),
            "more than the limit of 64 terms",
        ),
        (
            "x".repeat(MAX_QUERY_BYTES + 1),
            "larger than the limit of 1048576 bytes",
        ),
    ] {
        let err = error(&query);
        assert!(err.contains(message), "{}...: {err}", &query[..10]);
    }
}

#[test]
fn trees_at_the_limits_can_be_used() {
    let n = MAX_NESTING - 1;
    for query in [
        format!("{}a{}", "(".repeat(n), ")".repeat(n)),
        format!("{}a{}", "abs(".repeat(n), ")".repeat(n)),
        format!("{}a{}", "sum by (a) (".repeat(n), ")".repeat(n)),
        format!("a{}", " + a".repeat(MAX_DEPTH - 1)),
        format!("{}a", "-".repeat(n)),
    ] {
        let expr = parse(&query, &ALL).unwrap();
        assert_eq!(
            parse(&expr.to_string(), &ALL).map(|expr| shape(&expr)),
            Ok(shape(&expr))
        );
        assert!(!prettify(&expr).is_empty());
        assert!(!expr.selectors().is_empty());
    }
    assert!(
        parse(
            &format!("{}a{}", "(".repeat(n + 1), ")".repeat(n + 1)),
            &ALL
        )
        .is_err()
    );
}

#[test]
fn all_selectors_are_found() {
    let query =
        "sum(rate(a[5m])) by (x) / on (x) topk(scalar(b), c offset 1m) + max_over_time(d[1h:])";
    let expr = parse(query, &ALL).unwrap();
    let names: Vec<&str> = expr
        .selectors()
        .iter()
        .map(|selector| selector.name.as_str())
        .collect();
    assert_eq!(names, ["a", "c", "b", "d"]);
    let mut changed = expr.clone();
    changed.walk_selectors_mut(&mut |selector| {
        selector.matchers.push(Matcher::equal("tenant", "t"));
    });
    assert_eq!(changed.to_string().matches("tenant=\"t\"").count(), 4);
}

#[test]
fn thanos_functions_exist_only_where_they_are_enabled() {
    let query = "xrate(foo[5m])";
    assert_eq!(
        error(query),
        "1:1: parse error: unknown function with name \"xrate\""
    );
    let options = ParseOptions {
        extended_functions: true,
        ..ParseOptions::default()
    };
    assert_eq!(parse(query, &options).unwrap().to_string(), query);
}

#[test]
fn series_selectors_have_to_select_something() {
    let matchers = parse_metric_selector(r#"up{job="a",pod=~"b.*"}"#).unwrap();
    let printed: Vec<String> = matchers.iter().map(ToString::to_string).collect();
    assert_eq!(printed, [r#"job="a""#, r#"pod=~"b.*""#, r#"__name__="up""#]);
    assert_eq!(
        parse_series_matchers(&["up", "{a=\"b\"}"]).unwrap().len(),
        2
    );
    for (selector, message) in [
        ("{}", "match[] must contain at least one non-empty matcher"),
        (
            "{a=~\".*\"}",
            "match[] must contain at least one non-empty matcher",
        ),
        ("", "unknown position: parse error: unexpected end of input"),
        ("up[5m]", "1:3: parse error: unexpected \"[\""),
        ("up offset 5m", "1:4: parse error: unexpected <offset>"),
        ("1", "1:1: parse error: unexpected number \"1\""),
    ] {
        assert_eq!(
            parse_series_matchers(&[selector]).unwrap_err().to_string(),
            message
        );
    }
}

/// Vectors that survive printing: matchers in order, no unary plus, no infinite base of a power.
fn vector_text() -> impl Strategy<Value = String> {
    let modifiers = prop::sample::select(vec![
        "",
        " offset 5m",
        " offset -1h",
        " @ 12.500",
        " @ start()",
        " offset (step() + 1m)",
        " offset min_of(5m, range())",
        " @ end() offset 1d",
    ]);
    let name = prop::sample::select(vec!["foo", "a:b", "sum", "step", "offset", "fill"]);
    let braces = prop::sample::select(vec![
        "",
        "{a=\"b\"}",
        "{\"b.c\"=\"é\\n\",a!~\"x|y\"}",
        "{le=\"\"}",
    ]);
    let selector = (name, braces, modifiers.clone()).prop_map(|(n, b, m)| format!("{n}{b}{m}"));
    let range = prop::sample::select(vec!["5m", "1d12h", "30", "2 * step()", "(1h - 5m) / 3"]);
    let label = prop::sample::select(vec!["", "a", "a, b", "\"x.y\", le", "bool"]);
    selector.prop_recursive(5, 40, 3, move |inner| {
        let (range, label, modifiers) = (range.clone(), label.clone(), modifiers.clone());
        let number = prop::sample::select(vec!["1", "-2.5", "1e30", "5m", "NaN", "0.1"]);
        let op = prop::sample::select(vec![
            "+",
            "-",
            "*",
            "/",
            "%",
            "^",
            "atan2",
            "==",
            "!= bool",
            "</",
            ">=",
            "and",
            "or",
            "unless",
            "* on (a) group_left",
            "/ ignoring (a, b)",
            "- on (a) group_right (b)",
            "+ fill (0)",
            "+ fill_left (-1.5) fill_right (1e+09)",
        ]);
        prop_oneof![
            (inner.clone(), op, inner.clone()).prop_map(|(l, op, r)| format!("{l} {op} {r}")),
            (inner.clone(), number).prop_map(|(v, n)| format!("({v}) * {n}")),
            inner.clone().prop_map(|v| format!("({v})")),
            inner.clone().prop_map(|v| format!("-{v}")),
            inner
                .clone()
                .prop_map(|v| format!("label_replace({v}, \"a\", '$1', `b`, \"\\\\d\")")),
            (inner.clone(), range, modifiers)
                .prop_map(|(v, r, m)| format!("max_over_time(({v})[{r}:]{m})")),
            (inner.clone(), label.clone()).prop_map(|(v, l)| format!("sum by ({l}) ({v})")),
            (inner, label).prop_map(|(v, l)| format!("topk(3, {v}) without ({l})")),
        ]
    })
}

proptest! {
    #[test]
    fn printing_and_parsing_gives_the_same_tree(query in vector_text()) {
        // Most queries are valid; too many that are not fail the test.
        let parsed = parse(&query, &ALL);
        prop_assume!(parsed.is_ok());
        let Ok(expr) = parsed else { return Ok(()) };
        let printed = expr.to_string();
        let again = parse(&printed, &ALL)
            .map_err(|err| TestCaseError::fail(format!("{printed}: {err}")))?;
        prop_assert_eq!(shape(&again), shape(&expr), "{}", printed);
        let pretty = prettify(&expr);
        let again = parse(&pretty, &ALL)
            .map_err(|err| TestCaseError::fail(format!("{pretty}: {err}")))?;
        prop_assert_eq!(shape(&again), shape(&expr), "{}", pretty);
    }

    #[test]
    fn no_text_makes_the_parser_panic(query in "(\\PC|[ \n\t(){}\\[\\],:+*^=!~<>/@\"'`#0-9a-z_.-]){0,60}") {
        assert_answers(&query);
    }

    #[test]
    fn no_mixture_of_tokens_makes_the_parser_panic(
        tokens in prop::collection::vec(
            prop::sample::select(vec![
                "foo", "sum", "by", "(", ")", "{", "}", "[", "]", ",", ":", "5m", "1", "-", "^",
                "==", "and", "on", "group_left", "fill", "offset", "@", "start", "step", "max_of",
                "rate", "anchored", "\"a\"", "a=\"b\"", "=~", "é", "\u{fffd}", "\\", "`",
            ]),
            0..20,
        ),
    ) {
        assert_answers(&tokens.join(" "));
        assert_answers(&tokens.concat());
    }
}

fn assert_answers(query: &str) {
    match parse(query, &ALL) {
        Ok(expr) => assert!(expr.pos().end <= query.len() && !prettify(&expr).is_empty()),
        Err(err) => {
            assert!(
                err.pos.start <= err.pos.end && err.pos.end <= query.len(),
                "{err:?}"
            );
        }
    }
    let _ = parse_metric_selector(query);
}
