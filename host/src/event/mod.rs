//! Events: batches of columns, their names, and what field references mean on them. Where events come from and where they
//! go is left to `input` and `output`.

mod batch;
pub mod condition;
pub mod decorate;
pub mod document;
mod example;
pub mod fields;
pub mod json_values;
mod lists;
mod names;
pub mod pattern;
mod row_set;
pub mod sprintf;

pub use batch::{Batch, Cell, Identity, Kind};
pub use document::Documents;
pub use example::{put_example, take_example};
pub use names::{FieldId, FieldNames};
pub use pattern::Pattern;
pub use row_set::RowSet;
pub use weir_filter::{FieldReference, Value};
