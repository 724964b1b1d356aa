//! What the fake server holds: documents and templates.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::bulk::{Action, BulkItem};
use super::faults::ItemFault;

/// A document as it lies in an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredDocument {
    /// 1 for a document written once.
    pub version: u64,
    /// The JSON as it was sent; empty where [`super::Faults::forget_documents`] is set.
    pub source: Arc<str>,
    /// SHA-256 of the JSON as it was sent.
    pub hash: [u8; 32],
}

impl StoredDocument {
    /// The document's fields.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.source).unwrap_or(Value::Null)
    }
}

pub(super) struct Store {
    pub(super) number: String,
    pub(super) distribution: Option<String>,
    pub(super) indices: BTreeMap<String, BTreeMap<String, StoredDocument>>,
    /// What searches see: the indices as they were when they were refreshed last.
    pub(super) searchable: BTreeMap<String, BTreeMap<String, StoredDocument>>,
    pub(super) templates: BTreeMap<String, Value>,
    pub(super) keep_sources: bool,
    ids_made: u64,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            number: "7.1.1".to_owned(),
            distribution: None,
            indices: BTreeMap::new(),
            searchable: BTreeMap::new(),
            templates: BTreeMap::new(),
            keep_sources: true,
            ids_made: 0,
        }
    }
}

/// How an item went: its status, what became of it, and the document's version.
pub(super) struct Stored {
    pub(super) status: u16,
    pub(super) result: &'static str,
    pub(super) version: u64,
}

impl Store {
    /// Major and minor version.
    pub(super) fn version(&self) -> (u32, u32) {
        let mut parts = self.number.split('.').map(|part| part.parse().unwrap_or(0));
        (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
    }

    /// Does what a bulk item asks for; the item gets an id if it has none.
    pub(super) fn apply(&mut self, item: &mut BulkItem) -> Result<Stored, ItemFault> {
        let invalid = |reason: String| ItemFault::new(400, "illegal_argument_exception", &reason);
        if item.index.is_empty()
            || item.index.chars().any(|letter| letter.is_uppercase() || " \"*,/<>?\\|#".contains(letter))
        {
            let reason = format!("Invalid index name [{}], must be lowercase", item.index);
            return Err(ItemFault::new(400, "invalid_index_name_exception", &reason));
        }
        let id = match &item.id {
            Some(id) => id.clone(),
            None if matches!(item.action, Action::Index | Action::Create) => {
                self.ids_made += 1;
                let id = format!("made{:016}", self.ids_made);
                item.id = Some(id.clone());
                id
            }
            None => return Err(invalid("an id is required for a delete or update".to_owned())),
        };
        let source = match item.action {
            Action::Delete => String::new(),
            _ => {
                let document: Result<serde::de::IgnoredAny, _> = serde_json::from_str(&item.source);
                if document.is_err() || !item.source.trim_start().starts_with('{') {
                    return Err(ItemFault::new(400, "mapper_parsing_exception", "failed to parse"));
                }
                item.source.clone()
            }
        };
        let there = self.indices.get(&item.index).and_then(|index| index.get(&id));
        let version = there.map_or(0, |document| document.version);
        let conflict = |reason: String| ItemFault::new(409, "version_conflict_engine_exception", &reason);
        let (source, next) = match item.action {
            Action::Create if there.is_some() => {
                let reason = format!(
                    "[{id}]: version conflict, document already exists (current version [{version}])"
                );
                return Err(conflict(reason));
            }
            Action::Index | Action::Create => match item.external_version {
                Some(external) if there.is_some() && external <= version => {
                    let reason = format!(
                        "[{id}]: version conflict, current version [{version}] is higher or equal to the one provided [{external}]"
                    );
                    return Err(conflict(reason));
                }
                Some(external) => (source, external),
                None => (source, version + 1),
            },
            Action::Update => (updated(there, &source, &id)?, version + 1),
            Action::Delete => {
                let index = self.indices.entry(item.index.clone()).or_default();
                return Ok(match index.remove(&id) {
                    Some(document) => {
                        Stored { status: 200, result: "deleted", version: document.version + 1 }
                    }
                    None => Stored { status: 404, result: "not_found", version: 1 },
                });
            }
        };
        let (status, result) = if there.is_some() { (200, "updated") } else { (201, "created") };
        let hash = Sha256::digest(source.as_bytes()).into();
        let source: Arc<str> = if self.keep_sources { source.into() } else { "".into() };
        let document = StoredDocument { version: next, source, hash };
        self.indices.entry(item.index.clone()).or_default().insert(id, document);
        Ok(Stored { status, result, version: next })
    }
}

/// What an update makes of a document: `doc` is merged in, `upsert` (or `doc`, with `doc_as_upsert`) stands in for a
/// document that is not there.
fn updated(there: Option<&StoredDocument>, request: &str, id: &str) -> Result<String, ItemFault> {
    let request: Value = serde_json::from_str(request).unwrap_or(Value::Null);
    let new = match there {
        Some(document) => {
            let mut fields = document.json();
            merge(&mut fields, &request["doc"]);
            fields
        }
        None if request["doc_as_upsert"] == Value::Bool(true) => request["doc"].clone(),
        None if request["upsert"].is_object() => request["upsert"].clone(),
        None => {
            return Err(ItemFault::new(
                404,
                "document_missing_exception",
                &format!("[_doc][{id}]: document missing"),
            ));
        }
    };
    Ok(new.to_string())
}

fn merge(fields: &mut Value, changes: &Value) {
    match (fields, changes) {
        (Value::Object(fields), Value::Object(changes)) => {
            for (key, change) in changes {
                merge(fields.entry(key.clone()).or_insert(Value::Null), change);
            }
        }
        (field, change) => *field = change.clone(),
    }
}
