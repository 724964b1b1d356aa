//! Filters that are changed while a pipeline runs. [`SwappableChain`] is the chain of a running pipeline: one pointer to its
//! current [`ChainVersion`], which a batch takes when it is read and keeps to its end, so that a batch is filtered by one
//! version only. A new version is built whole beside the line (`candidate`), tried on copies of live batches (`shadow`), and
//! then the pointer changes. The version before is kept: a batch that breaks the new one runs again with it, and the pointer
//! goes back. What filters keep (`state`) goes from version to version in the order of reading (`turns`).
//!
//! What a pipeline file or a request says is left to `swapper`.

mod candidate;
mod live;
mod pauses;
mod recent;
mod shadow;
mod state;
mod turns;
mod version;

pub use candidate::{Candidate, CandidateCases, LoadedComponent};
pub use live::{Assigned, SwappableChain, Switched, WatchRules};
pub use pauses::Pauses;
pub use shadow::{Difference, ShadowReport};
pub use state::{SavedState, read_states, write_states};
pub use version::ChainVersion;
