//! From the plan to operators. All selections are started here, before any is read.

use crate::ast::RangeModifier;
use crate::plan::{RangeSource, SubqueryNode, VectorKind, VectorNode};

use super::block::{Block, Grid, SeriesMeta};
use super::element::{Element, ElementOf};
use super::exec::{Exec, Operator};
use super::leaf::{Leaf, LeafSpec};
use super::scalar::ScalarOperator;
use super::window::{RefTimes, WindowFunc, WindowSpec};
use super::{
    EngineError, absent, aggregate, binary, count_values, element, info, labels, merge, quantiles,
    share, sort, subquery,
};

/// Returns the operator of a vector node over the steps of `grid`.
pub(crate) fn vector(
    node: &VectorNode,
    grid: &Grid,
    ex: &mut Exec<'_>,
) -> Result<Box<dyn Operator>, EngineError> {
    let Some(number) = node.shared else {
        return unshared(node, grid, ex);
    };
    if ex.started.get(number).copied().unwrap_or(true) {
        return Ok(Box::new(share::Later {
            number,
            grid: *grid,
            done: false,
        }));
    }
    ex.started[number] = true;
    let input = unshared(node, grid, ex)?;
    ex.sources[number] = Some(share::Source { input, grid: *grid });
    Ok(Box::new(share::Later {
        number,
        grid: *grid,
        done: false,
    }))
}

fn unshared(
    node: &VectorNode,
    grid: &Grid,
    ex: &mut Exec<'_>,
) -> Result<Box<dyn Operator>, EngineError> {
    Ok(match &node.kind {
        VectorKind::Select { selector, take } => {
            let refs = RefTimes {
                grid: *grid,
                at: selector.at,
                offset: selector.offset_ms,
            };
            let spec = LeafSpec::Instant {
                refs,
                lookback_ms: ex.lookback_ms(),
                take: *take,
                // `anchored` says something about windows only.
                smoothed: (selector.modifier == Some(RangeModifier::Smoothed))
                    .then_some(selector.pos),
            };
            Box::new(Leaf::new(selector, grid, spec, Vec::new(), ex)?)
        }
        VectorKind::Window {
            source,
            func,
            params,
            pos,
        } => {
            let params = scalars(params, grid, ex)?;
            match source {
                RangeSource::Selector(selector) => {
                    let spec = WindowSpec {
                        func: *func,
                        refs: RefTimes {
                            grid: *grid,
                            at: selector.at,
                            offset: selector.offset_ms,
                        },
                        range_ms: selector.range_ms,
                        modifier: selector.modifier,
                        lookback_ms: ex.lookback_ms(),
                        params: Vec::new(),
                        pos: *pos,
                    };
                    Box::new(Leaf::new(
                        selector,
                        grid,
                        LeafSpec::Window(spec),
                        params,
                        ex,
                    )?)
                }
                RangeSource::Subquery(node) => {
                    subquery_window(node, *func, params, *pos, grid, ex)?
                }
            }
        }
        VectorKind::Invariant(input) => {
            let once = grid.first_only();
            let input = vector(input, &once, ex)?;
            Box::new(element::Broadcast { input, grid: *grid })
        }
        VectorKind::OfScalar(scalar) => {
            let scalar = ScalarOperator::build(scalar, grid, ex)?;
            Box::new(element::OfScalar {
                scalar: Some(scalar),
                grid: *grid,
            })
        }
        VectorKind::OfTime(func) => Box::new(element::OfTime {
            func: Some(*func),
            grid: *grid,
        }),
        VectorKind::Element {
            func,
            params,
            input,
        } => {
            let input = vector(input, grid, ex)?;
            let params = scalars(params, grid, ex)?;
            Box::new(Element::new(
                input,
                ElementOf::Function(*func),
                params,
                *grid,
            ))
        }
        VectorKind::Neg(input) => {
            let input = vector(input, grid, ex)?;
            Box::new(Element::new(input, ElementOf::Negation, Vec::new(), *grid))
        }
        VectorKind::VectorScalar {
            op,
            vector: input,
            scalar,
            swapped,
            return_bool,
            pos,
        } => {
            let input = vector(input, grid, ex)?;
            let scalar = vec![ScalarOperator::build(scalar, grid, ex)?];
            let of = ElementOf::Operator {
                op: *op,
                swapped: *swapped,
                return_bool: *return_bool,
                pos: *pos,
            };
            Box::new(Element::new(input, of, scalar, *grid))
        }
        VectorKind::Binary {
            op,
            lhs,
            rhs,
            matching,
            return_bool,
            pos,
        } => {
            let lhs = vector(lhs, grid, ex)?;
            let rhs = vector(rhs, grid, ex)?;
            if op.is_set() {
                Box::new(binary::set::SetOperation::new(
                    *op, lhs, rhs, matching, *grid, ex,
                ))
            } else {
                Box::new(binary::Binary::new(
                    *op,
                    (lhs, rhs),
                    matching,
                    *return_bool,
                    *pos,
                    *grid,
                    ex,
                ))
            }
        }
        VectorKind::Aggregate {
            op,
            input,
            param,
            grouping,
            without,
            pos,
            param_pos,
        } => {
            let input = vector(input, grid, ex)?;
            let param = match param {
                Some(param) => Some(ScalarOperator::build(param, grid, ex)?),
                None => None,
            };
            let groups = aggregate::Grouping::new(grouping, *without, ex);
            aggregate::operator(*op, input, param, groups, *pos, *param_pos, *grid)
        }
        VectorKind::CountValues {
            input,
            label,
            grouping,
            without,
        } => {
            let input = vector(input, grid, ex)?;
            Box::new(count_values::CountValues::new(
                input, label, grouping, *without, *grid, ex,
            ))
        }
        VectorKind::Absent { input, labels } => {
            let input = vector(input, grid, ex)?;
            Box::new(absent::Absent::new(input, labels, *grid, ex))
        }
        VectorKind::LabelReplace {
            input,
            dst,
            replacement,
            src,
            regex,
        } => {
            let input = vector(input, grid, ex)?;
            Box::new(labels::LabelReplace::new(
                input,
                dst,
                replacement,
                src,
                regex,
                ex,
            ))
        }
        VectorKind::LabelJoin {
            input,
            dst,
            separator,
            src,
        } => {
            let input = vector(input, grid, ex)?;
            Box::new(labels::LabelJoin::new(input, dst, separator, src, ex))
        }
        VectorKind::Sort { input, order, pos } => {
            let input = vector(input, grid, ex)?;
            Box::new(sort::Sort::new(input, order, *pos, *grid))
        }
        VectorKind::HistogramQuantile {
            input,
            quantiles,
            label,
            pos,
        } => {
            let input = vector(input, grid, ex)?;
            let mut operators = Vec::with_capacity(quantiles.len());
            for (quantile, pos) in quantiles {
                operators.push((ScalarOperator::build(quantile, grid, ex)?, *pos));
            }
            Box::new(quantiles::Quantiles::new(
                input,
                operators,
                label.as_deref(),
                *pos,
                *grid,
                ex,
            ))
        }
        VectorKind::HistogramFraction {
            input,
            lower,
            upper,
            pos,
        } => {
            let input = vector(input, grid, ex)?;
            let lower = ScalarOperator::build(lower, grid, ex)?;
            let upper = ScalarOperator::build(upper, grid, ex)?;
            Box::new(quantiles::Fraction::new(input, lower, upper, *pos, *grid))
        }
        VectorKind::Info { input, source } => {
            let input = vector(input, grid, ex)?;
            Box::new(info::Info::new(input, source, *grid, ex))
        }
        VectorKind::Merge(input) => {
            let input = vector(input, grid, ex)?;
            Box::new(merge::Merge::new(input, *grid))
        }
        VectorKind::RequireUnique(input) => {
            let input = vector(input, grid, ex)?;
            Box::new(merge::RequireUnique::new(input))
        }
    })
}

fn scalars(
    nodes: &[crate::plan::ScalarNode],
    grid: &Grid,
    ex: &mut Exec<'_>,
) -> Result<Vec<ScalarOperator>, EngineError> {
    nodes
        .iter()
        .map(|node| ScalarOperator::build(node, grid, ex))
        .collect()
}

/// The steps of a subquery: multiples of its own step in the windows of all outer steps.
pub(crate) fn subquery_grid(node: &SubqueryNode, outer: &Grid) -> Grid {
    let (first, last) = match node.at {
        Some(at) => (at, at),
        None => (outer.start, outer.end()),
    };
    let edge = first
        .saturating_sub(node.offset_ms)
        .saturating_sub(node.range_ms);
    let step = node.step_ms.max(1);
    let mut start = step * (edge / step);
    if start <= edge {
        start += step;
    }
    Grid::new(start, last.saturating_sub(node.offset_ms), step)
}

fn subquery_window(
    node: &SubqueryNode,
    func: WindowFunc,
    params: Vec<ScalarOperator>,
    pos: crate::ast::PosRange,
    grid: &Grid,
    ex: &mut Exec<'_>,
) -> Result<Box<dyn Operator>, EngineError> {
    let inner = subquery_grid(node, grid);
    super::check_steps(inner.steps)?;
    let spec = WindowSpec {
        func,
        refs: RefTimes {
            grid: *grid,
            at: node.at,
            offset: node.offset_ms,
        },
        range_ms: node.range_ms,
        modifier: None,
        lookback_ms: ex.lookback_ms(),
        params: Vec::new(),
        pos,
    };
    let input = vector(&node.input, &inner, ex)?;
    Ok(Box::new(subquery::SubqueryWindow::new(
        input, inner, *grid, spec, params,
    )))
}

/// A block of one row without labels that has a value at every step.
pub(crate) fn nameless(grid: &Grid, values: impl Fn(usize) -> f64, ex: &mut Exec<'_>) -> Block {
    let mut block = ex.block(grid);
    block.push_constant(SeriesMeta::default(), 0.0);
    let (row, _) = block.row_mut(0);
    for (step, value) in row.iter_mut().enumerate() {
        *value = values(step);
    }
    block
}
