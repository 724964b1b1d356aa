//! All that the author of a Weir filter depends on. A filter is a struct, a `configure` and a function of one event;
//! places, columns and bit masks stay behind [`Event`]. The rules of the language that filters and the host share
//! (field references, sprintf templates, text forms of values) live here too, so that there is one of each.

pub mod field_reference;
pub mod value;

pub use field_reference::FieldReference;
pub use value::Value;
