//! Parses arbitrary text; what parses has to print and parse again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use promql::{ParseOptions, parse, parse_metric_selector, prettify};

const OPTIONS: ParseOptions = ParseOptions {
    experimental_functions: true,
    duration_expressions: true,
    extended_range_selectors: true,
    fill_modifiers: true,
    extended_functions: true,
};

fuzz_target!(|query: &str| {
    if let Ok(expr) = parse(query, &OPTIONS) {
        assert!(expr.pos().end <= query.len());
        let _ = (expr.to_string(), prettify(&expr), expr.selectors().len());
    }
    let _ = parse_metric_selector(query);
});
