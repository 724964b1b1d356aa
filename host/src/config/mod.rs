//! The pipeline file: TOML as written -> typed configuration as needed. Every mistake becomes a problem with file, line,
//! column, cause and fix, all in one run. Reads nothing but the file and what `${file:…}` names; loading guests and
//! opening databases is left to `check` and to the line.

mod nearest;
mod problem;
mod quantity;
mod secrets;
mod section;
mod tree;
mod variables;

pub use nearest::did_you_mean;
pub use problem::{Problem, Problems, Severity, SourceFile};
pub use quantity::{parse_bytes, parse_duration};
pub use secrets::Secrets;
pub use section::Section;
pub use tree::Places;
pub use variables::Variables;
