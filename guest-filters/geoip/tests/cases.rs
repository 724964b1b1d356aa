//! The filter's cases, natively, over the demo's address database; `weir test` runs all of them through the component.

use std::rc::Rc;

use weir_filter::native::install_addresses;
use weir_filter::test::{read_facts, run_cases};

#[test]
fn the_cases_pass() {
    install_addresses(Rc::new(|path| match path {
        "demo:addresses" => read_facts(include_str!("../../../host/data/demo-networks.jsonl")),
        other => Err(format!("there is no database {other:?}")),
    }));
    run_cases::<weir_geoip::Geoip>("cases");
}
