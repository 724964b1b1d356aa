//! The filter's cases, natively; `weir test` runs all of them through the component.

#[test]
fn the_cases_pass() {
    weir_filter::test::run_cases::<weir_fingerprint::Fingerprint>("cases");
}
