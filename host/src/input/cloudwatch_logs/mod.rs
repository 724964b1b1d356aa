//! Log groups of CloudWatch Logs, read by FilterLogEvents so that late events, equal milliseconds, expired tokens and
//! restarts neither lose nor repeat an event. `windows` says what is read for good; what is read of a group and when is in
//! `group` and `run`; what was handed on already in `seen`; requests in `client` and `budget`; `page` makes events; `reader`
//! brings them together. For who compares afterwards, `inspect` shows what the service holds and `recorded` what the ledger says.

mod budget;
mod client;
mod counters;
mod group;
mod inspect;
mod options;
mod page;
mod reader;
pub mod recorded;
mod run;
mod seen;
mod sincedb;
pub mod windows;

use anyhow::{Context, Result};

use super::{Input, InputContext};
use client::Service;
use reader::Reader;

pub use counters::{CloudwatchCounters, GroupFigures};
pub(crate) use inspect::{InspectedGroup, Inspector};
pub use options::{CloudwatchLogsOptions, StartPosition, StaticCredentials, read_options};
pub(crate) use page::InspectedBatch;
pub use reader::Timing;

/// Opens the input: finds credentials, and what earlier runs have read.
///
/// # Errors
/// Without credentials, and when the ledger cannot be read.
pub async fn open(options: CloudwatchLogsOptions, context: InputContext) -> Result<impl Input + use<>> {
    open_with(options, context, Timing::real()).await
}

/// The same by another clock.
///
/// # Errors
/// As [`open`].
pub async fn open_with(
    options: CloudwatchLogsOptions,
    context: InputContext,
    timing: Timing,
) -> Result<impl Input + use<>> {
    let name = context.name.clone();
    let service = Service::new(&options).await.with_context(|| format!("input {name} cannot begin"))?;
    Reader::open(options, context, service, timing).await
}

#[cfg(test)]
mod group_tests;
#[cfg(test)]
mod random_tests;
#[cfg(test)]
mod shared_tests;
#[cfg(test)]
mod tests;
