//! A component that imports an interface which this version of Weir does not have, and is no filter. What the host says of
//! it is in tests/hostile.rs. It exists only as WebAssembly.
#![cfg(target_arch = "wasm32")]

mod bindings {
    wit_bindgen::generate!({
        inline: "
            package weir:wishful;
            world wishful {
                import weir:filter/patterns@0.1.0;
                export run: func() -> bool;
            }
        ",
        path: "../../../wit",
        generate_all,
    });
    use super::Wishful;
    export!(Wishful);
}

struct Wishful;

impl bindings::Guest for Wishful {
    fn run() -> bool {
        bindings::weir::filter::patterns::Pattern::compile(".*").is_ok()
    }
}
