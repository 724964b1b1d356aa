//! A component that imports an interface which this version of Weir does not have, and is no filter. What the host says of
//! it is in tests/hostile.rs. It exists only as WebAssembly.
#![cfg(target_arch = "wasm32")]

mod bindings {
    wit_bindgen::generate!({
        inline: "
            package weir:filter@0.2.0;
            interface tables { size: func() -> u32; }
            world wishful {
                import tables;
                export run: func() -> bool;
            }
        ",
    });
    use super::Wishful;
    export!(Wishful);
}

struct Wishful;

impl bindings::Guest for Wishful {
    fn run() -> bool {
        bindings::weir::filter::tables::size() > 0
    }
}
