//! Finds parts of a plan that are equal, so that they are evaluated once.

use std::collections::HashMap;

use super::{Plan, RangeSource, ScalarNode, VectorKind, VectorNode};

/// Beyond so much text a query is too large to look for equal parts in it.
const MAX_KEY_BYTES: usize = 1 << 20;

/// Numbers the vectors that occur more than once over the same steps and returns how many numbers
/// there are. Parts of a shared part are not numbered again.
pub(crate) fn number_equal_parts(plan: &mut Plan) -> usize {
    let mut counts = HashMap::new();
    let mut bytes = 0;
    visit_plan(plan, &mut |_, key| {
        bytes += key.len();
        *counts.entry(key).or_insert(0usize) += 1;
        bytes < MAX_KEY_BYTES
    });
    if bytes >= MAX_KEY_BYTES {
        return 0;
    }
    counts.retain(|_, count| *count > 1);
    if counts.is_empty() {
        return 0;
    }
    let mut numbers: HashMap<String, usize> = HashMap::new();
    let mut last: Vec<VectorKind> = Vec::new();
    visit_plan(plan, &mut |node, key| {
        if !counts.contains_key(&key) {
            return true;
        }
        let next = numbers.len();
        let number = *numbers.entry(key).or_insert(next);
        node.shared = Some(number);
        if number == next {
            last.push(node.kind.clone());
        } else {
            last[number] = node.kind.clone();
        }
        // Inner parts are evaluated as often as the outer one: once.
        false
    });
    // Whichever occurrence is evaluated, annotations name the place of the last.
    visit_plan(plan, &mut |node, _| {
        let Some(number) = node.shared else {
            return true;
        };
        node.kind = last[number].clone();
        false
    });
    numbers.len()
}

type Visit<'a> = dyn FnMut(&mut VectorNode, String) -> bool + 'a;

fn visit_plan(plan: &mut Plan, visit: &mut Visit<'_>) {
    match plan {
        Plan::Scalar(node) => visit_scalar(node, "", visit),
        Plan::Vector(node) => visit_vector(node, "", visit),
        Plan::Matrix(RangeSource::Subquery(subquery)) => {
            visit_vector(&mut subquery.input, "sub", visit);
        }
        Plan::Matrix(RangeSource::Selector(_)) | Plan::String(_) => {}
    }
}

/// `grid` names the steps a part is evaluated at; equal names mean equal steps.
fn visit_vector(node: &mut VectorNode, grid: &str, visit: &mut Visit<'_>) {
    let is_cheap = matches!(node.kind, VectorKind::OfScalar(_) | VectorKind::OfTime(_));
    if !is_cheap {
        let key = format!("{grid}|{}", Key(node));
        if !visit(node, key) {
            return;
        }
    }
    match &mut node.kind {
        VectorKind::Select { .. } | VectorKind::OfTime(_) => {}
        VectorKind::Window { source, params, .. } => {
            for param in params {
                visit_scalar(param, grid, visit);
            }
            if let RangeSource::Subquery(subquery) = source {
                let inner = format!(
                    "{grid}[{}:{}]{}@{:?}",
                    subquery.range_ms, subquery.step_ms, subquery.offset_ms, subquery.at
                );
                visit_vector(&mut subquery.input, &inner, visit);
            }
        }
        VectorKind::Invariant(input) => visit_vector(input, &format!("{grid}!"), visit),
        VectorKind::OfScalar(scalar) => visit_scalar(scalar, grid, visit),
        VectorKind::Element { params, input, .. } => {
            visit_vector(input, grid, visit);
            for param in params {
                visit_scalar(param, grid, visit);
            }
        }
        VectorKind::VectorScalar { vector, scalar, .. } => {
            visit_vector(vector, grid, visit);
            visit_scalar(scalar, grid, visit);
        }
        VectorKind::Binary { lhs, rhs, .. } => {
            visit_vector(lhs, grid, visit);
            visit_vector(rhs, grid, visit);
        }
        VectorKind::Aggregate { input, param, .. } => {
            visit_vector(input, grid, visit);
            if let Some(param) = param {
                visit_scalar(param, grid, visit);
            }
        }
        VectorKind::HistogramQuantile {
            input, quantiles, ..
        } => {
            visit_vector(input, grid, visit);
            for (quantile, _) in quantiles {
                visit_scalar(quantile, grid, visit);
            }
        }
        VectorKind::HistogramFraction {
            input,
            lower,
            upper,
            ..
        } => {
            visit_vector(input, grid, visit);
            visit_scalar(lower, grid, visit);
            visit_scalar(upper, grid, visit);
        }
        VectorKind::Neg(input)
        | VectorKind::CountValues { input, .. }
        | VectorKind::Absent { input, .. }
        | VectorKind::LabelReplace { input, .. }
        | VectorKind::LabelJoin { input, .. }
        | VectorKind::Sort { input, .. }
        | VectorKind::Info { input, .. }
        | VectorKind::Merge(input)
        | VectorKind::RequireUnique(input) => visit_vector(input, grid, visit),
    }
}

fn visit_scalar(node: &mut ScalarNode, grid: &str, visit: &mut Visit<'_>) {
    match node {
        ScalarNode::Number(_) | ScalarNode::Time => {}
        ScalarNode::OfVector(input) => visit_vector(input, grid, visit),
        ScalarNode::Binary { lhs, rhs, .. } => {
            visit_scalar(lhs, grid, visit);
            visit_scalar(rhs, grid, visit);
        }
        ScalarNode::Neg(input) => visit_scalar(input, grid, visit),
        ScalarNode::Invariant(input) => visit_scalar(input, &format!("{grid}!"), visit),
    }
}

/// A node as text in which positions do not count.
struct Key<'a>(&'a VectorNode);

impl std::fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The derived text names every field; positions are printed as `PosRange { .. }` and cut out.
        let text = format!("{:?}", self.0.kind);
        let mut rest = text.as_str();
        while let Some(at) = rest.find("PosRange {") {
            f.write_str(&rest[..at])?;
            rest = &rest[at..];
            rest = rest.find('}').map_or("", |end| &rest[end + 1..]);
        }
        f.write_str(rest)
    }
}
