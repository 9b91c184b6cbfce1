//! Prints expressions: `Display` in one line, [`prettify`] in many.
//!
//! Both texts are equal to Prometheus' and parse to the same tree again.

mod pretty;

pub use pretty::prettify;

use std::fmt::{self, Display, Formatter, Write as _};

use model::{METRIC_NAME, MatchOp, Matcher, format_duration};

use crate::ast::{
    AggregateExpr, At, BinaryExpr, DurationExpr, DurationSpec, Expr, MatrixSelector, NumberLiteral,
    RangeModifier, StringLiteral, Subquery, VectorMatchCardinality, VectorMatching, VectorSelector,
};
use crate::lexer::quoting::quote;

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::NumberLiteral(node) => node.fmt(f),
            Self::StringLiteral(node) => node.fmt(f),
            Self::VectorSelector(node) => node.fmt(f),
            Self::MatrixSelector(node) => node.fmt(f),
            Self::Subquery(node) => write!(f, "{}{}", node.expr, SubquerySuffix(node)),
            Self::Call(node) => {
                write!(f, "{}(", node.func.name)?;
                comma_separated(f, &node.args)?;
                f.write_char(')')
            }
            Self::Aggregate(node) => {
                write!(f, "{}(", AggregateHead(node))?;
                if let Some(param) = &node.param {
                    write!(f, "{param}, ")?;
                }
                write!(f, "{})", node.expr)
            }
            Self::Binary(node) => {
                write!(f, "{} {} {}", node.lhs, BinaryHead(node), node.rhs)
            }
            Self::Unary(node) => write!(f, "{}{}", sign(node.negative), node.expr),
            Self::Paren(node) => write!(f, "({})", node.expr),
        }
    }
}

const fn sign(negative: bool) -> char {
    if negative { '-' } else { '+' }
}

fn comma_separated<T: Display>(f: &mut Formatter<'_>, items: &[T]) -> fmt::Result {
    for (i, item) in items.iter().enumerate() {
        let separator = if i == 0 { "" } else { ", " };
        write!(f, "{separator}{item}")?;
    }
    Ok(())
}

impl Display for NumberLiteral {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if !self.is_duration {
            return write!(f, "{}", Number(self.value));
        }
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the parser keeps it in range"
        )]
        let ms = (self.value.abs() * 1e9) as i64 / 1_000_000;
        let sign = if self.value < 0.0 { "-" } else { "" };
        write!(f, "{sign}{}", format_duration(ms))
    }
}

/// A number as Go formats it, without an exponent.
struct Number(f64);

impl Display for Number {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            value if value.is_nan() => f.write_str("NaN"),
            f64::INFINITY => f.write_str("+Inf"),
            f64::NEG_INFINITY => f.write_str("-Inf"),
            value => write!(f, "{value}"),
        }
    }
}

/// A number as Go formats it, with an exponent where it is very large or very small.
struct ShortNumber(f64);

impl Display for ShortNumber {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let magnitude = self.0.abs();
        if !magnitude.is_finite() || magnitude == 0.0 || (1e-4..1e6).contains(&magnitude) {
            return write!(f, "{}", Number(self.0));
        }
        let text = format!("{:e}", self.0);
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, digits) = match exponent.strip_prefix('-') {
            Some(digits) => ('-', digits),
            None => ('+', exponent),
        };
        write!(f, "{mantissa}e{sign}{digits:0>2}")
    }
}

impl Display for StringLiteral {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&quote(&self.value))
    }
}

impl Display for VectorSelector {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Series(self))?;
        write_at(f, self.at)?;
        write_range_modifier(f, self.range_modifier)?;
        write_offset(f, self.offset.as_ref())
    }
}

impl Display for MatrixSelector {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]", Series(&self.selector), self.range)?;
        write_range_modifier(f, self.selector.range_modifier)?;
        write_at(f, self.selector.at)?;
        write_offset(f, self.selector.offset.as_ref())
    }
}

/// A selector without its modifiers.
struct Series<'a>(&'a VectorSelector);

impl Display for Series<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let name = &self.0.name;
        f.write_str(name)?;
        let says_name = |matcher: &&Matcher| {
            !(matcher.name == METRIC_NAME
                && matcher.op == MatchOp::Equal
                && matcher.value == *name
                && !name.is_empty())
        };
        let mut matchers: Vec<String> = self
            .0
            .matchers
            .iter()
            .filter(says_name)
            .map(matcher_text)
            .collect();
        if matchers.is_empty() {
            return Ok(());
        }
        matchers.sort_unstable();
        write!(f, "{{{}}}", matchers.join(","))
    }
}

fn matcher_text(matcher: &Matcher) -> String {
    format!(
        "{}{}{}",
        label_text(&matcher.name),
        matcher.op.as_str(),
        quote(&matcher.value)
    )
}

/// Returns a label name, quoted where it would not be one otherwise.
fn label_text(name: &str) -> String {
    let plain = name.bytes().all(|b| b == b'_' || b.is_ascii_alphanumeric())
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty();
    if plain { name.to_owned() } else { quote(name) }
}

fn labels_text(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| label_text(name)).collect();
    names.join(", ")
}

fn write_at(f: &mut Formatter<'_>, at: Option<At>) -> fmt::Result {
    match at {
        None => Ok(()),
        #[expect(clippy::cast_precision_loss, reason = "as Prometheus prints it")]
        Some(At::Timestamp(ms)) => write!(f, " @ {:.3}", ms as f64 / 1000.0),
        Some(At::Start) => f.write_str(" @ start()"),
        Some(At::End) => f.write_str(" @ end()"),
    }
}

fn write_range_modifier(f: &mut Formatter<'_>, modifier: Option<RangeModifier>) -> fmt::Result {
    f.write_str(match modifier {
        None => "",
        Some(RangeModifier::Anchored) => " anchored",
        Some(RangeModifier::Smoothed) => " smoothed",
    })
}

fn write_offset(f: &mut Formatter<'_>, offset: Option<&DurationSpec>) -> fmt::Result {
    offset.map_or(Ok(()), |offset| write!(f, " offset {offset}"))
}

impl Display for DurationSpec {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(ms) => f.write_str(&format_duration(*ms)),
            Self::Expr(expr) => expr.fmt(f),
        }
    }
}

impl Display for DurationExpr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(literal) => literal.fmt(f),
            Self::Step(_) => f.write_str("step()"),
            Self::Range(_) => f.write_str("range()"),
            Self::Neg { expr, .. } => write!(f, "-{expr}"),
            Self::Paren { expr, .. } => write!(f, "({expr})"),
            Self::MinOf { lhs, rhs, .. } => write!(f, "min_of({lhs}, {rhs})"),
            Self::MaxOf { lhs, rhs, .. } => write!(f, "max_of({lhs}, {rhs})"),
            Self::Binary { op, lhs, rhs } => write!(f, "{lhs} {op} {rhs}"),
        }
    }
}

/// `[range:step] @ ... offset ...`.
struct SubquerySuffix<'a>(&'a Subquery);

impl Display for SubquerySuffix<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "[{}:", self.0.range)?;
        if let Some(step) = &self.0.step {
            write!(f, "{step}")?;
        }
        f.write_char(']')?;
        write_at(f, self.0.at)?;
        write_offset(f, self.0.offset.as_ref())
    }
}

/// `sum by (label) `.
struct AggregateHead<'a>(&'a AggregateExpr);

impl Display for AggregateHead<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let AggregateExpr {
            op,
            grouping,
            without,
            ..
        } = self.0;
        let labels = labels_text(grouping);
        match (without, grouping.is_empty()) {
            (true, _) => write!(f, "{op} without ({labels}) "),
            (false, false) => write!(f, "{op} by ({labels}) "),
            (false, true) => write!(f, "{op}"),
        }
    }
}

/// `+ on (label) group_left (label)`.
struct BinaryHead<'a>(&'a BinaryExpr);

impl Display for BinaryHead<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let bool_modifier = if self.0.return_bool { " bool" } else { "" };
        write!(f, "{}{bool_modifier}", self.0.op)?;
        self.0
            .matching
            .as_ref()
            .map_or(Ok(()), |matching| write!(f, "{matching}"))
    }
}

/// Prints ` on (label) group_left (label) fill (0)`, each part only where it says something.
impl Display for VectorMatching {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let group = match self.card {
            VectorMatchCardinality::ManyToOne => Some("group_left"),
            VectorMatchCardinality::OneToMany => Some("group_right"),
            VectorMatchCardinality::OneToOne | VectorMatchCardinality::ManyToMany => None,
        };
        if !self.labels.is_empty() || self.on || group.is_some() {
            let tag = if self.on { "on" } else { "ignoring" };
            write!(f, " {tag} ({})", labels_text(&self.labels))?;
        }
        if let Some(group) = group {
            write!(f, " {group} ({})", labels_text(&self.include))?;
        }
        match (self.fill.lhs, self.fill.rhs) {
            #[expect(
                clippy::float_cmp,
                reason = "the same value on both sides is one `fill`"
            )]
            (Some(lhs), Some(rhs)) if lhs == rhs => write!(f, " fill ({})", ShortNumber(lhs)),
            (lhs, rhs) => {
                if let Some(lhs) = lhs {
                    write!(f, " fill_left ({})", ShortNumber(lhs))?;
                }
                if let Some(rhs) = rhs {
                    write!(f, " fill_right ({})", ShortNumber(rhs))?;
                }
                Ok(())
            }
        }
    }
}
