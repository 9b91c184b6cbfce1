use super::*;

fn hints(func: &str, range_ms: i64) -> SelectHints {
    SelectHints {
        func: Some(func.to_owned()),
        range_ms,
        ..SelectHints::default()
    }
}

#[test]
fn a_window_holds_at_least_two_points_where_a_function_needs_them() {
    const HOUR_MS: i64 = 3_600_000;
    for (func, range_ms, allowed_ms, expected) in [
        ("rate", 300_000, HOUR_MS, 150_000),
        ("rate", 4 * HOUR_MS, HOUR_MS, HOUR_MS),
        ("max_over_time", 300_000, HOUR_MS, HOUR_MS),
        ("sum", 0, HOUR_MS, HOUR_MS),
        ("deriv", 300_000, 0, 0),
    ] {
        assert_eq!(
            max_resolution_ms(allowed_ms, &hints(func, range_ms)),
            expected,
            "{func}[{range_ms}ms]"
        );
    }
}

#[test]
fn peers_are_told_what_the_series_are_for() {
    let told = query_hints(&SelectHints {
        step_ms: 15_000,
        grouping: vec!["pod".into()],
        by: true,
        ..hints("rate", 300_000)
    });
    assert_eq!(told.step_millis, 15_000);
    assert_eq!(told.func.map(|func| func.name).as_deref(), Some("rate"));
    assert_eq!(told.range.map(|range| range.millis), Some(300_000));
    let grouping = told.grouping.expect("given");
    assert!(grouping.by);
    assert_eq!(grouping.labels, ["pod"]);
    assert_eq!(query_hints(&SelectHints::default()).range, None);
}
