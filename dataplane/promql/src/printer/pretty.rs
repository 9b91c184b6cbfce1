//! Prints an expression over several lines where it is long.

use super::{AggregateHead, BinaryHead, SubquerySuffix, sign};
use crate::ast::Expr;

/// The most bytes of a node that stays in one line.
const MAX_LINE_BYTES: usize = 100;

/// Returns the expression in Prometheus' pretty form: a node of more than 100 bytes puts its
/// children on lines of their own, each level indented by two spaces.
#[must_use]
pub fn prettify(expr: &Expr) -> String {
    pretty(expr, 0)
}

fn pretty(expr: &Expr, level: usize) -> String {
    let indent = "  ".repeat(level);
    let line = expr.to_string();
    let is_short = line.len() <= MAX_LINE_BYTES;
    match expr {
        Expr::Unary(node) => {
            let inner = pretty(&node.expr, level);
            format!("{indent}{}{}", sign(node.negative), inner.trim())
        }
        // Prometheus does not indent a subquery that fits a line.
        Expr::Subquery(_) if is_short => line,
        Expr::Subquery(node) => format!("{}{}", pretty(&node.expr, level), SubquerySuffix(node)),
        _ if is_short => format!("{indent}{line}"),
        Expr::Aggregate(node) => {
            let param = node
                .param
                .as_ref()
                .map(|param| format!("{},\n", pretty(param, level + 1)))
                .unwrap_or_default();
            let inner = pretty(&node.expr, level + 1);
            format!(
                "{indent}{}(\n{param}{inner}\n{indent})",
                AggregateHead(node)
            )
        }
        Expr::Binary(node) => {
            let (lhs, rhs) = (pretty(&node.lhs, level + 1), pretty(&node.rhs, level + 1));
            format!("{lhs}\n{indent}{}\n{rhs}", BinaryHead(node))
        }
        Expr::Call(node) => {
            let args: Vec<String> = node.args.iter().map(|arg| pretty(arg, level + 1)).collect();
            format!(
                "{indent}{}(\n{}\n{indent})",
                node.func.name,
                args.join(",\n")
            )
        }
        Expr::Paren(node) => {
            format!("{indent}(\n{}\n{indent})", pretty(&node.expr, level + 1))
        }
        Expr::NumberLiteral(_)
        | Expr::StringLiteral(_)
        | Expr::VectorSelector(_)
        | Expr::MatrixSelector(_) => format!("{indent}{line}"),
    }
}
