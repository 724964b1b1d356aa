//! Fakes of the services that Weir talks to, and a writer of address databases.

pub mod mmdb;
