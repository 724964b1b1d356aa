//! The filters of a pipeline: guests, sandboxed WebAssembly components, and all that the host does around them. The only
//! folder that knows wasmtime.
//!
//! An [`Engine`] compiles and keeps components. [`ChainDefinition::build`] loads and configures all filters of a
//! pipeline and says every problem at once; [`ChainDefinition::start`] makes the instances of one worker, a [`Chain`],
//! and [`Chain::process`] passes a batch through them. What events mean is left to `event`, how a pipeline is written to
//! `config`.
//!
//! The way of a batch through one filter: `encode` makes the columns that the guest's plan reads, `instance` calls the
//! guest, `answer` checks every number of what it says, `apply` changes the batch. `chain` decides what becomes of rows
//! that failed or that broke the guest. The chain is a tree: `branch` says which rows reach which filter. `run_case` tries a
//! filter on events that are written down, `inspect` says all that there is to say of a component, `swap` changes the chain of a
//! pipeline that runs, `fuel` tells what filters cost, the same on every machine.

mod addresses;
mod answer;
mod apply;
mod branch;
mod built_in;
mod chain;
mod code_cache;
mod component;
mod component_size;
mod counts;
mod definition;
mod encode;
mod engine;
mod fuel;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod guest_state;
mod host_functions;
mod inspect;
mod instance;
mod interface;
mod log_allowance;
mod passage;
mod patterns;
mod places;
mod plain_module;
mod plan;
mod run_case;
pub mod swap;

pub use branch::ConfiguredBranch;
pub use chain::{Chain, Processed};
pub use counts::FilterCounts;
pub use definition::{
    ChainDefinition, ChainEnvironment, ChainSource, Clock, ConfiguredFilter, FilterProblem, Randomness,
};
pub use engine::{Compilation, Engine, Manifest};
pub use fuel::measure_fuel;
pub use inspect::{Inspection, Planned};
pub use passage::{Dropped, SetAside};
pub use run_case::{CaseRun, case_databases, example_batch, run_case};
