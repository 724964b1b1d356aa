//! The kernel `addresses`: address databases in MaxMind's format, open once in the process, and their records as columns.
//! Which fields a record gives, and under which names, is left to the guest.

mod address_text;
mod database;
mod kept;
mod kept_texts;
mod kernel_texts;
mod lookup;
mod record;

pub(super) use database::Databases;
pub(super) use kernel_texts::{KernelText, KernelTexts};
pub(super) use lookup::OpenDatabase;
