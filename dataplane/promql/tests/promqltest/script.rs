//! The language of Prometheus' PromQL test scripts.

pub(crate) mod native;

use failure::{Context, Result, bail};
use model::histogram::FloatHistogram;
use model::{Labels, MatchOp, parse_duration};
use promql::parse_metric_selector;
use regex::Regex;

/// One command of a script.
#[derive(Debug, Clone)]
pub(crate) enum Command {
    Clear,
    Load {
        step_ms: i64,
        /// Whether classic histograms are loaded as native ones too.
        with_nhcb: bool,
        series: Vec<(Labels, Vec<Point>)>,
    },
    Eval(Box<Eval>),
}

/// A query and what is expected of it.
#[derive(Debug, Clone)]
pub(crate) struct Eval {
    pub(crate) line: usize,
    pub(crate) query: String,
    /// `(start, end, step)`; an instant query has a step of 0.
    pub(crate) times: (i64, i64, i64),
    pub(crate) ordered: bool,
    pub(crate) fail: Option<Text>,
    pub(crate) warn: Vec<Text>,
    pub(crate) info: Vec<Text>,
    pub(crate) no_warn: bool,
    pub(crate) no_info: bool,
    pub(crate) string: Option<String>,
    pub(crate) scalar: Option<f64>,
    /// Where an instant query answers a range vector: its times.
    pub(crate) matrix: Option<(i64, i64, i64)>,
    pub(crate) series: Vec<(Labels, Vec<Point>)>,
}

/// A sample of a series, or none.
#[derive(Debug, Clone)]
pub(crate) enum Point {
    Omitted,
    Float(f64),
    Histogram(Box<Described>),
}

/// A native histogram and whether its counter reset hint matters.
#[derive(Debug, Clone)]
pub(crate) struct Described {
    pub(crate) value: FloatHistogram,
    pub(crate) hint_matters: bool,
}

/// An expected text.
#[derive(Debug, Clone)]
pub(crate) enum Text {
    Any,
    Exact(String),
    Pattern(Regex),
}

impl Text {
    pub(crate) fn matches(&self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(expected) => expected == text,
            Self::Pattern(pattern) => pattern.is_match(text),
        }
    }
}

/// Parses a script.
pub(crate) fn parse(input: &str) -> Result<Vec<Command>> {
    let lines: Vec<&str> = input
        .lines()
        .map(str::trim)
        .map(|line| if line.starts_with('#') { "" } else { line })
        .collect();
    let mut commands = Vec::new();
    let mut i = 0;
    while i < lines.len() {
        let first = i;
        let mut end = i + 1;
        let word = lines[i]
            .split_whitespace()
            .next()
            .unwrap_or("")
            .to_lowercase();
        if word.is_empty() {
            i += 1;
            continue;
        }
        if word == "clear" {
            commands.push(Command::Clear);
            i += 1;
            continue;
        }
        while end < lines.len() && !lines[end].is_empty() {
            end += 1;
        }
        let body = &lines[first + 1..end];
        let command = if word.starts_with("load") {
            load(lines[first], body)
        } else if word.starts_with("eval") {
            eval(lines[first], body, first + 1).map(|eval| Command::Eval(Box::new(eval)))
        } else {
            bail(format!("unknown command {word}"))
        };
        commands.push(command.context(|| format!("line {}: {}", first + 1, lines[first]))?);
        i = end;
    }
    Ok(commands)
}

fn load(line: &str, body: &[&str]) -> Result<Command> {
    let step = line.split_whitespace().nth(1).unwrap_or("");
    let step_ms = parse_duration(step).map_err(|error| error.to_string())?;
    let mut series = Vec::new();
    for line in body {
        if line
            .split_whitespace()
            .next()
            .is_some_and(|metric| metric.ends_with("@st"))
        {
            continue;
        }
        series.push(series_line(line)?);
    }
    Ok(Command::Load {
        step_ms,
        with_nhcb: line.starts_with("load_with_nhcb"),
        series,
    })
}

fn duration(text: &str) -> Result<i64> {
    Ok(parse_duration(text.trim()).map_err(|error| error.to_string())?)
}

fn eval(line: &str, body: &[&str], number: usize) -> Result<Eval> {
    let pattern = |text: &str| Regex::new(text).map_err(|error| error.to_string());
    let instant =
        pattern(r"^eval(?:_(fail|warn|ordered|info))?\s+instant\s+(?:at\s+(.+?))?\s+(.+)$")?;
    let range = pattern(
        r"^eval(?:_(fail|warn|info))?\s+range\s+from\s+(.+)\s+to\s+(.+)\s+step\s+(.+?)\s+(.+)$",
    )?;
    let (modifier, times, query) = if let Some(found) = range.captures(line) {
        let times = (
            duration(&found[2])?,
            duration(&found[3])?,
            duration(&found[4])?,
        );
        (found.get(1).map(|m| m.as_str()), times, found[5].to_owned())
    } else if let Some(found) = instant.captures(line) {
        let at = duration(&found[2])?;
        (
            found.get(1).map(|m| m.as_str()),
            (at, at, 0),
            found[3].to_owned(),
        )
    } else {
        return bail("neither an instant nor a range query".to_owned());
    };
    let mut eval = Eval {
        line: number,
        query,
        times,
        ordered: modifier == Some("ordered"),
        fail: (modifier == Some("fail")).then_some(Text::Any),
        warn: if modifier == Some("warn") {
            vec![Text::Any]
        } else {
            Vec::new()
        },
        info: if modifier == Some("info") {
            vec![Text::Any]
        } else {
            Vec::new()
        },
        no_warn: false,
        no_info: false,
        string: None,
        scalar: None,
        matrix: None,
        series: Vec::new(),
    };
    for line in body {
        if let Some(message) = line.strip_prefix("expected_fail_message") {
            eval.fail = Some(Text::Exact(message.trim().to_owned()));
        } else if let Some(text) = line.strip_prefix("expected_fail_regexp") {
            eval.fail = Some(Text::Pattern(pattern(text.trim())?));
        } else if let Some(rest) = line.strip_prefix("expect range vector from ") {
            let words: Vec<&str> = rest.split_whitespace().collect();
            let [from, "to", to, "step", step] = words.as_slice() else {
                return bail(format!("malformed: {line}"));
            };
            eval.matrix = Some((duration(from)?, duration(to)?, duration(step)?));
        } else if let Some(text) = line.strip_prefix("expect string ") {
            eval.string = Some(unquote(text)?);
        } else if let Some(rest) = line.strip_prefix("expect ") {
            expectation(&mut eval, rest.trim())?;
        } else if let Some(value) = number_line(line) {
            eval.scalar = Some(value);
        } else {
            eval.series.push(series_line(line)?);
        }
    }
    Ok(eval)
}

fn expectation(eval: &mut Eval, rest: &str) -> Result<()> {
    let (kind, text) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let text = text.trim();
    let text = if let Some(message) = text.strip_prefix("msg:") {
        Text::Exact(message.trim().to_owned())
    } else if let Some(pattern) = text.strip_prefix("regex:") {
        Text::Pattern(Regex::new(pattern.trim()).map_err(|error| error.to_string())?)
    } else {
        Text::Any
    };
    match kind {
        "ordered" => eval.ordered = true,
        "fail" => eval.fail = Some(text),
        "warn" => eval.warn.push(text),
        "info" => eval.info.push(text),
        "no_warn" => eval.no_warn = true,
        "no_info" => eval.no_info = true,
        _ => return bail(format!("unknown expectation {kind}")),
    }
    Ok(())
}

fn unquote(text: &str) -> Result<String> {
    match promql::parse(text, &promql::ParseOptions::default()) {
        Ok(promql::Expr::StringLiteral(literal)) => Ok(literal.value),
        _ => bail(format!("not a string: {text}")),
    }
}

fn number_line(line: &str) -> Option<f64> {
    if let Some(hex) = line.strip_prefix("0x") {
        return i64::from_str_radix(hex, 16).ok().map(|value| value as f64);
    }
    if line.len() > 1 && line.starts_with('0') && line.bytes().all(|b| b.is_ascii_digit()) {
        return i64::from_str_radix(line, 8).ok().map(|value| value as f64);
    }
    float(line)
}

fn float(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let magnitude = match unsigned.to_ascii_lowercase().as_str() {
        "inf" => f64::INFINITY,
        "nan" => f64::NAN,
        number if number.starts_with(|c: char| c.is_ascii_digit() || c == '.') => {
            number.parse().ok()?
        }
        _ => return None,
    };
    Some(if text.starts_with('-') {
        -magnitude
    } else {
        magnitude
    })
}

/// Splits a series line into labels and points.
fn series_line(line: &str) -> Result<(Labels, Vec<Point>)> {
    let end = metric_end(line);
    let (metric, points) = line.split_at(end);
    let metric = metric.trim();
    let labels = if metric == "{}" || metric.is_empty() {
        Labels::empty()
    } else {
        let matchers = parse_metric_selector(metric).map_err(|error| error.to_string())?;
        let equal = matchers
            .iter()
            .filter(|matcher| matcher.op == MatchOp::Equal);
        Labels::from_pairs(equal.map(|matcher| (matcher.name.clone(), matcher.value.clone())))
    };
    Ok((labels, self::points(points.trim())?))
}

/// The end of `name{...}`, whose braces may hold quoted texts.
fn metric_end(line: &str) -> usize {
    let mut depth = 0;
    let mut quote = None;
    let mut escaped = false;
    for (at, c) in line.char_indices() {
        match (quote, c) {
            (Some(_), _) if escaped => escaped = false,
            (Some(q), '\\') if q != '`' => escaped = true,
            (Some(q), _) if q == c => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'' | '`') => quote = Some(c),
            (None, '{') => depth += 1,
            (None, '}') => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            (None, c) if depth == 0 && c.is_whitespace() => {
                let rest = line[at..].trim_start();
                // `name {...}` is one metric, unless the braces are a histogram's.
                if !rest.starts_with('{') || rest.starts_with("{{") {
                    return at;
                }
            }
            (None, _) => {}
        }
    }
    line.len()
}

fn points(text: &str) -> Result<Vec<Point>> {
    let mut points = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        if rest.starts_with("{{") {
            rest = histogram_item(rest, &mut points)?;
            continue;
        }
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        float_item(&rest[..end], &mut points)?;
        rest = rest[end..].trim_start();
    }
    Ok(points)
}

/// `{{...}}`, `{{...}}x3`, `{{...}}+{{...}}x3` or `{{...}}-{{...}}x3`; returns what follows.
fn histogram_item<'a>(text: &'a str, points: &mut Vec<Point>) -> Result<&'a str> {
    let take = |text: &'a str| -> Result<(Described, &'a str)> {
        let end = text.find("}}").ok_or("unclosed histogram")?;
        Ok((native::describe(&text[2..end])?, &text[end + 2..]))
    };
    let (mut current, mut rest) = take(text)?;
    let mut step = None;
    for (sign, factor) in [("+{{", 1.0), ("-{{", -1.0)] {
        if rest.starts_with(sign) {
            let (by, after) = take(&rest[1..])?;
            current.hint_matters = by.hint_matters;
            step = Some((by.value, factor));
            rest = after;
        }
    }
    let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
    let times = match rest[..end].strip_prefix('x') {
        Some(times) => times.parse::<usize>().map_err(|error| error.to_string())?,
        None => 0,
    };
    for _ in 0..=times {
        points.push(Point::Histogram(Box::new(current.clone())));
        if let Some((by, factor)) = &step {
            current.value = native::add(&current.value, by, *factor);
        }
    }
    Ok(rest[end..].trim_start())
}

/// `1`, `1x3`, `1+2x3`, `1-2x3`, `_`, `_x3` or `stale`.
fn float_item(item: &str, points: &mut Vec<Point>) -> Result<()> {
    let count = |text: &str| {
        text.parse::<usize>()
            .map_err(|error| format!("{item}: {error}"))
    };
    if item == "_" {
        points.push(Point::Omitted);
        return Ok(());
    }
    if let Some(times) = item.strip_prefix("_x") {
        points.extend(std::iter::repeat_n(Point::Omitted, count(times)?));
        return Ok(());
    }
    let (item_value, times) = match item.rsplit_once('x') {
        Some((value, times)) => (value, Some(count(times)?)),
        _ => (item, None),
    };
    let value = |text: &str| -> Result<f64> {
        match text {
            "stale" => Ok(model::stale_nan()),
            _ => Ok(float(text).ok_or_else(|| format!("not a value: {text} in {item}"))?),
        }
    };
    let Some(times) = times else {
        points.push(Point::Float(value(item_value)?));
        return Ok(());
    };
    // The sign that separates start and step is not the first and not an exponent's.
    let bytes = item_value.as_bytes();
    let split = (1..bytes.len()).find(|&at| {
        matches!(bytes[at], b'+' | b'-') && !matches!(bytes[at - 1], b'e' | b'E' | b'+' | b'-')
    });
    let (start, step) = match split {
        Some(at) => {
            let step = &item_value[at..];
            let step = step.strip_prefix('+').unwrap_or(step);
            // "1--2" steps down by minus two.
            let step = match step.strip_prefix("--") {
                Some(step) => value(step)?,
                None => value(step)?,
            };
            (value(&item_value[..at])?, step)
        }
        None => (value(item_value)?, 0.0),
    };
    let mut current = start;
    for _ in 0..=times {
        points.push(Point::Float(current));
        current += step;
    }
    Ok(())
}

/// Errors as texts with context, all that a test needs.
pub(crate) mod failure {
    #[derive(Debug)]
    pub(crate) struct Error(pub(crate) String);

    impl std::fmt::Display for Error {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str(&self.0)
        }
    }

    impl From<String> for Error {
        fn from(text: String) -> Self {
            Self(text)
        }
    }

    impl From<&str> for Error {
        fn from(text: &str) -> Self {
            Self(text.to_owned())
        }
    }

    pub(crate) type Result<T> = std::result::Result<T, Error>;

    pub(crate) fn bail<T>(message: String) -> Result<T> {
        Err(Error(message))
    }

    pub(crate) trait Context<T> {
        fn context(self, what: impl FnOnce() -> String) -> Result<T>;
    }

    impl<T> Context<T> for Result<T> {
        fn context(self, what: impl FnOnce() -> String) -> Result<T> {
            self.map_err(|error| Error(format!("{}: {}", what(), error.0)))
        }
    }
}
