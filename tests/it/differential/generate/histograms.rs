//! Functions of histograms, classic and native.

use super::metrics;
use super::{Generator, Grouping, Matching, Node};

const OF_NATIVE: &[&str] = &[
    "histogram_avg",
    "histogram_count",
    "histogram_sum",
    "histogram_stddev",
    "histogram_stdvar",
];

impl Generator<'_> {
    pub(super) fn histogram(&mut self, depth: u32) -> Node {
        if self.random.chance(45) {
            return self.of_native(depth);
        }
        match self.random.below(10) {
            0..6 => {
                let phi = self.quantile();
                let buckets = self.buckets(depth);
                Node::call("histogram_quantile", [phi, buckets])
            }
            6 | 7 => {
                let (low, high) = (self.number(), self.number());
                let buckets = self.buckets(depth);
                Node::call("histogram_fraction", [low, high, buckets])
            }
            8 => {
                // No bucket twice: Prometheus merges such buckets in place, so that its second
                // quantile is that of other buckets than its first.
                let phis = [self.quantile(), self.quantile()];
                let buckets = self.buckets_of("request_duration_seconds_bucket");
                let args = [buckets, Node::Text("q".to_owned())];
                Node::call("histogram_quantiles", args.into_iter().chain(phis))
            }
            _ => {
                let buckets = self.buckets(depth);
                Node::call(self.random.pick(OF_NATIVE), [buckets])
            }
        }
    }

    /// A function of native histograms, or they themselves with some of them cut off.
    fn of_native(&mut self, depth: u32) -> Node {
        let natives = self.natives(depth);
        match self.random.below(12) {
            0..4 => {
                let phi = self.quantile();
                Node::call("histogram_quantile", [phi, natives])
            }
            4 | 5 => {
                let (low, high) = (self.number(), self.number());
                Node::call("histogram_fraction", [low, high, natives])
            }
            6 => {
                let args = [natives, Node::Text("q".to_owned())];
                let phis = [self.quantile(), self.quantile()];
                Node::call("histogram_quantiles", args.into_iter().chain(phis))
            }
            7 => {
                let at = self.number();
                let op = self.random.pick(&["</", ">/"]);
                let cut = Node::binary(op, natives, at, Matching::default());
                if self.random.chance(50) {
                    return cut;
                }
                Node::call(self.random.pick(OF_NATIVE), [cut])
            }
            _ => Node::call(self.random.pick(OF_NATIVE), [natives]),
        }
    }

    /// Native histograms: selected, their rates, sums and differences.
    fn natives(&mut self, depth: u32) -> Node {
        const WINDOWS: &[&str] = &[
            "rate",
            "rate",
            "increase",
            "delta",
            "irate",
            "idelta",
            "sum_over_time",
            "avg_over_time",
            "last_over_time",
            "first_over_time",
        ];
        let name = self.random.pick(metrics::NATIVE);
        let mut selector = self.selector(metrics::by_name(name));
        let mut natives = if self.random.chance(60) {
            selector.range = self.duration();
            if self.random.chance(15) {
                selector.edges = self.random.pick(&[" anchored", " smoothed"]);
                let rate = self.random.pick(&["rate", "increase", "delta"]);
                Node::call(rate, [Node::Selector(selector)])
            } else {
                let window = self.random.pick(WINDOWS);
                Node::call(window, [Node::Selector(selector)])
            }
        } else {
            Node::Selector(selector)
        };
        if self.random.chance(40) {
            let op = self.pick_op(&["sum", "sum", "avg", "limitk", "count_values"]);
            let param = match op {
                "limitk" => Some(Node::number("2")),
                "count_values" => Some(Node::Text("value".to_owned())),
                _ => None,
            };
            natives = self.aggregate_of(op, param, natives);
        }
        if depth > 1 && self.random.chance(20) {
            let other = self.natives(depth - 1);
            let op = self.random.pick(&["+", "-", "*", "/", "==", "!="]);
            natives = Node::binary(op, natives, other, Matching::default());
        }
        if self.random.chance(15) {
            let op = self.random.pick(&["*", "/"]);
            let factor = self.number();
            natives = Node::binary(op, natives, factor, Matching::default());
        }
        natives
    }

    fn buckets(&mut self, depth: u32) -> Node {
        if self.random.chance(5) {
            return self.vector(depth - 1);
        }
        let name = self
            .random
            .pick(&["request_duration_seconds_bucket", "odd_bucket"]);
        self.buckets_of(name)
    }

    /// A classic histogram, mostly rates of its buckets.
    fn buckets_of(&mut self, name: &str) -> Node {
        let mut selector = self.selector(metrics::by_name(name));
        let mut buckets = if self.random.chance(60) {
            selector.range = self.duration();
            let rate = self.random.pick(&["rate", "increase", "delta"]);
            Node::call(rate, [Node::Selector(selector)])
        } else {
            Node::Selector(selector)
        };
        if self.random.chance(40) {
            let labels = ["le", "job", "kind"].map(str::to_owned).to_vec();
            let keyword = "by";
            buckets = self.by(&Grouping { keyword, labels }, buckets);
        }
        buckets
    }
}
