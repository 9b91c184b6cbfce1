//! The functions of PromQL and their signatures.
//!
//! The table is sorted by name. What a function computes is the engine's business; the parser needs
//! only the types.

use std::fmt;

use crate::ast::ValueType::{self, Matrix, Scalar, String, Vector};

/// How many arguments a function takes beside those of its signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variadic {
    /// Exactly the arguments of the signature.
    Exact,
    /// The last argument of the signature may be missing or be given up to this many times.
    UpTo(usize),
    /// The last argument of the signature may be missing or be given any number of times.
    Unlimited,
}

/// Which switch a function needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stability {
    /// Always there.
    Stable,
    /// Known, but refused unless experimental functions are enabled.
    Experimental,
    /// Unknown unless Thanos' extended functions are enabled.
    Extended,
}

/// The signature of a function.
#[derive(Debug, PartialEq, Eq)]
pub struct Function {
    pub id: FunctionId,
    /// The name as it is written.
    pub name: &'static str,
    /// The types of the arguments; the last one is also that of all further arguments.
    pub arg_types: &'static [ValueType],
    pub variadic: Variadic,
    pub return_type: ValueType,
    pub stability: Stability,
}

impl Function {
    /// Returns the function of a name, whether or not its switch is on.
    #[must_use]
    pub fn by_name(name: &str) -> Option<&'static Self> {
        let at = FUNCTIONS
            .binary_search_by(|function| function.name.cmp(name))
            .ok()?;
        FUNCTIONS.get(at)
    }

    /// Returns the types that arguments have, the last one again and again.
    pub(crate) fn arg_types_repeated(&self) -> impl Iterator<Item = ValueType> {
        let last = self.arg_types.last().copied();
        self.arg_types
            .iter()
            .copied()
            .chain(std::iter::from_fn(move || last))
    }

    /// Returns the smallest number of arguments.
    #[must_use]
    pub const fn min_args(&self) -> usize {
        match self.variadic {
            Variadic::Exact => self.arg_types.len(),
            Variadic::UpTo(_) | Variadic::Unlimited => self.arg_types.len().saturating_sub(1),
        }
    }

    /// Returns the largest number of arguments; nothing where there is no limit.
    #[must_use]
    pub const fn max_args(&self) -> Option<usize> {
        match self.variadic {
            Variadic::Exact => Some(self.arg_types.len()),
            Variadic::UpTo(more) => Some(self.arg_types.len().saturating_sub(1) + more),
            Variadic::Unlimited => None,
        }
    }
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

macro_rules! functions {
    ($($id:ident, $name:literal, [$($arg:ident),*], $variadic:expr, $returns:ident, $stability:ident;)*) => {
        /// A function, for matching on.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum FunctionId {
            $($id,)*
        }

        /// All functions, sorted by name.
        pub static FUNCTIONS: &[Function] = &[
            $(Function {
                id: FunctionId::$id,
                name: $name,
                arg_types: &[$($arg),*],
                variadic: $variadic,
                return_type: $returns,
                stability: Stability::$stability,
            },)*
        ];
    };
}

use Variadic::{Exact, Unlimited, UpTo};

functions! {
    Abs, "abs", [Vector], Exact, Vector, Stable;
    Absent, "absent", [Vector], Exact, Vector, Stable;
    AbsentOverTime, "absent_over_time", [Matrix], Exact, Vector, Stable;
    Acos, "acos", [Vector], Exact, Vector, Stable;
    Acosh, "acosh", [Vector], Exact, Vector, Stable;
    Asin, "asin", [Vector], Exact, Vector, Stable;
    Asinh, "asinh", [Vector], Exact, Vector, Stable;
    Atan, "atan", [Vector], Exact, Vector, Stable;
    Atanh, "atanh", [Vector], Exact, Vector, Stable;
    AvgOverTime, "avg_over_time", [Matrix], Exact, Vector, Stable;
    Ceil, "ceil", [Vector], Exact, Vector, Stable;
    Changes, "changes", [Matrix], Exact, Vector, Stable;
    Clamp, "clamp", [Vector, Scalar, Scalar], Exact, Vector, Stable;
    ClampMax, "clamp_max", [Vector, Scalar], Exact, Vector, Stable;
    ClampMin, "clamp_min", [Vector, Scalar], Exact, Vector, Stable;
    Cos, "cos", [Vector], Exact, Vector, Stable;
    Cosh, "cosh", [Vector], Exact, Vector, Stable;
    CountOverTime, "count_over_time", [Matrix], Exact, Vector, Stable;
    DayOfMonth, "day_of_month", [Vector], UpTo(1), Vector, Stable;
    DayOfWeek, "day_of_week", [Vector], UpTo(1), Vector, Stable;
    DayOfYear, "day_of_year", [Vector], UpTo(1), Vector, Stable;
    DaysInMonth, "days_in_month", [Vector], UpTo(1), Vector, Stable;
    Deg, "deg", [Vector], Exact, Vector, Stable;
    Delta, "delta", [Matrix], Exact, Vector, Stable;
    Deriv, "deriv", [Matrix], Exact, Vector, Stable;
    DoubleExponentialSmoothing, "double_exponential_smoothing", [Matrix, Scalar, Scalar], Exact, Vector, Experimental;
    End, "end", [], Exact, Scalar, Experimental;
    Exp, "exp", [Vector], Exact, Vector, Stable;
    FirstOverTime, "first_over_time", [Matrix], Exact, Vector, Stable;
    Floor, "floor", [Vector], Exact, Vector, Stable;
    HistogramAvg, "histogram_avg", [Vector], Exact, Vector, Stable;
    HistogramCount, "histogram_count", [Vector], Exact, Vector, Stable;
    HistogramFraction, "histogram_fraction", [Scalar, Scalar, Vector], Exact, Vector, Stable;
    HistogramQuantile, "histogram_quantile", [Scalar, Vector], Exact, Vector, Stable;
    HistogramQuantiles, "histogram_quantiles", [Vector, String, Scalar, Scalar], UpTo(9), Vector, Experimental;
    HistogramStddev, "histogram_stddev", [Vector], Exact, Vector, Stable;
    HistogramStdvar, "histogram_stdvar", [Vector], Exact, Vector, Stable;
    HistogramSum, "histogram_sum", [Vector], Exact, Vector, Stable;
    Hour, "hour", [Vector], UpTo(1), Vector, Stable;
    Idelta, "idelta", [Matrix], Exact, Vector, Stable;
    Increase, "increase", [Matrix], Exact, Vector, Stable;
    Info, "info", [Vector, Vector], UpTo(1), Vector, Experimental;
    Irate, "irate", [Matrix], Exact, Vector, Stable;
    LabelJoin, "label_join", [Vector, String, String, String], Unlimited, Vector, Stable;
    LabelReplace, "label_replace", [Vector, String, String, String, String], Exact, Vector, Stable;
    LastOverTime, "last_over_time", [Matrix], Exact, Vector, Stable;
    Ln, "ln", [Vector], Exact, Vector, Stable;
    Log10, "log10", [Vector], Exact, Vector, Stable;
    Log2, "log2", [Vector], Exact, Vector, Stable;
    MadOverTime, "mad_over_time", [Matrix], Exact, Vector, Experimental;
    MaxOf, "max_of", [Scalar, Scalar], Exact, Scalar, Experimental;
    MaxOverTime, "max_over_time", [Matrix], Exact, Vector, Stable;
    MinOf, "min_of", [Scalar, Scalar], Exact, Scalar, Experimental;
    MinOverTime, "min_over_time", [Matrix], Exact, Vector, Stable;
    Minute, "minute", [Vector], UpTo(1), Vector, Stable;
    Month, "month", [Vector], UpTo(1), Vector, Stable;
    Pi, "pi", [], Exact, Scalar, Stable;
    PredictLinear, "predict_linear", [Matrix, Scalar], Exact, Vector, Stable;
    PresentOverTime, "present_over_time", [Matrix], Exact, Vector, Stable;
    QuantileOverTime, "quantile_over_time", [Scalar, Matrix], Exact, Vector, Stable;
    Rad, "rad", [Vector], Exact, Vector, Stable;
    Range, "range", [], Exact, Scalar, Experimental;
    Rate, "rate", [Matrix], Exact, Vector, Stable;
    Resets, "resets", [Matrix], Exact, Vector, Stable;
    Round, "round", [Vector, Scalar], UpTo(1), Vector, Stable;
    Scalar, "scalar", [Vector], Exact, Scalar, Stable;
    Sgn, "sgn", [Vector], Exact, Vector, Stable;
    Sin, "sin", [Vector], Exact, Vector, Stable;
    Sinh, "sinh", [Vector], Exact, Vector, Stable;
    Sort, "sort", [Vector], Exact, Vector, Stable;
    SortByLabel, "sort_by_label", [Vector, String], Unlimited, Vector, Experimental;
    SortByLabelDesc, "sort_by_label_desc", [Vector, String], Unlimited, Vector, Experimental;
    SortDesc, "sort_desc", [Vector], Exact, Vector, Stable;
    Sqrt, "sqrt", [Vector], Exact, Vector, Stable;
    Start, "start", [], Exact, Scalar, Experimental;
    StartTimestamp, "start_timestamp", [Vector], Exact, Vector, Experimental;
    StddevOverTime, "stddev_over_time", [Matrix], Exact, Vector, Stable;
    StdvarOverTime, "stdvar_over_time", [Matrix], Exact, Vector, Stable;
    Step, "step", [], Exact, Scalar, Experimental;
    SumOverTime, "sum_over_time", [Matrix], Exact, Vector, Stable;
    Tan, "tan", [Vector], Exact, Vector, Stable;
    Tanh, "tanh", [Vector], Exact, Vector, Stable;
    Time, "time", [], Exact, Scalar, Stable;
    Timestamp, "timestamp", [Vector], Exact, Vector, Stable;
    TsOfFirstOverTime, "ts_of_first_over_time", [Matrix], Exact, Vector, Experimental;
    TsOfLastOverTime, "ts_of_last_over_time", [Matrix], Exact, Vector, Experimental;
    TsOfMaxOverTime, "ts_of_max_over_time", [Matrix], Exact, Vector, Experimental;
    TsOfMinOverTime, "ts_of_min_over_time", [Matrix], Exact, Vector, Experimental;
    Vector, "vector", [Scalar], Exact, Vector, Stable;
    Xdelta, "xdelta", [Matrix], Exact, Vector, Extended;
    Xincrease, "xincrease", [Matrix], Exact, Vector, Extended;
    Xrate, "xrate", [Matrix], Exact, Vector, Extended;
    Year, "year", [Vector], UpTo(1), Vector, Stable;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_is_found_by_its_name() {
        assert!(FUNCTIONS.is_sorted_by(|a, b| a.name < b.name));
        for function in FUNCTIONS {
            assert_eq!(Function::by_name(function.name), Some(function));
        }
        assert_eq!(Function::by_name("holt_winters"), None);
    }

    #[test]
    fn optional_arguments_count_from_the_last_one_of_the_signature() {
        for (name, min, max) in [
            ("rate", 1, Some(1)),
            ("round", 1, Some(2)),
            ("time", 0, Some(0)),
            ("year", 0, Some(1)),
            ("label_join", 3, None),
            ("histogram_quantiles", 3, Some(12)),
            ("info", 1, Some(2)),
        ] {
            let function = Function::by_name(name).unwrap();
            assert_eq!(
                (function.min_args(), function.max_args()),
                (min, max),
                "{name}"
            );
        }
    }
}
