//! Generated pairs of options and events, through the compiled components and the chain that a pipeline has: no guest
//! breaks, the host does not panic, every event is accounted for, and what comes out is what a second implementation
//! makes of it, where there is one.
//!
//! `WEIR_PROPERTY_PAIRS` says how many pairs are tried in all (`make properties N=10000000`); `make test` tries few, the
//! same ones in every run. `WEIR_PROPERTY_SEED` begins with other ones. A case that fails is made as small as it can be
//! and is shown with the seed that repeats it; it belongs beside the code then, as a test of its own.

#[path = "properties/campaign.rs"]
mod campaign;
#[path = "properties/conditions.rs"]
mod conditions;
#[path = "properties/date.rs"]
mod date;
#[path = "properties/differential.rs"]
mod differential;
#[path = "properties/dissect.rs"]
mod dissect;
#[path = "properties/documents.rs"]
mod documents;
#[path = "properties/fingerprint.rs"]
mod fingerprint;
#[path = "properties/mutate.rs"]
mod mutate;
#[path = "properties/options.rs"]
mod options;
#[path = "properties/references.rs"]
mod references;
#[path = "properties/templates.rs"]
mod templates;
#[path = "properties/through.rs"]
mod through;
#[path = "properties/values.rs"]
mod values;
