//! From a query that differs to a small one that still does.

use super::answer::Times;
use super::generate::{Generated, Grouping, Matching, Node, Shift, Type};

/// How many smaller queries are tried for one difference.
const MAX_TRIES: usize = 250;

/// Returns the smallest query found for which `differs` is still true.
pub(crate) fn shrink(query: &Generated, differs: impl Fn(&Generated) -> bool) -> Generated {
    let mut smallest = query.clone();
    let mut tries = 0;
    'smaller: loop {
        for candidate in candidates(&smallest) {
            tries += 1;
            if tries > MAX_TRIES {
                return smallest;
            }
            if differs(&candidate) {
                smallest = candidate;
                continue 'smaller;
            }
        }
        return smallest;
    }
}

fn candidates(query: &Generated) -> Vec<Generated> {
    let times = smaller_times(query.times);
    let times = times.into_iter().map(|times| Generated {
        node: query.node.clone(),
        times,
    });
    let nodes = smaller(&query.node);
    let nodes = nodes.into_iter().map(|node| Generated {
        node,
        times: query.times,
    });
    nodes.chain(times).collect()
}

fn smaller_times(times: Times) -> Vec<Times> {
    let Times::Range { start, end, step } = times else {
        return Vec::new();
    };
    let steps = (end - start) / step;
    let mut smaller = vec![
        Times::Instant { at: start },
        Times::Instant {
            at: start + steps * step,
        },
    ];
    if steps > 0 {
        let middle = start + steps / 2 * step;
        smaller.push(Times::Range {
            start,
            end: middle,
            step,
        });
        smaller.push(Times::Range {
            start: middle + step,
            end,
            step,
        });
        smaller.push(Times::Range {
            start: start + step,
            end,
            step,
        });
        smaller.push(Times::Range {
            start,
            end: end - step,
            step,
        });
    }
    smaller
}

/// Expressions of the same type that lack one thing each.
fn smaller(node: &Node) -> Vec<Node> {
    let mut all: Vec<Node> = node
        .children()
        .into_iter()
        .filter(|child| child.value_type() == node.value_type())
        .cloned()
        .collect();
    all.extend(simpler(node));
    for (i, child) in node.children().into_iter().enumerate() {
        for smaller_child in smaller(child) {
            let mut copy = node.clone();
            if let Some(place) = copy.children_mut().into_iter().nth(i) {
                *place = smaller_child;
                all.push(copy);
            }
        }
    }
    all
}

/// The node itself with less.
fn simpler(node: &Node) -> Vec<Node> {
    let mut all = Vec::new();
    match node {
        Node::Selector(selector) => {
            for i in 0..selector.matchers.len() {
                // The last matcher of a selector without name has to stay.
                if !selector.metric.is_empty() || selector.matchers.len() > 1 {
                    let mut less = selector.clone();
                    less.matchers.remove(i);
                    all.push(Node::Selector(less));
                }
            }
            for shift in less_shift(&selector.shift) {
                all.push(Node::Selector(super::generate::Selector {
                    shift,
                    ..selector.clone()
                }));
            }
            if !selector.edges.is_empty() {
                let less = super::generate::Selector {
                    edges: "",
                    ..selector.clone()
                };
                all.push(Node::Selector(less));
            }
        }
        Node::Subquery {
            expr,
            range,
            step,
            shift,
        } => {
            for shift in less_shift(shift) {
                let (expr, range, step) = (expr.clone(), range.clone(), step.clone());
                all.push(Node::Subquery {
                    expr,
                    range,
                    step,
                    shift,
                });
            }
            if let Node::Selector(selector) = expr.as_ref() {
                let mut matrix = selector.clone();
                matrix.range.clone_from(range);
                all.push(Node::Selector(matrix));
            }
        }
        Node::Aggregate {
            op,
            param,
            expr,
            grouping,
        } if !grouping.keyword.is_empty() => {
            let with = |grouping: Grouping| Node::Aggregate {
                op,
                param: param.clone(),
                expr: expr.clone(),
                grouping,
            };
            all.push(with(Grouping::default()));
            for i in 0..grouping.labels.len() {
                let mut less = grouping.clone();
                less.labels.remove(i);
                all.push(with(less));
            }
        }
        Node::Binary {
            op,
            lhs,
            rhs,
            matching,
        } => {
            let with = |matching: Matching| {
                Node::binary(op, lhs.as_ref().clone(), rhs.as_ref().clone(), matching)
            };
            if node.value_type() == Type::Vector && matching.returns_bool {
                all.push(with(Matching {
                    returns_bool: false,
                    ..matching.clone()
                }));
            }
            if !matching.fill.is_empty() {
                all.push(with(Matching {
                    fill: String::new(),
                    ..matching.clone()
                }));
            }
            if !matching.include.is_empty() {
                all.push(with(Matching {
                    include: Vec::new(),
                    ..matching.clone()
                }));
            }
            if !matching.keyword.is_empty() {
                let returns_bool = matching.returns_bool;
                all.push(with(Matching {
                    returns_bool,
                    ..Matching::default()
                }));
            }
        }
        Node::Number(text) if text != "1" => all.push(Node::number("1")),
        Node::Call { name, .. } if node.value_type() == Type::Scalar && *name != "time" => {
            all.push(Node::number("1"));
        }
        _ => {}
    }
    all
}

fn less_shift(shift: &Shift) -> Vec<Shift> {
    let mut all = Vec::new();
    if !shift.at.is_empty() {
        all.push(Shift {
            at: String::new(),
            ..shift.clone()
        });
    }
    if !shift.offset.is_empty() {
        all.push(Shift {
            offset: String::new(),
            ..shift.clone()
        });
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::differential::generate::generate;

    #[test]
    fn what_differs_is_found_in_the_middle_of_what_does_not() {
        let wanted = |query: &Generated| query.node.to_string().contains("stddev_over_time(");
        let found = (0..5000)
            .map(|index| generate(3, index)[1].clone())
            .find(|query| wanted(query) && query.node.to_string().len() > 120)
            .expect("a long expression with the function");
        let small = shrink(&found, wanted);
        assert!(wanted(&small));
        assert!(small.node.to_string().len() < 80, "{}", small.node);
        assert!(matches!(small.times, Times::Instant { .. }));
    }
}
