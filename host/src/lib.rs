//! Weir: a host for WebAssembly log filters. An event goes four hops: input -> filters -> output -> ledger.

pub mod address_database;
pub mod assembly;
pub mod audit;
pub mod author;
pub mod config;
pub mod control;
pub mod counts;
pub mod event;
pub mod filter;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod input;
pub mod ledger;
pub mod observe;
pub mod output;
pub mod pipeline;
pub mod pipeline_case;
pub mod replay;
mod shares;
pub mod swapper;
