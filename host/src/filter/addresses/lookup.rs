//! Looking up a column of addresses. Addresses repeat, so what was found for a text is kept, and most rows cost one look
//! into a table.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use maxminddb::{LookupResult, PathElement};
use serde::Deserialize;
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::super::definition::ChainEnvironment;
use super::super::host_functions::LookupAnswer;
use super::super::interface::{Column, Floats, KERNEL_PLACE, MixedCell, NO_VALUE, Numbers, Texts};
use super::address_text;
use super::database::{Content, Database, Databases, Version};
use super::kernel_texts::KernelTexts;

/// The most texts that are kept. When there are more, all are forgotten: about 8 MB a worker at worst.
const MOST_KEPT: usize = 16_384;

/// The most texts buffers that are kept apart; then they are made one.
const MOST_BUFFERS: usize = 16;

/// The most values that one lookup gives: rows times paths.
const MOST_VALUES: usize = 1 << 20;

/// The most paths of one lookup, and fragments of a path.
const MOST_PATHS: usize = 64;

/// How often a file is looked at whether it was replaced.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// A database that a guest has opened, with what was found in it lately.
pub(in super::super) struct OpenDatabase {
    databases: Arc<Databases>,
    database: Arc<Database>,
    looked: Instant,
    kept: Kept,
}

/// What was found, for one list of paths.
#[derive(Default)]
struct Kept {
    paths: Vec<Vec<String>>,
    /// The number of the record that a text leads to, or `None` if it leads to none.
    records: HashMap<Box<[u8]>, Option<u32>>,
    /// A value a path for each record.
    values: Vec<Found>,
    /// The kinds of the values of each path.
    kinds: Vec<u8>,
    /// The values' texts that are ASCII, and those that are not. Apart from each other, as a place in ASCII is on
    /// character boundaries wherever it is, and nobody has to look: the looking was most of what a lookup cost.
    ascii: KeptTexts,
    other: KeptTexts,
}

/// Texts, one buffer after the other.
#[derive(Default)]
struct KeptTexts {
    buffers: Vec<Arc<String>>,
    /// Of all buffers.
    length: usize,
    /// What is to become the next buffer.
    new: String,
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

impl OpenDatabase {
    /// Opens what a guest's options name: one of the environment's own databases, or a file.
    pub(in super::super) fn open(
        databases: &Arc<Databases>,
        environment: &ChainEnvironment,
        name: &str,
    ) -> anyhow::Result<Self> {
        let database = databases.open(environment, name)?;
        Ok(OpenDatabase {
            databases: databases.clone(),
            database,
            looked: Instant::now(),
            kept: Kept::default(),
        })
    }

    /// The type text inside the file.
    pub(in super::super) fn kind(&self) -> &str {
        &self.database.reader.metadata().database_type
    }

    /// Looks up a text a row (wit/filter.wit, `database.lookup`). Errors are bad arguments: the guest's end.
    pub(in super::super) fn lookup(
        &mut self,
        addresses: &Texts,
        text: &[u8],
        paths: &[Vec<String>],
        kernel_texts: &mut KernelTexts,
    ) -> wasmtime::Result<LookupAnswer> {
        let rows = addresses.starts.len();
        if addresses.lens.len() != rows {
            wasmtime::bail!("the addresses have {rows} starts and {} lengths", addresses.lens.len());
        }
        if paths.len() > MOST_PATHS || paths.iter().any(|path| path.len() > MOST_PATHS) {
            wasmtime::bail!("more than {MOST_PATHS} paths, or fragments of a path");
        }
        if rows.saturating_mul(paths.len().max(1)) > MOST_VALUES {
            wasmtime::bail!("{rows} rows with {} paths are too many for one lookup", paths.len());
        }
        self.look_again();
        if self.kept.paths != paths || self.kept.records.len() > MOST_KEPT {
            self.kept = Kept { paths: paths.to_vec(), kinds: vec![0; paths.len()], ..Kept::default() };
        }
        let records = self.find_records(addresses, text)?;
        let ascii = kernel_texts.add(&self.kept.ascii.buffers, true);
        let (Some(ascii), Some(other)) = (ascii, kernel_texts.add(&self.kept.other.buffers, false)) else {
            wasmtime::bail!("the texts of this batch's lookups are too long");
        };
        let mut found = vec![0_u8; rows.div_ceil(8)];
        for (row, record) in records.iter().enumerate() {
            if record.is_some() {
                found[row / 8] |= 1 << (row % 8);
            }
        }
        let columns = (0..paths.len()).map(|path| self.kept.column(&records, path, [ascii, other])).collect();
        Ok((found, columns))
    }

    fn find_records(&mut self, addresses: &Texts, text: &[u8]) -> wasmtime::Result<Vec<Option<u32>>> {
        let mut records = Vec::with_capacity(addresses.starts.len());
        for (start, length) in addresses.starts.iter().zip(&addresses.lens) {
            if *length == NO_VALUE {
                records.push(None);
                continue;
            }
            let (start, length) = (*start as usize, *length as usize);
            let Some(address) = start.checked_add(length).and_then(|end| text.get(start..end)) else {
                wasmtime::bail!("an address lies outside of the text");
            };
            if length > address_text::LONGEST {
                records.push(None);
                continue;
            }
            let record = match self.kept.records.get(address) {
                Some(record) => *record,
                None => self.kept.add(&self.database, address),
            };
            records.push(record);
        }
        self.kept.ascii.keep();
        self.kept.other.keep();
        Ok(records)
    }

    /// Takes up a new version of the file. One that cannot be read is said, and the old one stays.
    fn look_again(&mut self) {
        if self.looked.elapsed() < LOOK_AGAIN {
            return;
        }
        self.looked = Instant::now();
        let Some((path, version)) = &self.database.file else { return };
        // Between the steps of being replaced a file may not be there; then it is looked at again later.
        if !Version::of(path).is_ok_and(|now| now != *version) {
            return;
        }
        match self.databases.open_file(path) {
            Ok(database) => {
                tracing::info!(database = %path.display(), "the address database was replaced");
                self.database = database;
                self.kept = Kept::default();
            }
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), "the new address database is not used");
            }
        }
    }
}

impl Kept {
    /// Looks up an address that was not seen lately.
    fn add(&mut self, database: &Database, address: &[u8]) -> Option<u32> {
        let first_value = self.values.len();
        let parsed = std::str::from_utf8(address).ok().and_then(address_text::parse);
        let result =
            parsed.and_then(|parsed| database.reader.lookup(parsed.ip).ok()).filter(LookupResult::has_data);
        let record = match (parsed, &result) {
            (Some(parsed), Some(result)) => {
                let mut text = String::new();
                for (path, kinds) in self.paths.iter().zip(&mut self.kinds) {
                    text.clear();
                    let found = match read_path(result, parsed, path, &mut text) {
                        Some(Scalar::Boolean(value)) => Found::Boolean(value),
                        Some(Scalar::Integer(value)) => Found::Integer(value),
                        Some(Scalar::Float(value)) => Found::Float(value),
                        Some(Scalar::Text) if text.is_ascii() => self.ascii.add(&text, Found::Ascii),
                        Some(Scalar::Text) => self.other.add(&text, Found::Text),
                        Some(Scalar::Other) | None => Found::Absent,
                    };
                    *kinds |= found.kind();
                    self.values.push(found);
                }
                u32::try_from(first_value / self.paths.len().max(1)).ok()
            }
            _ => None,
        };
        self.records.insert(address.into(), record);
        record
    }

    /// One path's values for the rows. Places in `ascii` and `other` begin at `first`.
    fn column(&self, records: &[Option<u32>], path: usize, first: [u32; 2]) -> Column {
        // By reference: copies went through the stack, and cost more than all else here.
        let value = |record: &Option<u32>| match record {
            Some(record) => {
                self.values.get(*record as usize * self.paths.len() + path).unwrap_or(&Found::Absent)
            }
            None => &Found::Absent,
        };
        let rows = records.len();
        // A path leads to one kind of value in nearly every database, so what was ever found says what the column is.
        match self.kinds.get(path).copied().unwrap_or_default() {
            0 => Column::Absent,
            TEXT => {
                let mut column = Texts { starts: Vec::with_capacity(rows), lens: Vec::with_capacity(rows) };
                for record in records {
                    let (start, length) = value(record).place(first).unwrap_or((0, NO_VALUE));
                    column.starts.push(start);
                    column.lens.push(length);
                }
                Column::Text(column)
            }
            FLOAT => {
                let mut column =
                    Floats { values: Vec::with_capacity(rows), present: vec![0; rows.div_ceil(8)] };
                for (row, record) in records.iter().enumerate() {
                    let found = value(record);
                    column.values.push(if let Found::Float(number) = found { *number } else { 0.0 });
                    column.present[row / 8] |= u8::from(*found != Found::Absent) << (row % 8);
                }
                Column::Float(column)
            }
            kinds @ (INTEGER | BOOLEAN) => {
                let mut column =
                    Numbers { values: Vec::with_capacity(rows), present: vec![0; rows.div_ceil(8)] };
                for (row, record) in records.iter().enumerate() {
                    let found = value(record);
                    column.values.push(match found {
                        Found::Integer(number) => *number,
                        Found::Boolean(value) => i64::from(*value),
                        _ => 0,
                    });
                    column.present[row / 8] |= u8::from(*found != Found::Absent) << (row % 8);
                }
                if kinds == INTEGER { Column::Integer(column) } else { Column::Boolean(column) }
            }
            _ => {
                let mut column = Vec::new();
                for (row, record) in records.iter().enumerate() {
                    let found = value(record);
                    let cell = match found {
                        Found::Absent => None,
                        Found::Boolean(value) => Some(MixedCell::Boolean(*value)),
                        Found::Integer(value) => Some(MixedCell::Integer(*value)),
                        Found::Float(value) => Some(MixedCell::Float(*value)),
                        Found::Ascii(..) | Found::Text(..) => found.place(first).map(MixedCell::Text),
                    };
                    column.extend(cell.map(|cell| (row as u32, cell)));
                }
                Column::Mixed(column)
            }
        }
    }
}

/// Kinds of values, as bits.
const TEXT: u8 = 1;
const INTEGER: u8 = 2;
const FLOAT: u8 = 4;
const BOOLEAN: u8 = 8;

impl Found {
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

impl KeptTexts {
    /// Appends a text to what will be the next buffer.
    fn add(&mut self, text: &str, found: fn(u32, u32) -> Found) -> Found {
        let place = (u32::try_from(self.length + self.new.len()), u32::try_from(text.len()));
        match place {
            (Ok(start), Ok(length)) if start < KERNEL_PLACE => {
                self.new.push_str(text);
                found(start, length)
            }
            _ => Found::Absent,
        }
    }

    /// Makes a buffer of what was appended, or one of all when there are many.
    fn keep(&mut self) {
        if self.new.is_empty() {
            return;
        }
        self.length += self.new.len();
        self.buffers.push(Arc::new(std::mem::take(&mut self.new)));
        if self.buffers.len() > MOST_BUFFERS {
            let mut all = String::with_capacity(self.length);
            for text in &self.buffers {
                all.push_str(text);
            }
            self.buffers = vec![Arc::new(all)];
        }
    }
}

/// A value's kind; a text itself is in the buffer.
enum Scalar {
    Boolean(bool),
    Integer(i64),
    Float(f64),
    Text,
    /// A map, a list, bytes or a whole number over 64 bits.
    Other,
}

type Record<'r> = LookupResult<'r, Content>;

fn read_path(
    record: &Record<'_>,
    address: address_text::Address,
    path: &[String],
    out: &mut String,
) -> Option<Scalar> {
    match path {
        [only] if only == "@ip" => {
            address_text::write_address(address, out);
            Some(Scalar::Text)
        }
        [only] if only == "@network" => {
            let network = record.network().ok()?;
            address_text::write(network.network(), out);
            out.push('/');
            out.push_str(&network.prefix().to_string());
            Some(Scalar::Text)
        }
        [first, separator, paths @ ..] if first == "@join" => {
            for (number, path) in paths.split(String::is_empty).enumerate() {
                if number > 0 {
                    out.push_str(separator);
                }
                match read_value(record, path, out)? {
                    Scalar::Boolean(value) => out.push_str(&value.to_string()),
                    Scalar::Integer(value) => out.push_str(&value.to_string()),
                    Scalar::Float(value) => out.push_str(&value.to_string()),
                    Scalar::Text => {}
                    Scalar::Other => return None,
                }
            }
            Some(Scalar::Text)
        }
        _ => read_value(record, path, out),
    }
}

/// A value in the record. One that is not there, or not to be read, is absent; a text is appended to `out`.
fn read_value(record: &Record<'_>, path: &[String], out: &mut String) -> Option<Scalar> {
    let element = |fragment| match str::parse::<i32>(fragment) {
        Ok(index) => PathElement::from(index),
        Err(_) => PathElement::Key(fragment),
    };
    let path: Vec<PathElement<'_>> = path.iter().map(|fragment| element(fragment)).collect();
    match record.decode_path::<Value<'_>>(&path).ok()?? {
        Value::Boolean(value) => Some(Scalar::Boolean(value)),
        Value::Integer(value) => Some(Scalar::Integer(value)),
        Value::Float(value) => Some(Scalar::Float(value)),
        Value::Text(text) => {
            out.push_str(text);
            Some(Scalar::Text)
        }
        Value::Other => Some(Scalar::Other),
    }
}

/// Any value of a record.
enum Value<'r> {
    Boolean(bool),
    Integer(i64),
    Float(f64),
    Text(&'r str),
    Other,
}

impl<'de> Deserialize<'de> for Value<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value<'de>, E> {
        Ok(Value::Boolean(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value<'de>, E> {
        Ok(Value::Integer(value))
    }

    fn visit_i32<E>(self, value: i32) -> Result<Value<'de>, E> {
        Ok(Value::Integer(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value<'de>, E> {
        Ok(i64::try_from(value).map_or(Value::Other, Value::Integer))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Value<'de>, E> {
        Ok(i64::try_from(value).map_or(Value::Other, Value::Integer))
    }

    fn visit_f32<E>(self, value: f32) -> Result<Value<'de>, E> {
        Ok(Value::Float(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value<'de>, E> {
        Ok(Value::Float(value))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Value<'de>, E> {
        Ok(Value::Text(text))
    }

    fn visit_bytes<E>(self, _bytes: &[u8]) -> Result<Value<'de>, E> {
        Ok(Value::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value<'de>, A::Error> {
        while elements.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value<'de>, A::Error> {
        while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Value::Other)
    }
}

#[cfg(test)]
#[path = "lookup_tests.rs"]
mod tests;
