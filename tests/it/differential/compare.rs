//! When two answers are equal, and what kind of difference there is where they are not.

use std::collections::BTreeSet;
use std::fmt;

use promql::ast::{BinaryOp, Expr};
use promql::functions::FunctionId;

use super::answer::{Answer, LabelSet, Outcome, Value};

/// How close a value has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exactness {
    /// The same bits, any NaN being as good as another.
    Bits,
    /// The root is a function of exact values that two libraries of mathematics may round
    /// differently: at most [`MAX_ULPS`] apart.
    AtFunction,
    /// Something was computed from such a function's value: [`RELATIVE`].
    AfterFunction,
}

const MAX_ULPS: u64 = 4;
const RELATIVE: f64 = 1e-12;

impl Exactness {
    /// Returns what the expression's own operations allow for.
    pub(crate) fn of(expr: &Expr) -> Self {
        let inner = expr.without_parens();
        let below = inner
            .children()
            .into_iter()
            .map(Self::of)
            .max()
            .unwrap_or(Self::Bits);
        match (transcendental(inner), below) {
            (false, Self::Bits) => Self::Bits,
            (true, Self::Bits) => Self::AtFunction,
            _ => Self::AfterFunction,
        }
    }

    fn admits_value(self, ours: &Value, theirs: &Value) -> bool {
        match (ours, theirs) {
            (Value::Float(ours), Value::Float(theirs)) => self.admits(*ours, *theirs),
            (Value::Histogram(ours), Value::Histogram(theirs)) => {
                let buckets = ours.buckets.iter().zip(&theirs.buckets);
                self.admits(ours.count, theirs.count)
                    && self.admits(ours.sum, theirs.sum)
                    && ours.buckets.len() == theirs.buckets.len()
                    && buckets.into_iter().all(|(ours, theirs)| {
                        (ours.0, ours.1.to_bits(), ours.2.to_bits())
                            == (theirs.0, theirs.1.to_bits(), theirs.2.to_bits())
                            && self.admits(ours.3, theirs.3)
                    })
            }
            _ => false,
        }
    }

    fn admits(self, ours: f64, theirs: f64) -> bool {
        if ours.to_bits() == theirs.to_bits() || ours.is_nan() && theirs.is_nan() {
            return true;
        }
        match self {
            Self::Bits => false,
            Self::AtFunction => ulps(ours, theirs) <= MAX_ULPS,
            Self::AfterFunction => {
                let size = ours.abs().max(theirs.abs());
                size.is_finite() && (ours - theirs).abs() <= RELATIVE * size
            }
        }
    }
}

fn transcendental(expr: &Expr) -> bool {
    use FunctionId::{
        Acos, Acosh, Asin, Asinh, Atan, Atanh, Cos, Cosh, Exp, Ln, Log2, Log10, Sin, Sinh, Tan,
        Tanh,
    };
    match expr {
        Expr::Call(call) => matches!(
            call.func.id,
            Acos | Acosh
                | Asin
                | Asinh
                | Atan
                | Atanh
                | Cos
                | Cosh
                | Exp
                | Ln
                | Log2
                | Log10
                | Sin
                | Sinh
                | Tan
                | Tanh
        ),
        Expr::Binary(binary) => matches!(binary.op, BinaryOp::Pow | BinaryOp::Atan2),
        _ => false,
    }
}

/// How many floats lie between two.
fn ulps(a: f64, b: f64) -> u64 {
    let ordered = |x: f64| {
        let bits = x.to_bits() as i64;
        if bits < 0 {
            i64::MIN.wrapping_sub(bits)
        } else {
            bits
        }
    };
    if a.is_nan() || b.is_nan() {
        u64::MAX
    } else {
        ordered(a).abs_diff(ordered(b))
    }
}

/// In what two answers differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    /// One side has an error and the other has none.
    ErrorOnOneSide,
    /// Errors of different types, or different messages where a query does not parse.
    ErrorText,
    /// Another type of result.
    Shape,
    /// Series, or points of a series, that only one side has.
    Presence,
    /// The same series and times, another value.
    Value,
    /// The same samples in another order.
    Order,
    /// The same samples, other warnings or infos.
    Annotations,
    /// The same warnings and infos but for the place in the query that they name. A text that comes
    /// from several places names the last one that was evaluated, which ours does otherwise, since
    /// it evaluates equal parts of a query once. Counted, and no failure.
    Place,
}

impl Class {
    pub(crate) const ALL: [Self; 8] = [
        Self::ErrorOnOneSide,
        Self::ErrorText,
        Self::Shape,
        Self::Presence,
        Self::Value,
        Self::Order,
        Self::Annotations,
        Self::Place,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ErrorOnOneSide => "error_on_one_side",
            Self::ErrorText => "error_text",
            Self::Shape => "shape",
            Self::Presence => "presence",
            Self::Value => "value",
            Self::Order => "order",
            Self::Annotations => "annotations",
            Self::Place => "place",
        }
    }
}

/// The first difference found.
#[derive(Debug, Clone)]
pub(crate) struct Difference {
    pub(crate) class: Class,
    pub(crate) detail: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] {}", self.class.name(), self.detail)
    }
}

/// Compares answers: outcome first, then order, then annotations.
///
/// # Errors
/// The first difference.
pub(crate) fn compare(
    theirs: &Answer,
    ours: &Answer,
    exactness: Exactness,
) -> Result<(), Difference> {
    outcomes(&theirs.outcome, &ours.outcome, exactness)?;
    if matches!(theirs.outcome, Outcome::Error { .. }) {
        return Ok(());
    }
    for (name, theirs, ours) in [
        ("warnings", &theirs.warnings, &ours.warnings),
        ("infos", &theirs.infos, &ours.infos),
    ] {
        let texts = |annotations: &BTreeSet<String>, shorten: fn(&str) -> String| {
            annotations
                .iter()
                .map(|text| shorten(text))
                .collect::<BTreeSet<_>>()
        };
        let detail = format!("{name}: {theirs:?}, ours {ours:?}");
        if texts(theirs, without_place) != texts(ours, without_place) {
            return difference(Class::Annotations, detail);
        }
        if texts(theirs, without_count) != texts(ours, without_count) {
            return difference(Class::Place, detail);
        }
    }
    Ok(())
}

/// Takes the number of samples out of an info about buckets that fall: Prometheus adds the info to
/// itself at each step of a range query, which doubles the number until it overflows.
fn without_count(text: &str) -> String {
    let counted = text.split_once(", over ").and_then(|(before, rest)| {
        let (_, after) = rest.split_once(" samples from ")?;
        Some(format!("{before}, over some samples from {after}"))
    });
    counted.unwrap_or_else(|| text.to_owned())
}

/// Takes the place, `(line:column)`, and what [`without_count`] takes.
fn without_place(text: &str) -> String {
    let text = without_count(text);
    match text.rsplit_once(" (") {
        Some((before, place)) if place.ends_with(')') && place.contains(':') => before.to_owned(),
        _ => text,
    }
}

fn difference<T>(class: Class, detail: String) -> Result<T, Difference> {
    Err(Difference { class, detail })
}

fn outcomes(theirs: &Outcome, ours: &Outcome, exactness: Exactness) -> Result<(), Difference> {
    match (theirs, ours) {
        (
            Outcome::Error { kind, message },
            Outcome::Error {
                kind: our_kind,
                message: our_message,
            },
        ) => {
            // Where evaluation fails first depends on its order; a parse error does not.
            if kind != our_kind || kind == "bad_data" && message != our_message {
                return difference(
                    Class::ErrorText,
                    format!("{kind}: {message}, ours {our_kind}: {our_message}"),
                );
            }
            Ok(())
        }
        (Outcome::Error { kind, message }, ours) => {
            let shape = ours.shape();
            difference(
                Class::ErrorOnOneSide,
                format!("{kind}: {message}, ours a {shape}"),
            )
        }
        (theirs, Outcome::Error { kind, message }) => {
            let shape = theirs.shape();
            difference(
                Class::ErrorOnOneSide,
                format!("a {shape}, ours {kind}: {message}"),
            )
        }
        (Outcome::Scalar(t, value), Outcome::Scalar(our_t, our_value)) => {
            let labels = LabelSet::new();
            let one = |t: i64, value: f64| [(t, Value::Float(value))];
            points(
                &labels,
                &one(*t, *value),
                &one(*our_t, *our_value),
                exactness,
            )
        }
        (Outcome::String(t, text), Outcome::String(our_t, our_text)) => {
            if (t, text) != (our_t, our_text) {
                return difference(Class::Value, format!("{text:?}, ours {our_text:?}"));
            }
            Ok(())
        }
        (Outcome::Vector(theirs), Outcome::Vector(ours)) => {
            let one = |samples: &[(LabelSet, i64, Value)]| -> ManySeries {
                let series = samples
                    .iter()
                    .map(|(labels, t, v)| (labels.clone(), vec![(*t, v.clone())]));
                series.collect()
            };
            series(one(theirs), one(ours), exactness)
        }
        (Outcome::Matrix(theirs), Outcome::Matrix(ours)) => {
            series(theirs.clone(), ours.clone(), exactness)
        }
        (theirs, ours) => difference(
            Class::Shape,
            format!("a {}, ours a {}", theirs.shape(), ours.shape()),
        ),
    }
}

type ManySeries = Vec<(LabelSet, Vec<(i64, Value)>)>;

fn series(
    mut theirs: ManySeries,
    mut ours: ManySeries,
    exactness: Exactness,
) -> Result<(), Difference> {
    let labels = |series: &ManySeries| -> Vec<LabelSet> {
        series.iter().map(|(labels, _)| labels.clone()).collect()
    };
    let (their_order, our_order) = (labels(&theirs), labels(&ours));
    theirs.sort_by(|a, b| a.0.cmp(&b.0));
    ours.sort_by(|a, b| a.0.cmp(&b.0));
    let missing = theirs
        .iter()
        .find(|(labels, _)| !our_order.contains(labels));
    let surplus = ours
        .iter()
        .find(|(labels, _)| !their_order.contains(labels));
    if missing.is_some() || surplus.is_some() || theirs.len() != ours.len() {
        let text = |series: Option<&(LabelSet, Vec<(i64, Value)>)>| {
            series.map_or_else(
                || "none".to_owned(),
                |(labels, points)| format!("{labels:?} {:?}", &points[..points.len().min(3)]),
            )
        };
        return difference(
            Class::Presence,
            format!(
                "{} series, ours {}; missing {}, surplus {}",
                theirs.len(),
                ours.len(),
                text(missing),
                text(surplus)
            ),
        );
    }
    for ((labels, theirs), (_, ours)) in theirs.iter().zip(&ours) {
        points(labels, theirs, ours, exactness)?;
    }
    if let Some(at) = their_order.iter().zip(&our_order).position(|(a, b)| a != b) {
        return difference(
            Class::Order,
            format!(
                "element {at} is {:?}, ours {:?}",
                their_order[at], our_order[at]
            ),
        );
    }
    Ok(())
}

fn points(
    labels: &LabelSet,
    theirs: &[(i64, Value)],
    ours: &[(i64, Value)],
    exactness: Exactness,
) -> Result<(), Difference> {
    let at = theirs.iter().zip(ours).position(|(a, b)| a.0 != b.0);
    if at.is_some() || theirs.len() != ours.len() {
        let shorter = theirs.len().min(ours.len());
        let at = at.unwrap_or(shorter);
        return difference(
            Class::Presence,
            format!(
                "{labels:?}: {} points, ours {}; point {at} is {:?}, ours {:?}",
                theirs.len(),
                ours.len(),
                theirs.get(at),
                ours.get(at)
            ),
        );
    }
    let differing = theirs
        .iter()
        .zip(ours)
        .filter(|(a, b)| !exactness.admits_value(&b.1, &a.1));
    let count = differing.clone().count();
    if let Some((their_point, our_point)) = differing.into_iter().next() {
        return difference(
            Class::Value,
            format!(
                "{labels:?} at {}: {:?}, ours {:?} ({count} of {} points{})",
                their_point.0,
                their_point.1,
                our_point.1,
                theirs.len(),
                match (&their_point.1, &our_point.1) {
                    (Value::Float(a), Value::Float(b)) => format!("; {} ulps", ulps(*a, *b)),
                    _ => String::new(),
                }
            ),
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exactness(expr: &str) -> Exactness {
        Exactness::of(&promql::parse(expr, &promql::ParseOptions::default()).unwrap())
    }

    #[test]
    fn tolerance_follows_from_the_functions_of_the_expression() {
        assert_eq!(exactness("sum(rate(a[5m]))"), Exactness::Bits);
        assert_eq!(exactness("(exp(a + 1))"), Exactness::AtFunction);
        assert_eq!(exactness("a ^ 2"), Exactness::AtFunction);
        assert_eq!(exactness("sum(ln(a))"), Exactness::AfterFunction);
        assert_eq!(exactness("sin(cos(a))"), Exactness::AfterFunction);
    }

    #[test]
    fn only_what_is_tagged_may_differ_in_its_last_bits() {
        let next = f64::from_bits(1.5f64.to_bits() + 1);
        assert!(!Exactness::Bits.admits(1.5, next));
        assert!(!Exactness::Bits.admits(0.0, -0.0));
        assert!(Exactness::Bits.admits(f64::NAN, -f64::NAN));
        assert!(Exactness::AtFunction.admits(1.5, next));
        assert!(!Exactness::AtFunction.admits(1.5, 1.5 + 1e-13));
        assert!(Exactness::AfterFunction.admits(1.5, 1.5 + 1e-13));
        assert!(!Exactness::AfterFunction.admits(1.5, 1.5 + 1e-11));
        assert!(!Exactness::AfterFunction.admits(1.5, f64::NAN));
        assert!(!Exactness::AfterFunction.admits(f64::INFINITY, f64::NEG_INFINITY));
        assert_eq!(ulps(-0.0, 0.0), 0);
        assert_eq!(ulps(f64::from_bits(1), -f64::from_bits(1)), 2);
    }

    #[test]
    fn differences_are_told_apart() {
        let sample = |name: &str, value| {
            (
                LabelSet::from([("n".to_owned(), name.to_owned())]),
                0,
                Value::Float(value),
            )
        };
        let answer = |samples: Vec<_>| Answer {
            outcome: Outcome::Vector(samples),
            ..Answer::default()
        };
        let one = answer(vec![sample("a", 1.0), sample("b", 2.0)]);
        let class = |ours: &Answer| compare(&one, ours, Exactness::Bits).err().map(|d| d.class);
        assert_eq!(class(&one), None);
        assert_eq!(
            class(&answer(vec![sample("b", 2.0), sample("a", 1.0)])),
            Some(Class::Order)
        );
        assert_eq!(
            class(&answer(vec![sample("a", 1.0)])),
            Some(Class::Presence)
        );
        assert_eq!(
            class(&answer(vec![sample("a", 1.0), sample("b", 3.0)])),
            Some(Class::Value)
        );
        assert_eq!(
            class(&answer(vec![
                sample("a", 1.0),
                sample("b", 2.0),
                sample("b", 2.0)
            ])),
            Some(Class::Presence)
        );
        let mut warned = one.clone();
        warned.warnings.insert("w".to_owned());
        assert_eq!(class(&warned), Some(Class::Annotations));
        let info = |text: &str| format!("PromQL info: {text}");
        let with_info = |text: String| Answer {
            infos: BTreeSet::from([text]),
            ..one.clone()
        };
        let between = |a: &str, b: &str| {
            let (a, b) = (with_info(info(a)), with_info(info(b)));
            compare(&a, &b, Exactness::Bits).err().map(|d| d.class)
        };
        assert_eq!(between("x (1:2)", "x (1:3)"), Some(Class::Place));
        assert_eq!(between("x (1:2)", "y (1:2)"), Some(Class::Annotations));
        let counted = |n| format!("falls, over {n} samples from a to b (1:2)");
        assert_eq!(between(&counted(-2), &counted(81)), None);
        let failed = Answer {
            outcome: Outcome::Error {
                kind: "execution".into(),
                message: "x".into(),
            },
            ..Answer::default()
        };
        assert_eq!(class(&failed), Some(Class::ErrorOnOneSide));
    }
}
