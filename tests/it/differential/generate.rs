//! Random queries: well-typed expressions over the data set's metrics, all functions, aggregations,
//! operators and modifiers, by weights that make most of them answer something.

mod histograms;
mod metrics;
mod node;

pub(crate) use node::{Grouping, Matching, Node, Selector, Shift, Type};

use metrics::{FAMILIES, Family};

use super::answer::{Query, Times};
use super::dataset::{END_MS, START_MS};
use super::random::Random;

/// A query with the tree that its text was printed from.
#[derive(Debug, Clone)]
pub(crate) struct Generated {
    pub(crate) node: Node,
    pub(crate) times: Times,
}

impl Generated {
    pub(crate) fn query(&self) -> Query {
        Query {
            expr: self.node.to_string(),
            times: self.times,
        }
    }
}

/// Makes query number `index` of `seed`: an instant and a range query of one expression.
pub(crate) fn generate(seed: u64, index: u64) -> [Generated; 2] {
    let mut random = Random::new(seed, index);
    let node = Generator {
        random: &mut random,
        in_subquery: false,
    }
    .root();
    let instant = Generated {
        node: node.clone(),
        times: instant(&mut random),
    };
    let range = Generated {
        node,
        times: range(&mut random),
    };
    [instant, range]
}

fn instant(random: &mut Random) -> Times {
    let at = random.between(START_MS - 600_000, END_MS + 900_000);
    let unit = random.pick(&[1, 1000, 15_000, 60_000]);
    Times::Instant {
        at: at / unit * unit,
    }
}

fn range(random: &mut Random) -> Times {
    let odd = random.between(1, 900_000);
    let step = random.weighted(&[
        (1, 1000),
        (3, 15_000),
        (4, 30_000),
        (4, 60_000),
        (2, 61_000),
        (4, 300_000),
        (2, 420_000),
        (2, 1_800_000),
        (1, 7_200_000),
        (2, odd),
    ]);
    let unit = random.pick(&[1, 1000, 60_000]);
    let start = random.between(START_MS - 1_200_000, END_MS) / unit * unit;
    let steps = random.between(1, 90);
    let end = (start + steps * step + random.between(0, step)).min(END_MS + 3_600_000);
    Times::Range {
        start,
        end: end.max(start),
        step,
    }
}

struct Generator<'a> {
    random: &'a mut Random,
    in_subquery: bool,
}

const MAX_DEPTH: u32 = 4;

impl Generator<'_> {
    fn root(&mut self) -> Node {
        let depth = 1 + self.random.below(u64::from(MAX_DEPTH)) as u32;
        match self.random.below(100) {
            0..3 => self.scalar(depth),
            3..15 => self.rounded(depth),
            _ => self.vector(depth),
        }
    }

    /// A function that libraries of mathematics round differently, over exact values, below only
    /// such operations as keep a small relative error small.
    fn rounded(&mut self, depth: u32) -> Node {
        const FUNCTIONS: &[&str] = &[
            "acos", "acosh", "asin", "asinh", "atan", "atanh", "cos", "cosh", "exp", "ln", "log10",
            "log2", "sin", "sinh", "tan", "tanh",
        ];
        let inner = self.vector(depth.saturating_sub(1));
        let mut node = match self.random.below(10) {
            0 | 1 => {
                let exponent = Node::number(self.random.pick(&["2", "0.5", "-1", "3", "1.5"]));
                Node::binary("^", inner, exponent, Matching::default())
            }
            2 => Node::binary("^", Node::number("2"), inner, Matching::default()),
            3 => {
                let divided = self.vector(0);
                Node::binary("atan2", inner, divided, Matching::default())
            }
            _ => Node::call(self.random.pick(FUNCTIONS), [inner]),
        };
        for _ in 0..self.random.below(3) {
            let factor = Node::number(self.random.pick(&["2", "0.1", "3", "-7", "1e3"]));
            node = match self.random.below(8) {
                0 => Node::binary("*", node, factor, Matching::default()),
                1 => Node::binary("/", node, factor, Matching::default()),
                2 => Node::call("abs", [node]),
                3 => Node::call(self.random.pick(&["deg", "rad"]), [node]),
                4 => Node::Negative(Box::new(node)),
                5 => {
                    let op = self.pick_op(&["max", "min"]);
                    self.aggregate_of(op, None, node)
                }
                6 => {
                    let positive = Node::call("abs", [node]);
                    {
                        let op = self.pick_op(&["sum", "avg"]);
                        self.aggregate_of(op, None, positive)
                    }
                }
                _ => Node::call("sqrt", [Node::call("abs", [node])]),
            };
        }
        node
    }

    fn pick_op(&mut self, ops: &[&'static str]) -> &'static str {
        self.random.pick(ops)
    }

    fn scalar(&mut self, depth: u32) -> Node {
        if depth == 0 {
            return self.number();
        }
        match self.random.below(14) {
            0..5 => self.number(),
            5 => Node::call("time", []),
            6 => Node::call("pi", []),
            7 => Node::call(self.random.pick(&["start", "end", "step", "range"]), []),
            8 | 9 => {
                let vector = self.vector(depth - 1);
                Node::call("scalar", [vector])
            }
            10 => {
                let name = self.random.pick(&["min_of", "max_of"]);
                let args = [self.scalar(depth - 1), self.scalar(depth - 1)];
                Node::call(name, args)
            }
            11 => Node::Negative(Box::new(self.scalar(depth - 1))),
            _ => {
                let op = self
                    .random
                    .pick(&["+", "-", "*", "/", "%", "==", "!=", "<", ">="]);
                let returns_bool = matches!(op, "==" | "!=" | "<" | ">=");
                let (lhs, rhs) = (self.scalar(depth - 1), self.scalar(depth - 1));
                Node::binary(
                    op,
                    lhs,
                    rhs,
                    Matching {
                        returns_bool,
                        ..Matching::default()
                    },
                )
            }
        }
    }

    fn number(&mut self) -> Node {
        Node::number(self.random.pick(&[
            "0", "1", "2", "10", "0.5", "0.1", "-1", "1e6", "3.7", "100", "1e-3", "Inf", "-Inf",
            "NaN", "0x1f", "1_000", "5m", "1e308",
        ]))
    }

    fn vector(&mut self, depth: u32) -> Node {
        if depth == 0 {
            return self.instant_selector();
        }
        match self.random.below(100) {
            0..8 => self.instant_selector(),
            8..34 => self.over_time(depth),
            34..56 => self.aggregate(depth),
            56..79 => self.operation(depth),
            79..90 => self.element(depth),
            90..97 => self.histogram(depth),
            97 => Node::Negative(Box::new(self.vector(depth - 1))),
            98 => {
                let scalar = self.scalar(depth - 1);
                Node::call("vector", [scalar])
            }
            _ => self.info(depth),
        }
    }

    fn family(&mut self) -> &'static Family {
        &FAMILIES[self.random.below(FAMILIES.len() as u64) as usize]
    }

    fn instant_selector(&mut self) -> Node {
        let family = self.family();
        let edges = if self.random.chance(1) {
            " smoothed"
        } else {
            ""
        };
        Node::Selector(Selector {
            edges,
            ..self.selector(family)
        })
    }

    /// A selector of the family's series without a range.
    fn selector(&mut self, family: &Family) -> Selector {
        let mut matchers = Vec::new();
        let mut metric = family.name.to_owned();
        if family.is_quoted {
            matchers.push(format!("{metric:?}"));
            metric.clear();
        } else if self.random.chance(3) {
            let value = match self.random.below(3) {
                0 => format!("=~\"{metric}|up\""),
                1 => format!("=~\"{}.*\"", metric.get(..3).unwrap_or(&metric)),
                _ => format!("=\"{metric}\""),
            };
            matchers.push(format!("__name__{value}"));
            metric.clear();
        }
        while !family.labels.is_empty() && self.random.chance(30) && matchers.len() < 3 {
            matchers.push(self.matcher(family));
        }
        Selector {
            metric,
            matchers,
            shift: self.shift(),
            ..Selector::default()
        }
    }

    fn matcher(&mut self, family: &Family) -> String {
        let (name, values) = self.random.pick(family.labels);
        let value = self.random.pick(values);
        let other = self.random.pick(values);
        let start: String = value.chars().take(2).collect();
        match self.random.below(9) {
            0..3 => format!("{name}=\"{value}\""),
            3 => format!("{name}!=\"{value}\""),
            4 => format!("{name}=~\"{}|{}\"", escaped(value), escaped(other)),
            5 => format!("{name}=~\"{}.*\"", escaped(&start)),
            6 => format!("{name}!~\"{}.+\"", escaped(&start)),
            7 => format!("{name}=~\".*\""),
            _ => format!("nowhere=\"\", {name}!~\"{}\"", escaped(value)),
        }
    }

    fn shift(&mut self) -> Shift {
        let mut shift = Shift::default();
        if self.random.chance(12) {
            shift.offset = self
                .random
                .pick(&["5m", "1h", "-3m", "17s", "1h30m", "-1h", "1ms"])
                .to_string();
        }
        if self.random.chance(8) {
            let somewhere = self.random.between(START_MS, END_MS);
            shift.at = match self.random.below(4) {
                0 => "start()".to_owned(),
                1 => "end()".to_owned(),
                2 => (somewhere / 1000).to_string(),
                _ => format!("{}.{:03}", somewhere / 1000, somewhere % 1000),
            };
        }
        shift
    }

    fn duration(&mut self) -> String {
        let odd = format!("{}ms", self.random.between(1, 2_000_000));
        let duration = self.random.weighted(&[
            (2, "15s"),
            (2, "30s"),
            (4, "1m"),
            (2, "90s"),
            (3, "2m"),
            (8, "5m"),
            (2, "7m"),
            (4, "10m"),
            (3, "30m"),
            (3, "1h"),
            (2, "2h"),
            (1, "6h"),
            (1, "1m1s500ms"),
            (1, "step()"),
            (1, "5m + 30s"),
            (1, "max_of(step(), 2m)"),
            (2, odd.as_str()),
        ]);
        duration.to_owned()
    }

    /// A range vector; `edges` where the function admits modifiers of the window's edges.
    fn matrix(&mut self, depth: u32, counters: bool, edges: &[&'static str]) -> Node {
        if !self.in_subquery && depth > 0 && self.random.chance(18) {
            self.in_subquery = true;
            let expr = Box::new(self.vector(depth - 1));
            self.in_subquery = false;
            let range = self
                .random
                .pick(&["2m", "5m", "10m", "30m", "1h", "3h", "97s"]);
            let step = self
                .random
                .pick(&["", "15s", "30s", "1m", "5m", "13s", "1m1ms"]);
            let (range, step) = (range.to_string(), step.to_string());
            return Node::Subquery {
                expr,
                range,
                step,
                shift: self.shift(),
            };
        }
        let mut family = self.family();
        if counters && self.random.chance(75) {
            while !family.is_counter {
                family = self.family();
            }
        }
        let mut selector = self.selector(family);
        selector.range = self.duration();
        if !edges.is_empty() && self.random.chance(6) {
            selector.edges = self.random.pick(edges);
        }
        Node::Selector(selector)
    }

    fn over_time(&mut self, depth: u32) -> Node {
        const RATES: &[(&str, &[&str])] = &[
            ("rate", &[" anchored", " smoothed"]),
            ("rate", &[" anchored", " smoothed"]),
            ("increase", &[" anchored", " smoothed"]),
            ("delta", &[" anchored", " smoothed"]),
            ("irate", &[]),
            ("resets", &[" anchored"]),
            ("changes", &[" anchored"]),
        ];
        const WINDOWS: &[&str] = &[
            "absent_over_time",
            "avg_over_time",
            "count_over_time",
            "deriv",
            "first_over_time",
            "idelta",
            "last_over_time",
            "mad_over_time",
            "max_over_time",
            "min_over_time",
            "present_over_time",
            "stddev_over_time",
            "stdvar_over_time",
            "sum_over_time",
            "ts_of_first_over_time",
            "ts_of_last_over_time",
            "ts_of_max_over_time",
            "ts_of_min_over_time",
        ];
        match self.random.below(20) {
            0..9 => {
                let (name, edges) = self.random.pick(RATES);
                let matrix = self.matrix(depth - 1, true, edges);
                Node::call(name, [matrix])
            }
            9 => {
                let (phi, matrix) = (self.quantile(), self.matrix(depth - 1, false, &[]));
                Node::call("quantile_over_time", [phi, matrix])
            }
            10 => {
                let ahead = Node::number(self.random.pick(&["0", "600", "3600", "-60", "1h"]));
                let matrix = self.matrix(depth - 1, false, &[]);
                Node::call("predict_linear", [matrix, ahead])
            }
            11 => {
                const FACTORS: &[&str] = &["0.1", "0.3", "0.5", "0.9", "0.01"];
                let matrix = self.matrix(depth - 1, false, &[]);
                let (level, trend) = (self.random.pick(FACTORS), self.random.pick(FACTORS));
                let args = [matrix, Node::number(level), Node::number(trend)];
                Node::call("double_exponential_smoothing", args)
            }
            _ => {
                let matrix = self.matrix(depth - 1, false, &[]);
                Node::call(self.random.pick(WINDOWS), [matrix])
            }
        }
    }

    fn quantile(&mut self) -> Node {
        if self.random.chance(6) {
            return self.scalar(1);
        }
        Node::number(self.random.pick(&[
            "0", "0.01", "0.25", "0.5", "0.9", "0.99", "0.999", "1", "-0.5", "1.5", "NaN",
        ]))
    }

    fn aggregate(&mut self, depth: u32) -> Node {
        const PLAIN: &[&str] = &[
            "sum", "sum", "sum", "avg", "avg", "min", "max", "count", "group", "stddev", "stdvar",
        ];
        let expr = self.vector(depth - 1);
        match self.random.below(16) {
            0 | 1 => {
                let k = self.count();
                {
                    let op = self.pick_op(&["topk", "bottomk"]);
                    self.aggregate_of(op, Some(k), expr)
                }
            }
            2 => {
                let phi = self.quantile();
                self.aggregate_of("quantile", Some(phi), expr)
            }
            3 => {
                let label = self.random.pick(&["value", "job", "n"]);
                let rounded = Node::call("round", [expr, Node::number("10")]);
                self.aggregate_of("count_values", Some(Node::Text(label.to_owned())), rounded)
            }
            4 => {
                let k = self.count();
                self.aggregate_of("limitk", Some(k), expr)
            }
            5 => {
                let ratios = ["0.5", "-0.5", "0.1", "1", "0", "-0.9", "1.1", "-1.1", "NaN"];
                let ratio = Node::number(self.random.pick(&ratios));
                self.aggregate_of("limit_ratio", Some(ratio), expr)
            }
            _ => {
                let op = self.pick_op(PLAIN);
                self.aggregate_of(op, None, expr)
            }
        }
    }

    fn count(&mut self) -> Node {
        if self.random.chance(5) {
            return self.scalar(1);
        }
        Node::number(
            self.random
                .pick(&["1", "2", "3", "5", "100", "0", "-1", "2.9"]),
        )
    }

    fn aggregate_of(&mut self, op: &'static str, param: Option<Node>, expr: Node) -> Node {
        let keyword = self.random.pick(&["", "", "by", "by", "by", "without"]);
        let mut grouping = Grouping {
            keyword,
            labels: Vec::new(),
        };
        if !keyword.is_empty() {
            let many = self.random.pick(&[0, 1, 1, 1, 2, 2, 3]);
            grouping.labels = self.labels_of(&expr, many);
        }
        Node::Aggregate {
            op,
            param: param.map(Box::new),
            expr: Box::new(expr),
            grouping,
        }
    }

    /// Names of labels, mostly of a metric that the expression selects.
    fn labels_of(&mut self, expr: &Node, many: usize) -> Vec<String> {
        let mut names: Vec<&str> = metrics::families_in(expr)
            .iter()
            .flat_map(|family| family.labels.iter().map(|(name, _)| *name))
            .collect();
        names.extend(["job", "instance", "cluster"]);
        if self.random.chance(5) {
            names.extend(["__name__", "nowhere", "le"]);
        }
        let picked = (0..many).map(|_| self.random.pick(&names).to_string());
        picked.collect()
    }

    fn operation(&mut self, depth: u32) -> Node {
        const ARITHMETIC: &[&str] = &["+", "-", "*", "/", "%"];
        const COMPARISONS: &[&str] = &["==", "!=", "<", "<=", ">", ">="];
        let op = match self.random.below(10) {
            0..5 => self.pick_op(ARITHMETIC),
            5..8 => self.pick_op(COMPARISONS),
            _ => self.pick_op(&["and", "or", "unless"]),
        };
        let is_set = matches!(op, "and" | "or" | "unless");
        let returns_bool = COMPARISONS.contains(&op) && self.random.chance(40);
        let matching = Matching {
            returns_bool,
            ..Matching::default()
        };
        if !is_set && self.random.chance(30) {
            let (scalar, vector) = (self.scalar(depth - 1), self.vector(depth - 1));
            return if self.random.chance(50) {
                Node::binary(op, vector, scalar, matching)
            } else {
                Node::binary(op, scalar, vector, matching)
            };
        }
        if is_set {
            let (lhs, rhs) = (self.vector(depth - 1), self.vector(depth - 1));
            return self.matched(op, lhs, rhs, matching, false);
        }
        match self.random.below(10) {
            // The same expression at another time: each series finds itself.
            0..3 => {
                let lhs = self.vector(depth - 1);
                let mut rhs = lhs.clone();
                let shift = self.shift();
                metrics::shift_selectors(&mut rhs, &shift);
                Node::binary(op, lhs, rhs, matching)
            }
            // Both sides by the same labels.
            3..6 => {
                let lhs = self.vector(depth - 1);
                let rhs = if self.random.chance(60) {
                    lhs.clone()
                } else {
                    self.vector(depth - 1)
                };
                let many = 1 + self.random.below(2) as usize;
                let grouping = Grouping {
                    keyword: "by",
                    labels: self.labels_of(&lhs, many),
                };
                let (lhs, rhs) = (self.by(&grouping, lhs), self.by(&grouping, rhs));
                Node::binary(op, lhs, rhs, matching)
            }
            6 | 7 => self.many_to_one(op, depth, matching),
            8 => {
                let selector = |metric: &str| {
                    let metric = metric.to_owned();
                    Node::Selector(Selector {
                        metric,
                        ..Selector::default()
                    })
                };
                let [lhs, rhs] = self.random.pick(&[
                    ["queue_length", "queue_capacity"],
                    ["queue_capacity", "queue_length"],
                    [
                        "request_duration_seconds_sum",
                        "request_duration_seconds_count",
                    ],
                    ["memory_bytes", "up"],
                ]);
                self.matched(op, selector(lhs), selector(rhs), matching, false)
            }
            _ => {
                let (lhs, rhs) = (self.vector(depth - 1), self.vector(depth - 1));
                self.matched(op, lhs, rhs, matching, true)
            }
        }
    }

    fn by(&mut self, grouping: &Grouping, expr: Node) -> Node {
        let op = self.pick_op(&["sum", "max", "avg", "count"]);
        Node::Aggregate {
            op,
            param: None,
            expr: Box::new(expr),
            grouping: grouping.clone(),
        }
    }

    /// An operation of which one side has one series for many of the other.
    fn many_to_one(&mut self, op: &'static str, depth: u32, mut matching: Matching) -> Node {
        let many = self.vector(depth - 1);
        let labels = self.labels_of(&many, 1);
        let one = if self.random.chance(30) {
            Node::Selector(Selector {
                metric: "build_info".to_owned(),
                ..Selector::default()
            })
        } else {
            self.by(
                &Grouping {
                    keyword: "by",
                    labels: labels.clone(),
                },
                many.clone(),
            )
        };
        matching.keyword = "on";
        matching.labels = labels;
        if self.random.chance(25) {
            matching.include = vec![self.random.pick(&["version", "job", "region"]).to_string()];
        }
        if self.random.chance(5) {
            matching.fill = " fill_right(0)".to_owned();
        }
        if self.random.chance(50) {
            matching.group = "group_left";
            Node::binary(op, many, one, matching)
        } else {
            matching.group = "group_right";
            matching.fill.clear();
            Node::binary(op, one, many, matching)
        }
    }

    /// An operation with `on` or `ignoring`, and now and then a fill.
    fn matched(
        &mut self,
        op: &'static str,
        lhs: Node,
        rhs: Node,
        mut matching: Matching,
        group: bool,
    ) -> Node {
        matching.keyword = self.pick_op(&["", "on", "ignoring"]);
        if !matching.keyword.is_empty() {
            let many = self.random.below(3) as usize;
            matching.labels = self.labels_of(&lhs, many);
            if group && self.random.chance(30) {
                matching.group = self.pick_op(&["group_left", "group_right"]);
            }
        }
        let is_set = matches!(op, "and" | "or" | "unless");
        if !is_set && matching.group.is_empty() && self.random.chance(10) {
            let fills = [
                " fill(0)",
                " fill_left(1)",
                " fill_right(-2)",
                " fill_left(3) fill_right(4)",
            ];
            matching.fill = self.random.pick(&fills).to_string();
        }
        Node::binary(op, lhs, rhs, matching)
    }

    fn element(&mut self, depth: u32) -> Node {
        const PLAIN: &[&str] = &[
            "abs",
            "ceil",
            "floor",
            "sgn",
            "sqrt",
            "deg",
            "rad",
            "timestamp",
            "absent",
            "sort",
            "sort_desc",
            "round",
            "day_of_month",
            "day_of_week",
            "day_of_year",
            "days_in_month",
            "hour",
            "minute",
            "month",
            "year",
            "start_timestamp",
        ];
        let inner = if self.random.chance(10) {
            Node::Selector(Selector {
                metric: "date_seconds".to_owned(),
                ..Selector::default()
            })
        } else {
            self.vector(depth - 1)
        };
        let text = |text: &str| Node::Text(text.to_owned());
        match self.random.below(12) {
            0 => {
                let to = self.scalar(1);
                Node::call("round", [inner, to])
            }
            1 => {
                let (low, high) = (self.scalar(1), self.scalar(1));
                Node::call("clamp", [inner, low, high])
            }
            2 => {
                let bound = self.scalar(1);
                Node::call(
                    self.random.pick(&["clamp_min", "clamp_max"]),
                    [inner, bound],
                )
            }
            3 => {
                let source = self.labels_of(&inner, 1).remove(0);
                let (target, replacement, regex) = self.random.pick(&[
                    ("new", "$1-x", "(.).*"),
                    ("job", "$0", "(.+)"),
                    ("instance", "", "api.*"),
                    ("new", "${name}!", "(?P<name>[a-z]+).*"),
                    ("__name__", "renamed_$1", "([a-z0-9]*).*"),
                    ("new", "$2", "nomatch"),
                ]);
                let args = [
                    inner,
                    text(target),
                    text(replacement),
                    text(&source),
                    text(regex),
                ];
                Node::call("label_replace", args)
            }
            4 => {
                let sources = self.labels_of(&inner, 2);
                let target = self.random.pick(&["joined", "instance", "job"]);
                let separator = self.random.pick(&["-", "", ", "]);
                let mut args = vec![inner, text(target), text(separator)];
                args.extend(sources.iter().map(|source| text(source)));
                Node::call("label_join", args)
            }
            5 => {
                let label = self.labels_of(&inner, 1).remove(0);
                let name = self.random.pick(&["sort_by_label", "sort_by_label_desc"]);
                Node::call(name, [inner, text(&label)])
            }
            6 => Node::call(self.random.pick(&["hour", "minute", "month", "year"]), []),
            _ => Node::call(self.random.pick(PLAIN), [inner]),
        }
    }

    fn info(&mut self, depth: u32) -> Node {
        let vector = self.vector(depth - 1);
        let matchers = self.random.pick(&[
            "__name__=\"build_info\"",
            "__name__=\"build_info\", version=~\".+\"",
            "__name__=~\"build_info|up\"",
            "version=\"1.0\"",
        ]);
        let labels = Selector {
            matchers: vec![matchers.to_string()],
            ..Selector::default()
        };
        Node::call("info", [vector, Node::Selector(labels)])
    }
}

/// The text as it stands in a regular expression inside of double quotes.
fn escaped(text: &str) -> String {
    text.replace('.', "\\\\.").replace('+', "\\\\+")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::differential::in_process::PARSE_OPTIONS;

    #[test]
    fn generated_expressions_are_the_same_for_a_seed_and_mostly_parse() {
        let mut refused = Vec::new();
        for index in 0..1000 {
            let [instant, range] = generate(7, index);
            assert_eq!(instant.query(), generate(7, index)[0].query());
            let query = range.query();
            if let Err(error) = promql::parse(&query.expr, &PARSE_OPTIONS) {
                refused.push(format!("{}: {error}", query.expr));
            }
        }
        assert!(refused.len() < 50, "{}", refused.join("\n"));
    }

    #[test]
    fn every_function_and_aggregation_is_generated() {
        let all: String = (0..4000)
            .map(|index| generate(1, index)[0].query().expr + "\n")
            .collect();
        let called =
            |name: &str| all.contains(&format!("{name}(")) || all.contains(&format!("{name} "));
        let missing: Vec<&str> = promql::functions::FUNCTIONS
            .iter()
            .filter(|function| function.stability != promql::functions::Stability::Extended)
            .map(|function| function.name)
            .chain([
                "sum", "avg", "min", "max", "count", "group", "stddev", "stdvar", "topk",
            ])
            .chain([
                "bottomk",
                "quantile",
                "count_values",
                "limitk",
                "limit_ratio",
            ])
            .filter(|name| !called(name))
            .collect();
        assert!(missing.is_empty(), "never generated: {missing:?}");
    }
}
