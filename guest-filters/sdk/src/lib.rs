//! All that the author of a Weir filter depends on. A filter is a struct, a `configure` and a function of one event;
//! places, columns and bit masks stay behind [`Event`]. The rules of the language that filters and the host share
//! (field references, sprintf templates, text forms of values) live here too, so that there is one of each.
//!
//! A whole filter:
//!
//! ```
//! use weir_filter::{Event, Failure, Field, FieldReference, Filter, OptionDescription, Options, Outcome, Plan, Problems};
//!
//! struct Shout {
//!     field: Field,
//! }
//!
//! impl Filter for Shout {
//!     const NAME: &'static str = "shout";
//!     const VERSION: &'static str = env!("CARGO_PKG_VERSION");
//!     const SUMMARY: &'static str = "writes a field in capitals";
//!     const OPTIONS: &'static [OptionDescription] = &[];
//!
//!     fn configure(_options: &Options, plan: &mut Plan) -> Result<Self, Problems> {
//!         let field = plan.read_write(&FieldReference::from_fragments(["message"]));
//!         Ok(Shout { field })
//!     }
//!
//!     fn filter(&mut self, event: &mut Event<'_>) -> Result<Outcome, Failure> {
//!         let Some(text) = event.text(self.field) else { return Ok(Outcome::Ignored) };
//!         event.set(self.field, &text.to_uppercase())?;
//!         Ok(Outcome::Matched)
//!     }
//! }
//!
//! weir_filter::export!(Shout);
//!
//! // In a test, natively:
//! # #[cfg(not(target_arch = "wasm32"))] {
//! use serde_json::json;
//! let after = weir_filter::test::run::<Shout>(&json!({}), json!({"message": "hello"})).expect("options without mistakes");
//! assert_eq!(after.get("message"), Some(&json!("HELLO")));
//! # }
//! ```
//!
//! Built for `wasm32-unknown-unknown` it is a filter that a pipeline may `use`. In `configure` the filter says which
//! fields it reads and writes; the host sends and takes nothing else. A text that was read may be cut up and its parts
//! set: they are sent back as places, not copied. What a filter says of an event is an [`Outcome`] or a [`Failure`].
//! What a filter takes from the pipeline file is best written as a struct ([`options!`]).
//!
//! [`Events`] is for filters that work on whole columns, [`addresses`] and [`patterns`] for those that need what is too
//! big for a guest.

pub mod addresses;
#[doc(hidden)]
pub mod boundary;
#[doc(hidden)]
pub mod component;
pub mod date_pattern;
pub mod decimal;
mod event;
mod events;
pub mod field_reference;
mod fields;
mod filter;
pub mod float_text;
pub mod host;
mod incoming;
pub mod java_text;
pub mod json;
#[doc(hidden)]
pub mod manual;
#[cfg(not(target_arch = "wasm32"))]
pub mod native;
pub mod options;
mod outgoing;
pub mod patterns;
mod plan;
mod problems;
mod row_mask;
pub mod ruby_text;
pub mod schema;
mod scratch;
pub mod template;
#[cfg(not(target_arch = "wasm32"))]
pub mod test;
pub mod timestamp;
pub mod typed_options;
pub mod value;
mod verdicts;
mod work;

pub use boundary::columns::{Cell, Column, Floats, Numbers, Texts};
pub use decimal::Decimal;
pub use event::Event;
pub use events::{Events, keep_rows};
pub use field_reference::FieldReference;
pub use filter::{Failure, Filter, Outcome};
pub use options::{Environment, OptionDescription, OptionKind, Options};
pub use plan::{Field, Plan};
pub use problems::{Problem, Problems};
pub use row_mask::RowMask;
/// JSON as the SDK has it, for states and values.
pub use serde_json;
pub use template::Template;
pub use typed_options::{OptionType, Tables};
pub use value::Value;
#[doc(hidden)]
pub use weir_filter_macros::embed_cases;
