//! Functions: which of them are evaluated how.

use model::{Labels, METRIC_NAME, MatchOp};

use crate::ast::{Call, Expr, RangeModifier, ValueType};
use crate::engine::{ElementFunc, EngineError, WindowFunc};
use crate::functions::FunctionId;
use crate::plan::{
    RangeSource, ScalarNode, ScalarOp, SortOrder, Take, Unique, VectorKind, VectorNode,
};

use super::{Builder, Built, Node, Place, QueryTimes, internal, is_label_name, string, unique_of};

impl Builder<'_> {
    pub(super) fn call(&self, call: &Call, place: &Place) -> Result<Built, EngineError> {
        let id = call.func.id;
        if let Some(value) = self.query_constant(id) {
            return Ok(Built::new(
                Node::Scalar(ScalarNode::Number(value)),
                true,
                false,
            ));
        }
        if id == FunctionId::Info {
            return self.info(call, place);
        }
        let mut inner = place.inside(Some(call.func.name));
        match id {
            FunctionId::HistogramCount | FunctionId::HistogramSum | FunctionId::HistogramAvg => {
                inner.wants_stats = true;
            }
            FunctionId::HistogramQuantile
            | FunctionId::HistogramQuantiles
            | FunctionId::HistogramFraction
            | FunctionId::HistogramStddev
            | FunctionId::HistogramStdvar => inner.needs_buckets = true,
            _ => {}
        }
        if id == FunctionId::Timestamp
            && let Some(arg) = call.args.first().map(Expr::without_parens)
            && let Expr::VectorSelector(selector) = arg
        {
            let node = self.select(selector, arg, &inner, Take::Timestamp)?;
            let invariant = selector.at.is_some();
            return Ok(Built::new(Node::Vector(node), invariant, invariant));
        }
        let args = call
            .args
            .iter()
            .map(|arg| self.build(arg, &inner))
            .collect::<Result<Vec<_>, EngineError>>()?;
        let invariant = !depends_on_time(id) && args.iter().all(|arg| arg.invariant);
        let args: Vec<Node> = args
            .into_iter()
            .map(|arg| if invariant { arg.node } else { arg.wrapped() })
            .collect();
        let node = self.function(call, args)?;
        Ok(Built::new(node, invariant, invariant))
    }

    fn query_constant(&self, id: FunctionId) -> Option<f64> {
        let QueryTimes {
            start,
            end,
            step_ms,
            ..
        } = *self.times;
        match id {
            FunctionId::Start => Some(start as f64 / 1000.0),
            FunctionId::End => Some(end as f64 / 1000.0),
            FunctionId::Range => Some(crate::engine::seconds(end - start)),
            FunctionId::Step if start == end => Some(0.0),
            FunctionId::Step => Some(crate::engine::seconds(step_ms)),
            _ => None,
        }
    }

    fn function(&self, call: &Call, args: Vec<Node>) -> Result<Node, EngineError> {
        let id = call.func.id;
        let arg_pos = |index: usize| {
            call.args
                .get(index)
                .map_or(call.pos, |arg| arg.without_parens().pos())
        };
        let mut args = args.into_iter();
        let mut next = || {
            args.next()
                .ok_or_else(|| internal("an argument is missing"))
        };
        if let Some(func) = window_func(id) {
            let range_index = call
                .args
                .iter()
                .position(|arg| arg.value_type() == ValueType::Matrix)
                .unwrap_or(0);
            let mut source = None;
            let mut params = Vec::new();
            for arg in args {
                match arg {
                    Node::Range(range) => source = Some(range),
                    Node::Scalar(param) => params.push(param),
                    _ => return Err(internal("argument of a range vector function")),
                }
            }
            let source = source.ok_or_else(|| internal("a range vector is missing"))?;
            return self.window(call, func, source, params, range_index);
        }
        if let Some(func) = ElementFunc::of(id) {
            let Ok(input) = next() else {
                return Ok(Node::Vector(VectorNode::new(
                    VectorKind::OfTime(func),
                    Unique::ALWAYS,
                )));
            };
            let input = Self::vector(input)?;
            let params = args.map(Self::scalar).collect::<Result<Vec<_>, _>>()?;
            let unique = input.unique;
            let kind = VectorKind::Element {
                func,
                params,
                input: Box::new(input),
            };
            return Ok(Node::Vector(self.renamed(kind, unique)));
        }
        let merged = |kind| {
            let node = VectorNode::new(kind, Unique::NEVER);
            Node::Vector(VectorNode::new(
                VectorKind::Merge(Box::new(node)),
                Unique::BY_NAME,
            ))
        };
        Ok(match id {
            FunctionId::Time => Node::Scalar(ScalarNode::Time),
            FunctionId::Pi => Node::Scalar(ScalarNode::Number(std::f64::consts::PI)),
            FunctionId::MaxOf | FunctionId::MinOf => {
                let op = if id == FunctionId::MaxOf {
                    ScalarOp::MaxOf
                } else {
                    ScalarOp::MinOf
                };
                let lhs = Box::new(Self::scalar(next()?)?);
                let rhs = Box::new(Self::scalar(next()?)?);
                Node::Scalar(ScalarNode::Binary { op, lhs, rhs })
            }
            FunctionId::Scalar => {
                Node::Scalar(ScalarNode::OfVector(Box::new(Self::vector(next()?)?)))
            }
            FunctionId::Vector => Node::Vector(VectorNode::new(
                VectorKind::OfScalar(Self::scalar(next()?)?),
                Unique::ALWAYS,
            )),
            FunctionId::Absent => {
                let labels = labels_of_absent(call.args.first());
                let input = Box::new(Self::vector(next()?)?);
                Node::Vector(VectorNode::new(
                    VectorKind::Absent { input, labels },
                    Unique::ALWAYS,
                ))
            }
            FunctionId::Sort | FunctionId::SortDesc => {
                let order = SortOrder::Value {
                    descending: id == FunctionId::SortDesc,
                };
                self.sort(call, Self::vector(next()?)?, order)
            }
            FunctionId::SortByLabel | FunctionId::SortByLabelDesc => {
                let names = call
                    .args
                    .iter()
                    .skip(1)
                    .map(|arg| string(arg).map(str::to_owned));
                let order = SortOrder::Labels {
                    names: names.collect::<Result<_, _>>()?,
                    descending: id == FunctionId::SortByLabelDesc,
                };
                self.sort(call, Self::vector(next()?)?, order)
            }
            FunctionId::LabelReplace => {
                let input = Box::new(Self::vector(next()?)?);
                let [dst, replacement, src, pattern] = strings::<4>(call, 1)?;
                let regex = regex::RegexBuilder::new(&format!("^(?s:{pattern})$"))
                    .build()
                    .map_err(|_| {
                        EngineError::execution(format!(
                            "invalid regular expression in label_replace(): {pattern}"
                        ))
                    })?;
                if !is_label_name(&dst) {
                    return Err(EngineError::execution(format!(
                        "invalid destination label name in label_replace(): {dst}"
                    )));
                }
                merged(VectorKind::LabelReplace {
                    input,
                    dst,
                    replacement,
                    src,
                    regex,
                })
            }
            FunctionId::LabelJoin => {
                let input = Box::new(Self::vector(next()?)?);
                let [dst, separator] = strings::<2>(call, 1)?;
                let mut src = Vec::new();
                for arg in call.args.iter().skip(3) {
                    let name = string(arg)?;
                    if !is_label_name(name) {
                        return Err(EngineError::execution(format!(
                            "invalid source label name in label_join(): {name}"
                        )));
                    }
                    src.push(name.to_owned());
                }
                if !is_label_name(&dst) {
                    return Err(EngineError::execution(format!(
                        "invalid destination label name in label_join(): {dst}"
                    )));
                }
                merged(VectorKind::LabelJoin {
                    input,
                    dst,
                    separator,
                    src,
                })
            }
            FunctionId::HistogramQuantile => {
                let quantile = Self::scalar(next()?)?;
                let input = Self::vector(next()?)?;
                self.histogram_quantile(input, vec![(quantile, arg_pos(0))], None, arg_pos(1))
            }
            FunctionId::HistogramQuantiles => {
                let input = Self::vector(next()?)?;
                let Node::String(label) = next()? else {
                    return Err(internal("histogram_quantiles without a label"));
                };
                let quantiles = args
                    .enumerate()
                    .map(|(i, node)| Ok((Self::scalar(node)?, arg_pos(i + 2))))
                    .collect::<Result<Vec<_>, EngineError>>()?;
                self.histogram_quantile(input, quantiles, Some(label), arg_pos(0))
            }
            FunctionId::HistogramFraction => {
                let lower = Self::scalar(next()?)?;
                let upper = Self::scalar(next()?)?;
                let input = Box::new(Self::vector(next()?)?);
                let kind = VectorKind::HistogramFraction {
                    input,
                    lower,
                    upper,
                    pos: arg_pos(2),
                };
                Node::Vector(self.renamed(kind, Unique::NEVER))
            }
            _ => {
                return Err(EngineError::execution(format!(
                    "function {} is not supported by this engine yet",
                    call.func.name
                )));
            }
        })
    }

    fn histogram_quantile(
        &self,
        input: VectorNode,
        quantiles: Vec<(ScalarNode, crate::ast::PosRange)>,
        label: Option<String>,
        pos: crate::ast::PosRange,
    ) -> Node {
        let kind = VectorKind::HistogramQuantile {
            input: Box::new(input),
            quantiles,
            label,
            pos,
        };
        Node::Vector(self.renamed(kind, Unique::NEVER))
    }

    fn sort(&self, call: &Call, input: VectorNode, order: SortOrder) -> Node {
        let unique = input.unique;
        let kind = VectorKind::Sort {
            input: Box::new(input),
            order,
            pos: call.pos,
        };
        Node::Vector(VectorNode::new(kind, unique))
    }

    fn window(
        &self,
        call: &Call,
        func: WindowFunc,
        source: RangeSource,
        params: Vec<ScalarNode>,
        range_index: usize,
    ) -> Result<Node, EngineError> {
        let modifier = match &source {
            RangeSource::Selector(selector) => selector.modifier,
            RangeSource::Subquery(_) => None,
        };
        check_modifier(modifier, call)?;
        let input_unique = match (&source, call.args.get(range_index)) {
            (RangeSource::Subquery(subquery), _) => subquery.input.unique,
            (_, Some(Expr::MatrixSelector(matrix))) => unique_of(&matrix.selector),
            (_, Some(Expr::Paren(paren))) => match paren.expr.without_parens() {
                Expr::MatrixSelector(matrix) => unique_of(&matrix.selector),
                _ => Unique::NEVER,
            },
            _ => Unique::NEVER,
        };
        let pos = call
            .args
            .first()
            .map_or(call.pos, |arg| arg.without_parens().pos());
        let absent = (call.func.id == FunctionId::AbsentOverTime)
            .then(|| labels_of_absent(call.args.first()));
        let kind = VectorKind::Window {
            source,
            func,
            params,
            pos,
        };
        let keeps_name = matches!(func, WindowFunc::LastOverTime | WindowFunc::FirstOverTime);
        let node = if let Some(labels) = absent {
            let input = Box::new(VectorNode::new(kind, Unique::NEVER));
            VectorNode::new(VectorKind::Absent { input, labels }, Unique::ALWAYS)
        } else if keeps_name || self.times.features.delayed_name_removal {
            VectorNode::new(kind, input_unique)
        } else if input_unique.without_name {
            VectorNode::new(kind, Unique::ALWAYS)
        } else {
            let node = VectorNode::new(kind, Unique::NEVER);
            VectorNode::new(VectorKind::RequireUnique(Box::new(node)), Unique::ALWAYS)
        };
        Ok(Node::Vector(node))
    }
}

fn check_modifier(modifier: Option<RangeModifier>, call: &Call) -> Result<(), EngineError> {
    let (name, safe): (_, &[&str]) = match modifier {
        None => return Ok(()),
        Some(RangeModifier::Anchored) => (
            "anchored",
            &["changes", "delta", "increase", "rate", "resets"],
        ),
        Some(RangeModifier::Smoothed) => ("smoothed", &["delta", "increase", "rate"]),
    };
    if safe.contains(&call.func.name) {
        return Ok(());
    }
    Err(EngineError::execution(format!(
        "{name} modifier can only be used with: {} - not with {}",
        safe.join(", "),
        call.func.name
    )))
}
/// Returns whether a function's result depends on the step even if its arguments do not.
fn depends_on_time(id: FunctionId) -> bool {
    matches!(
        id,
        FunctionId::DaysInMonth
            | FunctionId::DayOfMonth
            | FunctionId::DayOfWeek
            | FunctionId::DayOfYear
            | FunctionId::Hour
            | FunctionId::Minute
            | FunctionId::Month
            | FunctionId::Year
            | FunctionId::PredictLinear
            | FunctionId::Time
            | FunctionId::Timestamp
    )
}
/// The labels that the selector in `absent` pins to one value.
fn labels_of_absent(arg: Option<&Expr>) -> Labels {
    let matchers = match arg.map(Expr::without_parens) {
        Some(Expr::VectorSelector(selector)) => &selector.matchers,
        Some(Expr::MatrixSelector(matrix)) => &matrix.selector.matchers,
        _ => return Labels::empty(),
    };
    let mut labels: Vec<(&str, &str)> = Vec::new();
    let mut seen: Vec<&str> = Vec::new();
    for matcher in matchers {
        if matcher.name == METRIC_NAME {
            continue;
        }
        if matcher.op == MatchOp::Equal && !seen.contains(&matcher.name.as_str()) {
            labels.push((&matcher.name, &matcher.value));
            seen.push(&matcher.name);
        } else {
            labels.retain(|(name, _)| *name != matcher.name);
        }
    }
    Labels::from_pairs(labels)
}
fn window_func(id: FunctionId) -> Option<WindowFunc> {
    Some(match id {
        FunctionId::Rate => WindowFunc::Rate,
        FunctionId::Increase => WindowFunc::Increase,
        FunctionId::Delta => WindowFunc::Delta,
        FunctionId::Irate => WindowFunc::Irate,
        FunctionId::Idelta => WindowFunc::Idelta,
        FunctionId::Changes => WindowFunc::Changes,
        FunctionId::Resets => WindowFunc::Resets,
        FunctionId::Deriv => WindowFunc::Deriv,
        FunctionId::PredictLinear => WindowFunc::PredictLinear,
        FunctionId::DoubleExponentialSmoothing => WindowFunc::DoubleExponentialSmoothing,
        FunctionId::AvgOverTime => WindowFunc::AvgOverTime,
        FunctionId::CountOverTime => WindowFunc::CountOverTime,
        FunctionId::FirstOverTime => WindowFunc::FirstOverTime,
        FunctionId::LastOverTime => WindowFunc::LastOverTime,
        FunctionId::MadOverTime => WindowFunc::MadOverTime,
        FunctionId::MaxOverTime => WindowFunc::MaxOverTime,
        FunctionId::MinOverTime => WindowFunc::MinOverTime,
        FunctionId::PresentOverTime | FunctionId::AbsentOverTime => WindowFunc::PresentOverTime,
        FunctionId::QuantileOverTime => WindowFunc::QuantileOverTime,
        FunctionId::StddevOverTime => WindowFunc::StddevOverTime,
        FunctionId::StdvarOverTime => WindowFunc::StdvarOverTime,
        FunctionId::SumOverTime => WindowFunc::SumOverTime,
        FunctionId::TsOfFirstOverTime => WindowFunc::TsOfFirstOverTime,
        FunctionId::TsOfLastOverTime => WindowFunc::TsOfLastOverTime,
        FunctionId::TsOfMaxOverTime => WindowFunc::TsOfMaxOverTime,
        FunctionId::TsOfMinOverTime => WindowFunc::TsOfMinOverTime,
        FunctionId::Xrate => WindowFunc::Xrate,
        FunctionId::Xincrease => WindowFunc::Xincrease,
        FunctionId::Xdelta => WindowFunc::Xdelta,
        _ => return None,
    })
}

fn strings<const N: usize>(call: &Call, from: usize) -> Result<[String; N], EngineError> {
    let texts = call
        .args
        .iter()
        .skip(from)
        .take(N)
        .map(|arg| string(arg).map(str::to_owned))
        .collect::<Result<Vec<_>, _>>()?;
    texts
        .try_into()
        .map_err(|_| internal("a string literal is missing"))
}
