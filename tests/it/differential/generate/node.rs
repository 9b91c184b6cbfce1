//! Expressions as trees that can be printed, and made smaller.

use std::fmt;

/// An expression; generated ones are well typed but for what Prometheus itself has to refuse.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node {
    Number(String),
    Text(String),
    Selector(Selector),
    Subquery {
        expr: Box<Node>,
        range: String,
        step: String,
        shift: Shift,
    },
    Call {
        name: &'static str,
        args: Vec<Node>,
    },
    Aggregate {
        op: &'static str,
        param: Option<Box<Node>>,
        expr: Box<Node>,
        grouping: Grouping,
    },
    Binary {
        op: &'static str,
        lhs: Box<Node>,
        rhs: Box<Node>,
        matching: Matching,
    },
    Negative(Box<Node>),
}

/// `offset` and `@`, empty where there is none.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Shift {
    pub(crate) offset: String,
    pub(crate) at: String,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Selector {
    /// Empty where the matchers name the metric.
    pub(crate) metric: String,
    pub(crate) matchers: Vec<String>,
    /// Empty for an instant selector.
    pub(crate) range: String,
    /// ` anchored`, ` smoothed` or nothing.
    pub(crate) edges: &'static str,
    pub(crate) shift: Shift,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Grouping {
    /// `by`, `without` or nothing.
    pub(crate) keyword: &'static str,
    pub(crate) labels: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Matching {
    pub(crate) returns_bool: bool,
    /// `on`, `ignoring` or nothing.
    pub(crate) keyword: &'static str,
    pub(crate) labels: Vec<String>,
    /// `group_left`, `group_right` or nothing.
    pub(crate) group: &'static str,
    pub(crate) include: Vec<String>,
    /// ` fill(0)` and its like.
    pub(crate) fill: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    Scalar,
    Vector,
    Matrix,
    Text,
}

impl Node {
    pub(crate) fn number(text: impl Into<String>) -> Self {
        Self::Number(text.into())
    }

    pub(crate) fn call(name: &'static str, args: impl IntoIterator<Item = Self>) -> Self {
        Self::Call {
            name,
            args: args.into_iter().collect(),
        }
    }

    pub(crate) fn binary(op: &'static str, lhs: Self, rhs: Self, matching: Matching) -> Self {
        Self::Binary {
            op,
            lhs: Box::new(lhs),
            rhs: Box::new(rhs),
            matching,
        }
    }

    pub(crate) fn value_type(&self) -> Type {
        match self {
            Self::Number(_) => Type::Scalar,
            Self::Text(_) => Type::Text,
            Self::Selector(selector) if selector.range.is_empty() => Type::Vector,
            Self::Selector(_) | Self::Subquery { .. } => Type::Matrix,
            Self::Call { name, .. } if SCALAR_CALLS.contains(name) => Type::Scalar,
            Self::Call { .. } | Self::Aggregate { .. } => Type::Vector,
            Self::Binary { lhs, rhs, .. } => {
                let both = (lhs.value_type(), rhs.value_type());
                if both == (Type::Scalar, Type::Scalar) {
                    Type::Scalar
                } else {
                    Type::Vector
                }
            }
            Self::Negative(expr) => expr.value_type(),
        }
    }

    pub(crate) fn children(&self) -> Vec<&Self> {
        match self {
            Self::Number(_) | Self::Text(_) | Self::Selector(_) => Vec::new(),
            Self::Subquery { expr, .. } | Self::Negative(expr) => vec![expr],
            Self::Call { args, .. } => args.iter().collect(),
            Self::Aggregate { param, expr, .. } => std::iter::once(expr.as_ref())
                .chain(param.as_deref())
                .collect(),
            Self::Binary { lhs, rhs, .. } => vec![lhs, rhs],
        }
    }

    pub(crate) fn children_mut(&mut self) -> Vec<&mut Self> {
        match self {
            Self::Number(_) | Self::Text(_) | Self::Selector(_) => Vec::new(),
            Self::Subquery { expr, .. } | Self::Negative(expr) => vec![expr],
            Self::Call { args, .. } => args.iter_mut().collect(),
            Self::Aggregate { param, expr, .. } => std::iter::once(expr.as_mut())
                .chain(param.as_deref_mut())
                .collect(),
            Self::Binary { lhs, rhs, .. } => vec![lhs, rhs],
        }
    }

    /// How tightly a binary operator binds; what is not one binds tightest.
    fn precedence(&self) -> u8 {
        match self {
            Self::Binary { op, .. } => match *op {
                "or" => 1,
                "and" | "unless" => 2,
                "==" | "!=" | "<" | "<=" | ">" | ">=" => 3,
                "+" | "-" => 4,
                "*" | "/" | "%" | "atan2" => 5,
                _ => 7,
            },
            Self::Negative(_) => 6,
            Self::Number(text) if text.starts_with('-') => 6,
            _ => 8,
        }
    }

    fn in_parens(&self, f: &mut fmt::Formatter<'_>, parens: bool) -> fmt::Result {
        if parens {
            write!(f, "({self})")
        } else {
            write!(f, "{self}")
        }
    }
}

/// The functions that return a scalar.
pub(crate) const SCALAR_CALLS: &[&str] = &[
    "scalar", "time", "pi", "start", "end", "step", "range", "min_of", "max_of",
];

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(text) => f.write_str(text),
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Selector(selector) => selector.fmt(f),
            Self::Subquery {
                expr,
                range,
                step,
                shift,
            } => {
                expr.in_parens(f, expr.precedence() < 8)?;
                write!(f, "[{range}:{step}]{shift}")
            }
            Self::Call { name, args } => {
                write!(f, "{name}(")?;
                for (i, arg) in args.iter().enumerate() {
                    write!(f, "{}{arg}", if i > 0 { ", " } else { "" })?;
                }
                f.write_str(")")
            }
            Self::Aggregate {
                op,
                param,
                expr,
                grouping,
            } => {
                f.write_str(op)?;
                if !grouping.keyword.is_empty() {
                    write!(f, " {} ({}) ", grouping.keyword, grouping.labels.join(", "))?;
                }
                match param {
                    Some(param) => write!(f, "({param}, {expr})"),
                    None => write!(f, "({expr})"),
                }
            }
            Self::Binary {
                op,
                lhs,
                rhs,
                matching,
            } => {
                let own = self.precedence();
                let to_the_right = *op == "^";
                let left = lhs.precedence();
                lhs.in_parens(f, left < own || left == own && to_the_right)?;
                write!(f, " {op}{matching} ")?;
                let right = rhs.precedence();
                rhs.in_parens(f, right < own || right == own && !to_the_right)
            }
            Self::Negative(expr) => {
                f.write_str("-")?;
                expr.in_parens(f, expr.precedence() < 8)
            }
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.metric)?;
        if !self.matchers.is_empty() {
            write!(f, "{{{}}}", self.matchers.join(", "))?;
        }
        if !self.range.is_empty() {
            write!(f, "[{}]", self.range)?;
        }
        write!(f, "{}{}", self.edges, self.shift)
    }
}

impl fmt::Display for Shift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.offset.is_empty() {
            write!(f, " offset {}", self.offset)?;
        }
        if !self.at.is_empty() {
            write!(f, " @ {}", self.at)?;
        }
        Ok(())
    }
}

impl fmt::Display for Matching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.returns_bool {
            f.write_str(" bool")?;
        }
        if !self.keyword.is_empty() {
            write!(f, " {} ({})", self.keyword, self.labels.join(", "))?;
        }
        if !self.group.is_empty() {
            write!(f, " {}", self.group)?;
            if !self.include.is_empty() {
                write!(f, " ({})", self.include.join(", "))?;
            }
        }
        f.write_str(&self.fill)
    }
}
