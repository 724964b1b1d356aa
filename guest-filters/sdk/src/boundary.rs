//! The bindings of wit/filter.wit, as generated. Nothing outside this crate needs them but the `export!` macro.

wit_bindgen::generate!({
    path: "../../wit",
    world: "with-kernels",
    pub_export_macro: true,
    export_macro_name: "export_world",
    default_bindings_module: "weir_filter::boundary",
});

pub use exports::weir::filter::filter as exported;
pub use weir::filter::columns;

#[expect(clippy::derivable_impls, reason = "the type is generated")]
impl Default for columns::Texts {
    fn default() -> Self {
        columns::Texts { starts: Vec::new(), lens: Vec::new() }
    }
}
