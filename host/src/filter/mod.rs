//! The filters of a pipeline: guests, sandboxed WebAssembly components, and all that the host does around them. The only
//! folder that knows wasmtime.
//!
//! An [`Engine`] compiles and keeps components. [`ChainDefinition::build`] loads and configures all filters of a
//! pipeline and says every problem at once; [`ChainDefinition::start`] makes the instances of one worker, a [`Chain`],
//! and [`Chain::process`] passes a batch through them. What events mean is left to `event`, how a pipeline is written to
//! `config`.

mod chain;
#[expect(dead_code, reason = "the engine that uses it follows in the next commit")]
mod counts;
mod definition;
mod engine;
#[expect(dead_code, reason = "the engine that uses it follows in the next commit")]
mod interface;

pub use chain::{Chain, Processed, SetAside};
pub use counts::FilterCounts;
pub use definition::{ChainDefinition, ChainEnvironment, Clock, ConfiguredFilter, FilterProblem, Randomness};
pub use engine::{Engine, Manifest};
