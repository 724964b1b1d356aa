//! The manual says what the options are.

#[test]
fn the_manual_has_every_option() {
    weir_filter::test::check_manual::<weir_geoip::Geoip>();
}
