//! What a filter gets from its host, in a program that is no component: fixed by a test, one set a thread.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::boundary::columns::{Cell, Column, Texts};
use crate::boundary::weir::filter::patterns::{Found as FoundInTexts, Replaced as ReplacedTexts};
use crate::host::Level;
use crate::incoming::{KERNEL_PLACE, NO_VALUE};

/// Answers what is stored for an address at a path, or `None`; for the path `["@ip"]`, whether the address is there.
pub type Lookup = Rc<dyn Fn(&str, &[String]) -> Option<serde_json::Value>>;
/// Opens an address database: its type, and what answers for it.
pub type OpenAddresses = Rc<dyn Fn(&str) -> Result<(String, Lookup), String>>;
/// Compiles a pattern.
pub type CompilePattern = Rc<dyn Fn(&str) -> Result<Rc<dyn PatternFunctions>, String>>;

/// A regular expression, as a test supplies it.
pub trait PatternFunctions {
    /// The names of its groups, by number.
    fn names(&self) -> Vec<String>;
    /// The places of its groups in a text, if it matches.
    fn captures(&self, text: &str) -> Result<Option<Vec<Option<std::ops::Range<usize>>>>, String>;
    /// The text with every match replaced; `None` if there is no match.
    fn replace_all(&self, text: &str, replacement: &str) -> Result<Option<String>, String>;
}

#[derive(Default)]
struct Host {
    now: i64,
    random: u64,
    log: Vec<(Level, String)>,
    counts: BTreeMap<String, u64>,
    addresses: Option<OpenAddresses>,
    patterns: Option<CompilePattern>,
    kernel_text: String,
}

thread_local! {
    static HOST: RefCell<Host> = RefCell::default();
}

/// What `now` answers from here on, in nanoseconds since 1970.
pub fn set_now(now: i64) {
    HOST.with_borrow_mut(|host| host.now = now);
}

/// Where the random numbers begin.
pub fn set_seed(seed: u64) {
    HOST.with_borrow_mut(|host| host.random = seed);
}

/// What opens address databases from here on.
pub fn install_addresses(open: OpenAddresses) {
    HOST.with_borrow_mut(|host| host.addresses = Some(open));
}

/// What opens address databases at present.
pub(crate) fn installed_addresses() -> Option<OpenAddresses> {
    HOST.with_borrow(|host| host.addresses.clone())
}

/// Goes back to what opened them before.
pub(crate) fn restore_addresses(open: Option<OpenAddresses>) {
    HOST.with_borrow_mut(|host| host.addresses = open);
}

/// Whether a text matches a pattern; `None` where no patterns are installed.
pub(crate) fn matches(pattern: &str, text: &str) -> Option<bool> {
    let compile = HOST.with_borrow(|host| host.patterns.clone())?;
    Some(compile(pattern).and_then(|pattern| pattern.captures(text)).is_ok_and(|found| found.is_some()))
}

/// What compiles patterns from here on.
pub fn install_patterns(compile: CompilePattern) {
    HOST.with_borrow_mut(|host| host.patterns = Some(compile));
}

/// What was logged since the last call.
pub fn take_log() -> Vec<(Level, String)> {
    HOST.with_borrow_mut(|host| std::mem::take(&mut host.log))
}

/// What was counted since the last call.
pub fn take_counts() -> BTreeMap<String, u64> {
    HOST.with_borrow_mut(|host| std::mem::take(&mut host.counts))
}

/// Forgets the texts that kernels answered in the batch before.
pub(crate) fn begin_batch() {
    HOST.with_borrow_mut(|host| host.kernel_text.clear());
}

/// The text at a place that a kernel answered.
pub(crate) fn kernel_text(start: u32, length: u32) -> Option<String> {
    let start = (start & !KERNEL_PLACE) as usize;
    HOST.with_borrow(|host| host.kernel_text.get(start..start + length as usize).map(str::to_owned))
}

pub(crate) fn now() -> i64 {
    HOST.with_borrow(|host| host.now)
}

pub(crate) fn log(level: Level, message: &str) {
    HOST.with_borrow_mut(|host| host.log.push((level, message.to_owned())));
}

pub(crate) fn count(metric: &str, by: u64) {
    HOST.with_borrow_mut(|host| *host.counts.entry(metric.to_owned()).or_default() += by);
}

/// xorshift64*: good enough for a test, and the same everywhere.
pub(crate) fn random(bytes: u32) -> Vec<u8> {
    HOST.with_borrow_mut(|host| {
        (0..bytes)
            .map(|_| {
                let mut state = host.random | 1;
                state ^= state >> 12;
                state ^= state << 25;
                state ^= state >> 27;
                host.random = state;
                (state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 56) as u8
            })
            .collect()
    })
}

/// An address database of a test.
pub(crate) struct NativeDatabase {
    kind: String,
    lookup: Lookup,
}

impl std::fmt::Debug for NativeDatabase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("NativeDatabase").field(&self.kind).finish()
    }
}

impl NativeDatabase {
    pub(crate) fn open(path: &str) -> Result<Self, String> {
        let open = HOST.with_borrow(|host| host.addresses.clone());
        let open = open.ok_or_else(|| "no address databases are installed in this test".to_owned())?;
        let (kind, lookup) = open(path)?;
        Ok(NativeDatabase { kind, lookup })
    }

    pub(crate) fn kind(&self) -> String {
        self.kind.clone()
    }

    pub(crate) fn lookup(
        &self,
        addresses: &Texts,
        text: &str,
        paths: &[Vec<String>],
    ) -> (Vec<u8>, Vec<Column>) {
        let count = addresses.lens.len();
        let mut found = crate::RowMask::none(count);
        let mut columns = vec![Vec::new(); paths.len()];
        for (row, (start, length)) in addresses.starts.iter().zip(&addresses.lens).enumerate() {
            let Some(address) = place(text, *start, *length) else { continue };
            if (self.lookup)(address, &["@ip".to_owned()]).is_none() {
                continue;
            }
            found.insert(row);
            for (column, path) in columns.iter_mut().zip(paths) {
                if let Some(value) = (self.lookup)(address, path) {
                    column.push((row as u32, kernel_cell(&value)));
                }
            }
        }
        let columns = columns.into_iter().map(|cells| column_of(cells, count)).collect();
        (found.into_bytes(), columns)
    }
}

/// A regular expression of a test.
pub(crate) struct NativePattern(Rc<dyn PatternFunctions>);

impl std::fmt::Debug for NativePattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NativePattern")
    }
}

impl NativePattern {
    pub(crate) fn compile(pattern: &str) -> Result<Self, String> {
        let compile = HOST.with_borrow(|host| host.patterns.clone());
        compile.ok_or_else(|| "no patterns are installed in this test".to_owned())?(pattern)
            .map(NativePattern)
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.0.names()
    }

    pub(crate) fn captures(&self, input: &Texts, text: &str) -> FoundInTexts {
        let rows = input.lens.len();
        let mut found = FoundInTexts { groups: Vec::new(), errors: Vec::new() };
        for (row, (start, length)) in input.starts.iter().zip(&input.lens).enumerate() {
            let Some(part) = place(text, *start, *length) else { continue };
            let captures = match self.0.captures(part) {
                Ok(captures) => captures.unwrap_or_default(),
                Err(error) => {
                    found.errors.push((row as u32, error));
                    continue;
                }
            };
            while found.groups.len() < captures.len() {
                found.groups.push(Texts { starts: vec![0; rows], lens: vec![NO_VALUE; rows] });
            }
            for (group, range) in found.groups.iter_mut().zip(captures) {
                if let Some(range) = range {
                    group.starts[row] = start + range.start as u32;
                    group.lens[row] = range.len() as u32;
                }
            }
        }
        found
    }

    pub(crate) fn replace_all(&self, input: &Texts, text: &str, replacements: &Texts) -> ReplacedTexts {
        let mut replaced = ReplacedTexts { text: Vec::new(), places: input.clone(), errors: Vec::new() };
        for (row, (start, length)) in input.starts.iter().zip(&input.lens).enumerate() {
            let Some(part) = place(text, *start, *length) else { continue };
            let replacement =
                place(text, replacements.starts[row], replacements.lens[row]).unwrap_or_default();
            match self.0.replace_all(part, replacement) {
                Ok(None) => {}
                Ok(Some(new)) => {
                    replaced.places.starts[row] = (text.len() + replaced.text.len()) as u32;
                    replaced.places.lens[row] = new.len() as u32;
                    replaced.text.extend(new.as_bytes());
                }
                Err(error) => {
                    replaced.places.lens[row] = NO_VALUE;
                    replaced.errors.push((row as u32, error));
                }
            }
        }
        replaced
    }
}

fn place(text: &str, start: u32, length: u32) -> Option<&str> {
    if length == NO_VALUE {
        return None;
    }
    text.get(start as usize..start as usize + length as usize)
}

fn kernel_place(text: &str) -> (u32, u32) {
    HOST.with_borrow_mut(|host| {
        let start = host.kernel_text.len() as u32 | KERNEL_PLACE;
        host.kernel_text.push_str(text);
        (start, text.len() as u32)
    })
}

fn kernel_cell(value: &serde_json::Value) -> Cell {
    use serde_json::Value;
    match value {
        Value::Null => Cell::Null,
        Value::Bool(value) => Cell::Boolean(*value),
        Value::Number(number) => match crate::Value::from_json_number(&number.to_string()) {
            crate::Value::Integer(number) => Cell::Integer(number),
            crate::Value::Float(number) => Cell::Float(number),
            _ => Cell::Json(kernel_place(&number.to_string())),
        },
        Value::String(text) => Cell::Text(kernel_place(text)),
        other => Cell::Json(kernel_place(&other.to_string())),
    }
}

/// A column of texts or doubles where all cells are, as the host's kernel answers; else a mixed one.
fn column_of(cells: Vec<(u32, Cell)>, rows: usize) -> Column {
    if cells.is_empty() {
        return Column::Absent;
    }
    if !cells.iter().all(|(_, cell)| matches!(cell, Cell::Text(_))) {
        return Column::Mixed(cells);
    }
    let mut texts = Texts { starts: vec![0; rows], lens: vec![NO_VALUE; rows] };
    for (row, cell) in cells {
        if let Cell::Text((start, length)) = cell {
            texts.starts[row as usize] = start;
            texts.lens[row as usize] = length;
        }
    }
    Column::Text(texts)
}
