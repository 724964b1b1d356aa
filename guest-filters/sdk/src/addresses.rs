//! Address databases: opened and kept by the host, asked for whole columns. In a native program the answers come from
//! what [`crate::native::install_addresses`] was given.

use crate::boundary::columns::{Column, Texts};
use crate::row_mask::RowMask;

/// An open address database.
#[derive(Debug)]
pub struct Database {
    #[cfg(target_arch = "wasm32")]
    resource: crate::boundary::weir::filter::addresses::Database,
    #[cfg(not(target_arch = "wasm32"))]
    resource: crate::native::NativeDatabase,
}

impl Database {
    /// Opens a database that the options name. Only in `configure`.
    ///
    /// # Errors
    /// If the host does not have it, or it cannot be read.
    pub fn open(path: &str) -> Result<Self, String> {
        #[cfg(target_arch = "wasm32")]
        let resource = crate::boundary::weir::filter::addresses::Database::open(path)?;
        #[cfg(not(target_arch = "wasm32"))]
        let resource = crate::native::NativeDatabase::open(path)?;
        Ok(Database { resource })
    }

    /// The type text inside the file, such as `GeoLite2-City`.
    pub fn kind(&self) -> String {
        self.resource.kind()
    }

    /// Looks up a text a row; `addresses` are places in `text`. Answers the rows whose address is in the database, and a
    /// column a path, to be handed to [`crate::Events::set_column`]. For what a path may be see wit/filter.wit.
    pub fn lookup(&self, addresses: &Texts, text: &str, paths: &[Vec<String>]) -> (RowMask, Vec<Column>) {
        #[cfg(target_arch = "wasm32")]
        let (rows, columns) = self.resource.lookup(addresses, text.as_bytes(), paths);
        #[cfg(not(target_arch = "wasm32"))]
        let (rows, columns) = self.resource.lookup(addresses, text, paths);
        (RowMask::from_bytes(rows, addresses.lens.len()), columns)
    }
}
