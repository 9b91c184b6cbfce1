//! The kinds of tokens and how messages name them.

use super::quoting::quote;
use crate::ast::{AggregateOp, BinaryOp, PosRange};

/// The most characters of a token that a message shows.
const MAX_SHOWN_CHARS: usize = 10;

/// A token: what it is, where it starts and its text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Token<'a> {
    pub(crate) kind: TokenKind,
    pub(crate) start: usize,
    pub(crate) text: &'a str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenKind {
    Eof,
    Identifier,
    /// An identifier with a colon.
    MetricIdentifier,
    Number,
    Duration,
    String,
    LeftParen,
    RightParen,
    LeftBrace,
    RightBrace,
    LeftBracket,
    RightBracket,
    Comma,
    Colon,
    Eql,
    EqlRegex,
    NeqRegex,
    At,
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
    Atan2,
    EqlC,
    Neq,
    Lss,
    Lte,
    Gtr,
    Gte,
    TrimUpper,
    TrimLower,
    And,
    Or,
    Unless,
    Aggregate(AggregateOp),
    Bool,
    By,
    GroupLeft,
    GroupRight,
    Fill,
    FillLeft,
    FillRight,
    Ignoring,
    Offset,
    Smoothed,
    Anchored,
    On,
    Without,
    Start,
    End,
    Step,
    Range,
    MaxOf,
    MinOf,
}

impl TokenKind {
    /// Returns the kind of a lower-case word that is not an identifier.
    pub(crate) fn keyword(word: &str) -> Option<Self> {
        Some(match word {
            "and" => Self::And,
            "or" => Self::Or,
            "unless" => Self::Unless,
            "atan2" => Self::Atan2,
            "sum" => Self::Aggregate(AggregateOp::Sum),
            "avg" => Self::Aggregate(AggregateOp::Avg),
            "count" => Self::Aggregate(AggregateOp::Count),
            "min" => Self::Aggregate(AggregateOp::Min),
            "max" => Self::Aggregate(AggregateOp::Max),
            "group" => Self::Aggregate(AggregateOp::Group),
            "stddev" => Self::Aggregate(AggregateOp::Stddev),
            "stdvar" => Self::Aggregate(AggregateOp::Stdvar),
            "topk" => Self::Aggregate(AggregateOp::Topk),
            "bottomk" => Self::Aggregate(AggregateOp::Bottomk),
            "count_values" => Self::Aggregate(AggregateOp::CountValues),
            "quantile" => Self::Aggregate(AggregateOp::Quantile),
            "limitk" => Self::Aggregate(AggregateOp::Limitk),
            "limit_ratio" => Self::Aggregate(AggregateOp::LimitRatio),
            "offset" => Self::Offset,
            "smoothed" => Self::Smoothed,
            "anchored" => Self::Anchored,
            "by" => Self::By,
            "without" => Self::Without,
            "on" => Self::On,
            "ignoring" => Self::Ignoring,
            "group_left" => Self::GroupLeft,
            "group_right" => Self::GroupRight,
            "fill" => Self::Fill,
            "fill_left" => Self::FillLeft,
            "fill_right" => Self::FillRight,
            "bool" => Self::Bool,
            "start" => Self::Start,
            "end" => Self::End,
            "step" => Self::Step,
            "range" => Self::Range,
            "max_of" => Self::MaxOf,
            "min_of" => Self::MinOf,
            "inf" | "nan" => Self::Number,
            _ => return None,
        })
    }

    /// Returns the operator of a binary expression.
    pub(crate) const fn binary_op(self) -> Option<BinaryOp> {
        Some(match self {
            Self::Add => BinaryOp::Add,
            Self::Sub => BinaryOp::Sub,
            Self::Mul => BinaryOp::Mul,
            Self::Div => BinaryOp::Div,
            Self::Mod => BinaryOp::Mod,
            Self::Pow => BinaryOp::Pow,
            Self::Atan2 => BinaryOp::Atan2,
            Self::EqlC => BinaryOp::Eq,
            Self::Neq => BinaryOp::NotEq,
            Self::Lss => BinaryOp::Less,
            Self::Lte => BinaryOp::LessEq,
            Self::Gtr => BinaryOp::Greater,
            Self::Gte => BinaryOp::GreaterEq,
            Self::TrimUpper => BinaryOp::TrimUpper,
            Self::TrimLower => BinaryOp::TrimLower,
            Self::And => BinaryOp::And,
            Self::Or => BinaryOp::Or,
            Self::Unless => BinaryOp::Unless,
            _ => return None,
        })
    }

    /// Returns whether the token can be a metric name outside of braces.
    pub(crate) const fn is_metric_identifier(self) -> bool {
        matches!(
            self,
            Self::Identifier
                | Self::MetricIdentifier
                | Self::Aggregate(_)
                | Self::By
                | Self::Fill
                | Self::FillLeft
                | Self::FillRight
                | Self::And
                | Self::Or
                | Self::Unless
                | Self::Offset
                | Self::Without
                | Self::Start
                | Self::End
                | Self::Step
                | Self::Range
                | Self::Anchored
                | Self::Smoothed
                | Self::MaxOf
                | Self::MinOf
        )
    }

    /// Returns whether the token can be a label name in `by`, `on` and the like; `without`, of all
    /// keywords, cannot.
    pub(crate) const fn is_label(self) -> bool {
        match self {
            Self::Without => false,
            Self::Bool
            | Self::GroupLeft
            | Self::GroupRight
            | Self::Ignoring
            | Self::On
            | Self::Atan2 => true,
            _ => self.is_metric_identifier(),
        }
    }

    /// Returns whether an expression can start with the token.
    pub(crate) const fn starts_expr(self) -> bool {
        self.is_metric_identifier()
            || matches!(
                self,
                Self::Number
                    | Self::Duration
                    | Self::String
                    | Self::LeftParen
                    | Self::LeftBrace
                    | Self::Add
                    | Self::Sub
            )
    }

    const fn is_keyword(self) -> bool {
        matches!(
            self,
            Self::Bool
                | Self::By
                | Self::GroupLeft
                | Self::GroupRight
                | Self::Fill
                | Self::FillLeft
                | Self::FillRight
                | Self::Ignoring
                | Self::Offset
                | Self::Smoothed
                | Self::Anchored
                | Self::On
                | Self::Without
        )
    }

    const fn is_operator(self) -> bool {
        self.binary_op().is_some() || matches!(self, Self::EqlRegex | Self::NeqRegex | Self::At)
    }
}

impl Token<'_> {
    pub(crate) const fn pos(&self) -> PosRange {
        PosRange::new(self.start, self.start + self.text.len())
    }

    /// Returns how messages name the token, e.g. `identifier "foo"` or `<op:+>`.
    pub(crate) fn describe(&self) -> String {
        match self.kind {
            TokenKind::Eof => "end of input".to_owned(),
            TokenKind::Identifier => format!("identifier {}", quote(self.text)),
            TokenKind::MetricIdentifier => format!("metric identifier {}", quote(self.text)),
            TokenKind::String => format!("string {}", self.shown()),
            TokenKind::Number => format!("number {}", self.shown()),
            TokenKind::Duration => format!("duration {}", self.shown()),
            TokenKind::Aggregate(_) => format!("<aggr:{}>", self.text),
            kind if kind.is_keyword() => format!("<{}>", self.text),
            kind if kind.is_operator() => format!("<op:{}>", self.text),
            _ => self.shown(),
        }
    }

    fn shown(&self) -> String {
        if self.text.len() <= MAX_SHOWN_CHARS {
            return quote(self.text);
        }
        let shown: String = self.text.chars().take(MAX_SHOWN_CHARS).collect();
        format!("{}...", quote(&shown))
    }
}
