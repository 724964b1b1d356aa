//! What was found for addresses lately, in one database and for one list of paths. Addresses repeat, so most rows cost one
//! look into a table; and many addresses lead to one record, whose values are read once. All instances that ask the same
//! share it: what one worker found the others need not look up.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::address_text::{self, Address};
use super::database::Database;
use super::kept_texts::KeptTexts;
use super::kernel_texts::KernelTexts;
use super::record::{self, Record, Scalar};
use crate::filter::interface::{Column, Floats, KERNEL_PLACE, MixedCell, NO_VALUE, Numbers, Texts};

/// The most addresses and records that are kept. When there are more, all are forgotten: some 40 MB at worst.
pub(super) const MOST_ADDRESSES: usize = 98_304;
const MOST_RECORDS: usize = 65_536;

/// The index of the values of an address that leads to no record.
const NOWHERE: u32 = u32::MAX;

/// What all instances share that look up these paths.
pub(super) struct Shared {
    paths: Vec<Vec<String>>,
    /// Replaced as a whole when it is full: who is at work with it goes on with the one before.
    kept: Mutex<Arc<RwLock<Kept>>>,
}

/// What was found, for one list of paths.
#[derive(Default)]
struct Kept {
    /// Which value each path is.
    values_of: Vec<ValueOf>,
    /// Addresses of up to 15 bytes, which all IPv4 ones are: their text is the key itself.
    short: HashMap<u128, Known>,
    long: HashMap<Box<[u8]>, Known>,
    /// By a record's place in the database, the index of its values.
    records: HashMap<usize, u32>,
    values_of_records: Vec<Found>,
    values_of_addresses: Vec<Found>,
    /// The kinds of the values of each path.
    kinds: Vec<u8>,
    /// The values' texts that are ASCII, and those that are not. Apart from each other, as a place in ASCII is on
    /// character boundaries wherever it is, and nobody has to look: the looking was most of what a lookup cost.
    ascii: KeptTexts,
    other: KeptTexts,
}

/// Where the values of an address begin; `NOWHERE` if it leads to no record.
#[derive(Clone, Copy)]
struct Known {
    of_record: u32,
    of_address: u32,
}

/// A path's number among those that depend on the record only, or on the address too.
#[derive(Clone, Copy)]
enum ValueOf {
    Record(usize),
    Address(usize),
}

/// What was found for the rows of a lookup: where their values begin.
struct FoundRows {
    of_record: Vec<u32>,
    of_address: Vec<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Found {
    Absent,
    Boolean(bool),
    Integer(i64),
    Float(f64),
    /// A place in all of `Kept::ascii`.
    Ascii(u32, u32),
    /// A place in all of `Kept::other`.
    Text(u32, u32),
}

impl Shared {
    /// Nothing yet, for these paths.
    pub(super) fn new(paths: &[Vec<String>]) -> Self {
        Shared { paths: paths.to_vec(), kept: Mutex::new(Arc::new(RwLock::new(Kept::new(paths)))) }
    }

    pub(super) fn is_of(&self, paths: &[Vec<String>]) -> bool {
        self.paths == paths
    }

    /// Looks up rows' addresses; answers which rows' lead to a record, as bits, and a column a path. Their texts are handed
    /// to the guest's call; `None` if there is no room for them.
    pub(super) fn look_up(
        &self,
        database: &Database,
        addresses: &[Option<&[u8]>],
        kernel_texts: &mut KernelTexts,
    ) -> Option<(Vec<u8>, Vec<Column>)> {
        let current = self.current();
        let (mut rows, missing) = {
            let kept = current.read().unwrap_or_else(PoisonError::into_inner);
            kept.find(addresses)
        };
        if !missing.is_empty() {
            let mut kept = current.write().unwrap_or_else(PoisonError::into_inner);
            for (row, address) in missing {
                rows.set(row, kept.find_or_look_up(database, &self.paths, address));
            }
            kept.ascii.close();
            kept.other.close();
        }
        let kept = current.read().unwrap_or_else(PoisonError::into_inner);
        let first =
            [kernel_texts.add(kept.ascii.buffers(), true)?, kernel_texts.add(kept.other.buffers(), false)?];
        Some((rows.found(), kept.columns(&rows, first)))
    }

    /// What is kept, with room for more.
    fn current(&self) -> Arc<RwLock<Kept>> {
        let mut current = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if current.read().unwrap_or_else(PoisonError::into_inner).is_full() {
            *current = Arc::new(RwLock::new(Kept::new(&self.paths)));
        }
        current.clone()
    }

    /// How many addresses are kept.
    #[cfg(test)]
    pub(super) fn addresses(&self) -> usize {
        self.current().read().unwrap().addresses()
    }
}

impl Kept {
    fn new(paths: &[Vec<String>]) -> Self {
        let (mut of_records, mut of_addresses) = (0, 0);
        let mut values_of = Vec::with_capacity(paths.len());
        for path in paths {
            if record::is_of_the_address(path) {
                values_of.push(ValueOf::Address(of_addresses));
                of_addresses += 1;
            } else {
                values_of.push(ValueOf::Record(of_records));
                of_records += 1;
            }
        }
        Kept { values_of, kinds: vec![0; paths.len()], ..Kept::default() }
    }

    fn addresses(&self) -> usize {
        self.short.len() + self.long.len()
    }

    fn is_full(&self) -> bool {
        self.addresses() > MOST_ADDRESSES || self.records.len() > MOST_RECORDS
    }

    /// Where the values of rows' addresses are, and the rows whose address is not kept.
    fn find<'t>(&self, addresses: &[Option<&'t [u8]>]) -> (FoundRows, Vec<(usize, &'t [u8])>) {
        let mut rows = FoundRows::with_capacity(addresses.len());
        let mut missing = Vec::new();
        for (row, address) in addresses.iter().enumerate() {
            let known = address.map_or(Some(Known::NOTHING), |address| self.known(address));
            if let (None, Some(address)) = (known, address) {
                missing.push((row, *address));
            }
            rows.push(known.unwrap_or(Known::NOTHING));
        }
        (rows, missing)
    }

    fn known(&self, address: &[u8]) -> Option<Known> {
        match short_key(address) {
            Some(key) => self.short.get(&key).copied(),
            None => self.long.get(address).copied(),
        }
    }

    /// Another row, or another worker, may have brought the address meanwhile.
    fn find_or_look_up(&mut self, database: &Database, paths: &[Vec<String>], address: &[u8]) -> Known {
        if let Some(known) = self.known(address) {
            return known;
        }
        let known = self.look_up(database, paths, address);
        match short_key(address) {
            Some(key) => self.short.insert(key, known),
            None => self.long.insert(address.into(), known),
        };
        known
    }

    fn look_up(&mut self, database: &Database, paths: &[Vec<String>], address: &[u8]) -> Known {
        let Some(address) = std::str::from_utf8(address).ok().and_then(address_text::parse) else {
            return Known::NOTHING;
        };
        let Ok(result) = database.reader.lookup(address.ip) else { return Known::NOTHING };
        let Some(place) = result.offset() else { return Known::NOTHING };
        let of_record = match self.records.get(&place) {
            Some(first) => *first,
            None => {
                let first = u32::try_from(self.values_of_records.len()).unwrap_or(NOWHERE);
                self.read(&result, address, paths, |of| matches!(of, ValueOf::Record(_)));
                self.records.insert(place, first);
                first
            }
        };
        let of_address = u32::try_from(self.values_of_addresses.len()).unwrap_or(NOWHERE);
        self.read(&result, address, paths, |of| matches!(of, ValueOf::Address(_)));
        Known { of_record, of_address }
    }

    /// Reads the values of the paths that are `wanted`.
    fn read(
        &mut self,
        record: &Record<'_>,
        address: Address,
        paths: &[Vec<String>],
        wanted: fn(ValueOf) -> bool,
    ) {
        let mut text = String::new();
        for ((path, kinds), of) in paths.iter().zip(&mut self.kinds).zip(&self.values_of) {
            if !wanted(*of) {
                continue;
            }
            text.clear();
            let found = match record::read_path(record, address, path, &mut text) {
                Some(Scalar::Boolean(value)) => Found::Boolean(value),
                Some(Scalar::Integer(value)) => Found::Integer(value),
                Some(Scalar::Float(value)) => Found::Float(value),
                Some(Scalar::Text) if text.is_ascii() => Found::at(self.ascii.add(&text), Found::Ascii),
                Some(Scalar::Text) => Found::at(self.other.add(&text), Found::Text),
                Some(Scalar::Other) | None => Found::Absent,
            };
            *kinds |= found.kind();
            match of {
                ValueOf::Record(_) => self.values_of_records.push(found),
                ValueOf::Address(_) => self.values_of_addresses.push(found),
            }
        }
    }

    /// A column a path. Places in ASCII and other texts begin at `first`.
    fn columns(&self, rows: &FoundRows, first: [u32; 2]) -> Vec<Column> {
        let count = rows.of_record.len();
        // A path leads to one kind of value in nearly every database, so what was ever found says what the column is.
        let mut columns: Vec<Column> = self.kinds.iter().map(|kinds| empty_column(*kinds, count)).collect();
        for block in (0..count).step_by(BLOCK_ROWS) {
            let block = block..count.min(block + BLOCK_ROWS);
            for (column, of) in columns.iter_mut().zip(&self.values_of) {
                self.extend_column(column, *of, rows, block.clone(), first);
            }
        }
        columns
    }

    fn extend_column(
        &self,
        column: &mut Column,
        of: ValueOf,
        rows: &FoundRows,
        block: Range<usize>,
        first: [u32; 2],
    ) {
        let (values, starts) = match of {
            ValueOf::Record(number) => (self.values_of_records.get(number..), &rows.of_record),
            ValueOf::Address(number) => (self.values_of_addresses.get(number..), &rows.of_address),
        };
        let values = values.unwrap_or_default();
        // By reference: copies went through the stack, and cost more than all else here.
        let value = |start: &u32| values.get(*start as usize).unwrap_or(&Found::Absent);
        let rows = block.clone().zip(starts.get(block).unwrap_or_default());
        match column {
            Column::Text(texts) => {
                for (_, start) in rows {
                    let (start, length) = value(start).place(first).unwrap_or((0, NO_VALUE));
                    texts.starts.push(start);
                    texts.lens.push(length);
                }
            }
            Column::Float(floats) => {
                for (row, start) in rows {
                    let found = value(start);
                    floats.values.push(if let Found::Float(number) = found { *number } else { 0.0 });
                    floats.present[row / 8] |= u8::from(*found != Found::Absent) << (row % 8);
                }
            }
            Column::Integer(numbers) | Column::Boolean(numbers) => {
                for (row, start) in rows {
                    let found = value(start);
                    numbers.values.push(match found {
                        Found::Integer(number) => *number,
                        Found::Boolean(value) => i64::from(*value),
                        _ => 0,
                    });
                    numbers.present[row / 8] |= u8::from(*found != Found::Absent) << (row % 8);
                }
            }
            Column::Mixed(cells) => {
                for (row, start) in rows {
                    let found = value(start);
                    let cell = match found {
                        Found::Absent => None,
                        Found::Boolean(value) => Some(MixedCell::Boolean(*value)),
                        Found::Integer(value) => Some(MixedCell::Integer(*value)),
                        Found::Float(value) => Some(MixedCell::Float(*value)),
                        Found::Ascii(..) | Found::Text(..) => found.place(first).map(MixedCell::Text),
                    };
                    cells.extend(cell.map(|cell| (row as u32, cell)));
                }
            }
            Column::Absent | Column::Timestamp(_) | Column::Json(_) | Column::Object(_) => {}
        }
    }
}

/// A column without rows for values of these kinds, with room for so many.
fn empty_column(kinds: u8, rows: usize) -> Column {
    let present = || vec![0; rows.div_ceil(8)];
    let numbers = || Numbers { values: Vec::with_capacity(rows), present: present() };
    match kinds {
        0 => Column::Absent,
        TEXT => Column::Text(Texts { starts: Vec::with_capacity(rows), lens: Vec::with_capacity(rows) }),
        FLOAT => Column::Float(Floats { values: Vec::with_capacity(rows), present: present() }),
        INTEGER => Column::Integer(numbers()),
        BOOLEAN => Column::Boolean(numbers()),
        _ => Column::Mixed(Vec::new()),
    }
}

/// Rows whose values are taken over before those of the next: the values of a record lie beside each other, and those of so
/// many stay in the processor's nearest cache until all columns have them.
const BLOCK_ROWS: usize = 64;

impl Known {
    const NOTHING: Known = Known { of_record: NOWHERE, of_address: NOWHERE };
}

impl FoundRows {
    fn with_capacity(rows: usize) -> Self {
        FoundRows { of_record: Vec::with_capacity(rows), of_address: Vec::with_capacity(rows) }
    }

    fn push(&mut self, known: Known) {
        self.of_record.push(known.of_record);
        self.of_address.push(known.of_address);
    }

    fn set(&mut self, row: usize, known: Known) {
        if let (Some(of_record), Some(of_address)) =
            (self.of_record.get_mut(row), self.of_address.get_mut(row))
        {
            (*of_record, *of_address) = (known.of_record, known.of_address);
        }
    }

    /// The rows whose address leads to a record, as bits.
    fn found(&self) -> Vec<u8> {
        let mut found = vec![0_u8; self.of_record.len().div_ceil(8)];
        for (row, start) in self.of_record.iter().enumerate() {
            found[row / 8] |= u8::from(*start != NOWHERE) << (row % 8);
        }
        found
    }
}

/// The bytes and their number, if there are up to 15.
#[inline]
fn short_key(address: &[u8]) -> Option<u128> {
    let mut key = [0; 16];
    let (last, bytes) = key.split_last_mut()?;
    bytes.get_mut(..address.len())?.copy_from_slice(address);
    *last = address.len() as u8;
    Some(u128::from_le_bytes(key))
}

/// Kinds of values, as bits.
const TEXT: u8 = 1;
const INTEGER: u8 = 2;
const FLOAT: u8 = 4;
const BOOLEAN: u8 = 8;

impl Found {
    fn at(place: Option<(u32, u32)>, found: fn(u32, u32) -> Found) -> Found {
        place.map_or(Found::Absent, |(start, length)| found(start, length))
    }

    fn kind(self) -> u8 {
        match self {
            Found::Absent => 0,
            Found::Ascii(..) | Found::Text(..) => TEXT,
            Found::Integer(_) => INTEGER,
            Found::Float(_) => FLOAT,
            Found::Boolean(_) => BOOLEAN,
        }
    }

    /// The place of a text, for a guest.
    #[inline]
    fn place(&self, first: [u32; 2]) -> Option<(u32, u32)> {
        match self {
            Found::Ascii(start, length) => Some((KERNEL_PLACE | (first[0] + start), *length)),
            Found::Text(start, length) => Some((KERNEL_PLACE | (first[1] + start), *length)),
            _ => None,
        }
    }
}
