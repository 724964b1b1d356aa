//! What an author of a filter gets from Weir: a project to begin with (`project`), and a component made of it (`build`).
//! What commands print is left to `cli`, what a component must be like to `filter`.

mod build;
mod project;

pub use build::{Module, compile, read_cases_of};
pub use project::{check_name, create_project};
