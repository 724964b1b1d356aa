//! Writes address databases (MaxMind DB 2.0, `.mmdb`) from a table of networks. Reading them is the business of the
//! `maxminddb` crate. The cases of filters have such tables, and so has the demo: `host/build.rs` includes this file as it is, and so
//! does the support of tests, so it needs the standard library and serde_json only.
//!
//! The form is described at <https://maxmind.github.io/MaxMind-DB/>: a binary tree over the bits of an address, whose
//! leaves point into a section of typed data, and a map of metadata at the end.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::net::IpAddr;

use serde_json::{Map, Value};

/// What a database says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// What its records are, for example `GeoLite2-City`.
    pub database_type: String,
    /// 4 or 6. A database of version 6 holds IPv4 networks too.
    pub ip_version: u16,
    /// Bits of one side of a node: 24, 28 or 32.
    pub record_size: u16,
    /// The languages of its names.
    pub languages: Vec<String>,
    /// When it was built, in seconds since 1970.
    pub build_epoch: u64,
    /// Language and text, any number of them.
    pub description: Vec<(String, String)>,
}

/// A database's bytes. `networks` are in CIDR form with a record each; of networks that lie in one another the longer
/// prefix holds, in whichever order they come. Whole numbers become unsigned 32-bit, negative ones signed 32-bit, larger
/// ones unsigned 64-bit; numbers with a fraction or an exponent become doubles. Equal values are written once.
///
/// Networks may share a record, which is then borrowed: a table of a real size does not fit into memory otherwise.
///
/// In a tree of version 6, IPv4 networks lie under `::/96`, and `::ffff:0:0/96` and `2002::/16` lead to the same place.
///
/// # Errors
/// For a record size or version that the form does not have, a network that is none, is given twice with different
/// records or does not fit the version, a null, a number that has no type, and when the tree outgrows the record size.
pub fn write<R: Borrow<Value>>(metadata: &Metadata, networks: &[(String, R)]) -> Result<Vec<u8>, String> {
    if !matches!(metadata.record_size, 24 | 28 | 32) {
        return Err(format!("record size {}: expected 24, 28 or 32", metadata.record_size));
    }
    if !matches!(metadata.ip_version, 4 | 6) {
        return Err(format!("ip version {}: expected 4 or 6", metadata.ip_version));
    }
    let mut prefixes = Vec::with_capacity(networks.len());
    let mut seen = HashMap::new();
    for (network, record) in networks {
        let record: &Value = record.borrow();
        let prefix = parse_network(network, metadata.ip_version)?;
        if let Some(other) = seen.insert(prefix, record)
            && other != record
        {
            return Err(format!("network {network} is given twice, with different records"));
        }
        prefixes.push((prefix, network, record));
    }
    // Short prefixes first, so that a network inside another one is cut out of it.
    prefixes.sort_by_key(|(prefix, ..)| prefix.length);

    let mut data = Data::default();
    let mut tree = Tree { nodes: vec![[Slot::Empty; 2]] };
    for (prefix, network, record) in prefixes {
        let place = data.record(record).map_err(|error| format!("network {network}: {error}"))?;
        tree.insert(prefix, Slot::Data(place));
    }
    if metadata.ip_version == 6 {
        let addresses = tree.at(Prefix { bits: 0, length: 96 });
        if addresses != Slot::Empty {
            tree.insert(Prefix { bits: 0xffff << 32, length: 96 }, addresses);
            tree.insert(Prefix { bits: 0x2002 << 112, length: 16 }, addresses);
        }
    }

    let mut bytes = tree.to_bytes(metadata.record_size)?;
    let node_count = tree.nodes.len();
    bytes.extend_from_slice(&[0; 16]);
    bytes.extend_from_slice(&data.bytes);
    bytes.extend_from_slice(b"\xAB\xCD\xEFMaxMind.com");
    write_metadata(&mut bytes, metadata, node_count);
    Ok(bytes)
}

/// Reads a table of networks from lines of JSON: the first one holds the metadata (`database_type`, `ip_version`,
/// `record_size`, `languages`, `build_epoch`, perhaps `description`), each further one `{"network", "record"}`.
///
/// # Errors
/// Names the line that is not as said.
pub fn read_facts(text: &str) -> Result<(Metadata, Vec<(String, Value)>), String> {
    let mut metadata = None;
    let mut networks = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let problem = |what: &str| format!("line {}: {what}", number + 1);
        let mut fields = match serde_json::from_str::<Value>(line) {
            Ok(Value::Object(fields)) => fields,
            Ok(_) => return Err(problem("expected a JSON object")),
            Err(error) => return Err(problem(&error.to_string())),
        };
        if metadata.is_none() {
            metadata = Some(read_metadata(&fields).ok_or_else(|| problem("expected the metadata"))?);
            continue;
        }
        match (fields.remove("network"), fields.remove("record")) {
            (Some(Value::String(network)), Some(record)) => networks.push((network, record)),
            _ => return Err(problem("expected a network and its record")),
        }
    }
    Ok((metadata.ok_or("expected the metadata in the first line")?, networks))
}

fn read_metadata(fields: &Map<String, Value>) -> Option<Metadata> {
    let mut languages = Vec::new();
    for language in fields.get("languages")?.as_array()? {
        languages.push(language.as_str()?.to_owned());
    }
    let mut description = Vec::new();
    if let Some(texts) = fields.get("description") {
        for (language, text) in texts.as_object()? {
            description.push((language.clone(), text.as_str()?.to_owned()));
        }
    }
    let database_type = fields.get("database_type")?.as_str()?.to_owned();
    if description.is_empty() {
        description.push(("en".to_owned(), database_type.clone())); // the form wants one at least
    }
    Some(Metadata {
        database_type,
        ip_version: fields.get("ip_version")?.as_u64()?.try_into().ok()?,
        record_size: fields.get("record_size")?.as_u64()?.try_into().ok()?,
        languages,
        build_epoch: fields.get("build_epoch")?.as_u64()?,
        description,
    })
}

/// The first `length` bits of an address, the first of them in the highest bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Prefix {
    bits: u128,
    length: u32,
}

impl Prefix {
    fn side(self, depth: u32) -> usize {
        usize::from((self.bits >> (127 - depth)) & 1 == 1)
    }
}

fn parse_network(text: &str, ip_version: u16) -> Result<Prefix, String> {
    let problem = |what: &str| format!("network {text}: {what}");
    let (address, length) = text.split_once('/').ok_or_else(|| problem("expected ADDRESS/LENGTH"))?;
    let address: IpAddr = address.parse().map_err(|_| problem("its address is none"))?;
    let length: u32 = length.parse().map_err(|_| problem("its length is no number"))?;
    let (bits, length, longest) = match (address, ip_version) {
        (IpAddr::V4(address), 4) => (u128::from(u32::from(address)) << 96, length, 32),
        (IpAddr::V4(address), _) => (u128::from(u32::from(address)), length.saturating_add(96), 128),
        (IpAddr::V6(_), 4) => return Err(problem("an IPv6 network in a database of version 4")),
        (IpAddr::V6(address), _) => (u128::from(address), length, 128),
    };
    if length > longest {
        return Err(problem("its length is too large"));
    }
    if length < 128 && bits << length != 0 {
        return Err(problem("bits are set beyond its length"));
    }
    Ok(Prefix { bits, length })
}

/// One side of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    Empty,
    Node(usize),
    Data(usize),
}

struct Tree {
    nodes: Vec<[Slot; 2]>,
}

impl Tree {
    /// Puts `slot` at the end of `prefix`, whatever lay there before. What covered more than the prefix goes on covering
    /// the rest.
    fn insert(&mut self, prefix: Prefix, slot: Slot) {
        if prefix.length == 0 {
            self.nodes[0] = [slot; 2];
            return;
        }
        let mut node = 0;
        for depth in 0..prefix.length - 1 {
            let side = prefix.side(depth);
            node = match self.nodes[node][side] {
                Slot::Node(next) => next,
                covering => {
                    let next = self.nodes.len();
                    self.nodes.push([covering; 2]);
                    self.nodes[node][side] = Slot::Node(next);
                    next
                }
            };
        }
        self.nodes[node][prefix.side(prefix.length - 1)] = slot;
    }

    fn at(&self, prefix: Prefix) -> Slot {
        let mut node = 0;
        for depth in 0..prefix.length {
            match self.nodes[node][prefix.side(depth)] {
                Slot::Node(next) => node = next,
                other => return other,
            }
        }
        Slot::Node(node)
    }

    fn to_bytes(&self, record_size: u16) -> Result<Vec<u8>, String> {
        let count = self.nodes.len();
        let mut bytes = Vec::with_capacity(count * usize::from(record_size) / 4 + 64);
        for node in &self.nodes {
            let mut records = [0_u32; 2];
            for (record, slot) in records.iter_mut().zip(node) {
                let number = match *slot {
                    Slot::Empty => count,
                    Slot::Node(next) => next,
                    Slot::Data(place) => count + 16 + place,
                };
                *record = u32::try_from(number)
                    .ok()
                    .filter(|number| record_size == 32 || number >> record_size == 0)
                    .ok_or_else(|| {
                        format!("record size {record_size} is too small for the networks given")
                    })?;
            }
            let [left, right] = records.map(u32::to_be_bytes);
            match record_size {
                24 => bytes.extend([left[1], left[2], left[3], right[1], right[2], right[3]]),
                28 => {
                    let highest = left[0] << 4 | right[0];
                    bytes.extend([left[1], left[2], left[3], highest, right[1], right[2], right[3]]);
                }
                _ => bytes.extend([left, right].concat()),
            }
        }
        Ok(bytes)
    }
}

/// The data section. A value that was written before is written as a pointer to it.
#[derive(Default)]
struct Data {
    bytes: Vec<u8>,
    places: HashMap<String, usize>,
}

impl Data {
    /// The place of a whole record.
    fn record(&mut self, value: &Value) -> Result<usize, String> {
        let text = value.to_string();
        if let Some(place) = self.places.get(&text) {
            return Ok(*place);
        }
        // A record must not be a pointer itself, so its place is where its own bytes begin.
        let place = self.bytes.len();
        self.value(value)?;
        Ok(place)
    }

    fn value(&mut self, value: &Value) -> Result<(), String> {
        match value {
            Value::Null => return Err("a null has no type in an address database".to_owned()),
            Value::Bool(truth) => write_control(&mut self.bytes, BOOLEAN, usize::from(*truth)),
            Value::Number(number) => write_number(&mut self.bytes, number)?,
            Value::String(text) => self.text(text),
            Value::Array(elements) => {
                if !self.written_before(value.to_string()) {
                    write_control(&mut self.bytes, ARRAY, elements.len());
                    for element in elements {
                        self.value(element)?;
                    }
                }
            }
            Value::Object(fields) => {
                if !self.written_before(value.to_string()) {
                    write_control(&mut self.bytes, MAP, fields.len());
                    for (key, field) in fields {
                        self.text(key);
                        self.value(field)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn text(&mut self, text: &str) {
        // A pointer is two to five bytes long: nothing is won with a shorter text.
        if text.len() < 3 || !self.written_before(Value::from(text).to_string()) {
            write_text(&mut self.bytes, text);
        }
    }

    /// Writes a pointer if the value has a place, else notes that it begins here.
    fn written_before(&mut self, value: String) -> bool {
        let here = self.bytes.len();
        match self.places.get(&value) {
            Some(place) => {
                write_pointer(&mut self.bytes, *place);
                true
            }
            None => {
                self.places.insert(value, here);
                false
            }
        }
    }
}

const POINTER: u8 = 1;
const TEXT: u8 = 2;
const DOUBLE: u8 = 3;
const UNSIGNED_16: u8 = 5;
const UNSIGNED_32: u8 = 6;
const MAP: u8 = 7;
const SIGNED_32: u8 = 8;
const UNSIGNED_64: u8 = 9;
const ARRAY: u8 = 11;
const BOOLEAN: u8 = 14;

/// The byte or bytes before a value: its type and size.
fn write_control(bytes: &mut Vec<u8>, kind: u8, size: usize) {
    let (short, rest): (u8, &[u8]) = match size {
        0..29 => (size as u8, &[]),
        29..285 => (29, &[(size - 29) as u8]),
        285..65_821 => (30, &((size - 285) as u16).to_be_bytes()),
        _ => (31, &((size - 65_821) as u32).to_be_bytes()[1..]),
    };
    if kind < 8 {
        bytes.push(kind << 5 | short);
    } else {
        bytes.extend([short, kind - 7]);
    }
    bytes.extend_from_slice(rest);
}

fn write_text(bytes: &mut Vec<u8>, text: &str) {
    write_control(bytes, TEXT, text.len());
    bytes.extend_from_slice(text.as_bytes());
}

fn write_number(bytes: &mut Vec<u8>, number: &serde_json::Number) -> Result<(), String> {
    if let Some(whole) = number.as_u64() {
        write_unsigned(bytes, if u32::try_from(whole).is_ok() { UNSIGNED_32 } else { UNSIGNED_64 }, whole);
    } else if let Some(whole) = number.as_i64() {
        let whole = i32::try_from(whole)
            .map_err(|_| format!("{number} is below what a signed 32-bit number holds"))?;
        write_control(bytes, SIGNED_32, 4);
        bytes.extend(whole.to_be_bytes());
    } else {
        let double = number.as_f64().ok_or_else(|| format!("{number} is no double"))?;
        write_control(bytes, DOUBLE, 8);
        bytes.extend(double.to_be_bytes());
    }
    Ok(())
}

/// An unsigned number is written without its leading zero bytes.
fn write_unsigned(bytes: &mut Vec<u8>, kind: u8, number: u64) {
    let zeros = number.leading_zeros() as usize / 8;
    write_control(bytes, kind, 8 - zeros);
    bytes.extend_from_slice(&number.to_be_bytes()[zeros..]);
}

fn write_pointer(bytes: &mut Vec<u8>, place: usize) {
    let (size, value, length) = match place {
        0..0x800 => (0, place, 1),
        0x800..0x8_0800 => (1, place - 0x800, 2),
        0x8_0800..0x808_0800 => (2, place - 0x8_0800, 3),
        _ => {
            bytes.push(POINTER << 5 | 3 << 3);
            // A place beyond 32 bits is refused when the tree is written.
            bytes.extend((place as u32).to_be_bytes());
            return;
        }
    };
    let value = (value as u32).to_be_bytes();
    let highest = value[3 - length] & 0b111;
    bytes.push(POINTER << 5 | size << 3 | highest);
    bytes.extend_from_slice(&value[4 - length..]);
}

/// Metadata stands outside the data section, so it has no pointers.
fn write_metadata(bytes: &mut Vec<u8>, metadata: &Metadata, node_count: usize) {
    write_control(bytes, MAP, 9);
    write_text(bytes, "binary_format_major_version");
    write_unsigned(bytes, UNSIGNED_16, 2);
    write_text(bytes, "binary_format_minor_version");
    write_unsigned(bytes, UNSIGNED_16, 0);
    write_text(bytes, "build_epoch");
    write_unsigned(bytes, UNSIGNED_64, metadata.build_epoch);
    write_text(bytes, "database_type");
    write_text(bytes, &metadata.database_type);
    write_text(bytes, "description");
    write_control(bytes, MAP, metadata.description.len());
    for (language, text) in &metadata.description {
        write_text(bytes, language);
        write_text(bytes, text);
    }
    write_text(bytes, "ip_version");
    write_unsigned(bytes, UNSIGNED_16, u64::from(metadata.ip_version));
    write_text(bytes, "languages");
    write_control(bytes, ARRAY, metadata.languages.len());
    for language in &metadata.languages {
        write_text(bytes, language);
    }
    write_text(bytes, "node_count");
    write_unsigned(bytes, UNSIGNED_32, node_count as u64);
    write_text(bytes, "record_size");
    write_unsigned(bytes, UNSIGNED_16, u64::from(metadata.record_size));
}
