//! Bulk bodies: two lines for each event, written straight from the columns, cut where the next event would make a body
//! too long. An event that cannot be asked for as it is (its index name has no end, its action is none) is taken out with
//! the reason. Parts of a body can be sent again without being made again.

use std::borrow::Cow;
use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value as Json;
use weir_filter::Template;

use super::actions::{Action, ActionChoice, ActionOptions, IndexChoice};
use super::client::Payload;
use super::response::Sent;
use super::server::{Server, hexadecimal_sha256};
use crate::event::json_values::write_text;
use crate::event::{Batch, Documents, FieldReference, fields};
use crate::output::Rendered;
use crate::output::text::{RowText, text_of};

/// Elasticsearch refuses a whole request for an id longer than this.
const ID_BYTES: usize = 512;

/// A batch as requests.
#[derive(Default)]
pub(super) struct Bulk {
    /// The requests, in the order of their events.
    pub requests: Vec<BulkBody>,
    /// Events that cannot be asked for, with the reason.
    pub rejected: Vec<(usize, String)>,
}

/// The body of one request.
#[derive(Clone, Debug, Default)]
pub(super) struct BulkBody {
    bytes: Bytes,
    /// What each item of the answer is about.
    pub items: Vec<Item>,
}

/// An event in a body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item {
    /// Its row in the batch.
    pub row: usize,
    /// What was asked for.
    pub sent: Sent,
    /// Its lines in the body.
    start: usize,
    end: usize,
}

impl BulkBody {
    /// Its length before it is compressed.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// A body of some of the items; they come in the same order.
    pub(super) fn part(&self, items: &[Item]) -> BulkBody {
        let mut bytes = Vec::with_capacity(items.iter().map(|item| item.end - item.start).sum());
        let mut kept = Vec::with_capacity(items.len());
        for item in items {
            let start = bytes.len();
            bytes.extend_from_slice(&self.bytes[item.start..item.end]);
            kept.push(Item { start, end: bytes.len(), ..*item });
        }
        BulkBody { bytes: bytes.into(), items: kept }
    }

    /// The body as it goes over the network. `level` 0 sends it as it is.
    pub(super) fn payload(&self, level: u32, with_hash: bool) -> Payload {
        let mut bytes = self.bytes.clone();
        let mut is_gzip = false;
        if level > 0 {
            let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 8), Compression::new(level));
            // Writing to memory does not fail.
            if let Ok(packed) = encoder.write_all(&bytes).and_then(|()| encoder.finish()) {
                bytes = packed.into();
                is_gzip = true;
            }
        }
        let sha256 = with_hash.then(|| hexadecimal_sha256(&bytes));
        Payload { bytes, is_gzip, sha256 }
    }
}

/// Makes a batch's requests. `expected` is about how many bytes its events take in all.
pub(super) fn build(
    options: &ActionOptions,
    server: &Server,
    batch: &Batch,
    bulk_bytes: usize,
    expected: usize,
) -> Bulk {
    let batch = prepared(options, batch);
    let mut lines = Lines::new(options, server, &batch);
    let mut bulk = Bulk::default();
    let mut body = Vec::with_capacity(expected.min(bulk_bytes));
    let mut items = Vec::new();
    for row in 0..batch.rows() {
        let start = body.len();
        let sent = match lines.write(row, &mut body) {
            Ok(sent) => sent,
            Err(reason) => {
                body.truncate(start);
                bulk.rejected.push((row, reason));
                continue;
            }
        };
        if body.len() > bulk_bytes && start > 0 {
            let rest = body.split_off(start);
            bulk.requests.push(BulkBody { bytes: body.into(), items: std::mem::take(&mut items) });
            body = rest;
        }
        let start = items.last().map_or(0, |item: &Item| item.end);
        items.push(Item { row, sent, start, end: body.len() });
    }
    if !items.is_empty() {
        bulk.requests.push(BulkBody { bytes: body.into(), items });
    }
    bulk
}

/// What the action line of each event says, in order; an error is why the event cannot be asked for.
pub(super) fn preview(options: &ActionOptions, server: &Server, batch: &Batch) -> Vec<Rendered> {
    let batch = prepared(options, batch);
    let mut lines = Lines::new(options, server, &batch);
    let mut previews = Vec::with_capacity(batch.rows());
    let mut text = Vec::new();
    for row in 0..batch.rows() {
        text.clear();
        previews.push(lines.write(row, &mut text).map(|_| {
            let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
            let line = serde_json::from_slice::<serde_json::Map<String, Json>>(line).unwrap_or_default();
            let mut rendered = Vec::new();
            for (action, parts) in line {
                rendered.push(("action".to_owned(), Json::from(action)));
                for (key, value) in parts.as_object().into_iter().flatten() {
                    let name = match key.as_str() {
                        "_id" => "document_id",
                        other => other.trim_start_matches('_'),
                    };
                    rendered.push((name.to_owned(), value.clone()));
                }
            }
            rendered
        }));
    }
    previews
}

/// The events as they are stored: a data stream's fields and a child's join field are written into them.
fn prepared<'b>(options: &ActionOptions, batch: &'b Batch) -> Cow<'b, Batch> {
    if let IndexChoice::DataStream(data_stream) = &options.index {
        return data_stream.with_fields(batch);
    }
    let Some((join_field, parent)) = &options.join else { return Cow::Borrowed(batch) };
    let mut joined = batch.clone();
    let parents = RowText::new(parent, batch);
    for row in 0..batch.rows() {
        let mut parent = String::new();
        // A parent that cannot be told is an error of the event's lines.
        if parents.render(row, &mut parent).is_err() {
            continue;
        }
        let name = fields::whole(batch, row, join_field).unwrap_or_default();
        let value = serde_json::json!({"name": name, "parent": parent});
        if let Err(error) = fields::set_json(&mut joined, row, join_field, &value) {
            tracing::debug!("cannot set {join_field}: {error}");
        }
    }
    Cow::Owned(joined)
}

/// Writes the lines of a batch's events.
struct Lines<'b> {
    options: &'b ActionOptions,
    batch: &'b Batch,
    documents: Documents<'b>,
    sends_type: bool,
    index: Option<RowText<'b>>,
    action: Option<RowText<'b>>,
    document_id: Option<RowText<'b>>,
    routing: Option<RowText<'b>>,
    pipeline: Option<RowText<'b>>,
    version: Option<RowText<'b>>,
    document_type: Option<RowText<'b>>,
    join_parent: Option<RowText<'b>>,
    parent: Option<RowText<'b>>,
    upsert: Option<RowText<'b>>,
    script: Option<RowText<'b>>,
    /// Whether any event has `[@metadata][_ingest_document]`, which fills options that are not set.
    has_ingest_document: bool,
    has_target_pipeline: bool,
    /// The name of the index that was good for the last event, and as JSON: most events of a batch go into one.
    last_index: (String, Vec<u8>),
    scratch: String,
}

impl<'b> Lines<'b> {
    fn new(options: &'b ActionOptions, server: &Server, batch: &'b Batch) -> Self {
        let bound =
            |template: &'b Option<Template>| template.as_ref().map(|template| RowText::new(template, batch));
        let index = match &options.index {
            IndexChoice::Named(template, _) => Some(RowText::new(template, batch)),
            IndexChoice::DataStream(_) => None,
        };
        let action = match &options.action {
            ActionChoice::ByTemplate(template) => Some(RowText::new(template, batch)),
            ActionChoice::Unset | ActionChoice::Always(_) => None,
        };
        let has_ingest_document = batch.names().ids().any(|id| {
            let fragments = batch.names().reference(id).fragments();
            batch.column(id).is_some() && matches!(fragments, [first, second, _] if first == "@metadata" && second == "_ingest_document")
        });
        Lines {
            options,
            batch,
            documents: Documents::new(batch),
            sends_type: !server.is_opensearch && server.version.0 == 7,
            index,
            action,
            document_id: bound(&options.document_id),
            routing: bound(&options.routing),
            pipeline: bound(&options.pipeline),
            version: bound(&options.version),
            document_type: bound(&options.document_type),
            join_parent: options.join.as_ref().map(|(_, parent)| RowText::new(parent, batch)),
            parent: bound(&options.parent),
            upsert: bound(&options.upsert),
            script: bound(&options.update.script),
            has_ingest_document,
            has_target_pipeline: batch
                .names()
                .get(&target_pipeline())
                .is_some_and(|id| batch.column(id).is_some()),
            last_index: (String::new(), Vec::new()),
            scratch: String::new(),
        }
    }

    fn write(&mut self, row: usize, out: &mut Vec<u8>) -> Result<Sent, String> {
        let identity = self.batch.identity(row);
        let given_id = match &self.document_id {
            Some(_) => None,
            None => self.ingest_document(row, "id"),
        };
        let default_id = self.document_id.is_none() && given_id.is_none() && identity != 0;
        let action = match &self.options.action {
            ActionChoice::Always(action) => *action,
            ActionChoice::Unset if default_id => Action::Create,
            ActionChoice::Unset => Action::Index,
            ActionChoice::ByTemplate(_) => {
                let name = rendered(&self.action, row, &mut self.scratch)?.unwrap_or_default();
                Action::from_name(name).ok_or_else(|| format!("there is no action {name:?}"))?
            }
        };
        out.extend_from_slice(b"{\"");
        out.extend_from_slice(action.name().as_bytes());
        out.extend_from_slice(b"\":{\"_index\":");
        self.write_index(row, out)?;

        if default_id {
            out.extend_from_slice(b",\"_id\":\"");
            let mut text = [0_u8; 22];
            // 16 bytes are 22 letters.
            let length = URL_SAFE_NO_PAD.encode_slice(identity.to_be_bytes(), &mut text).unwrap_or(0);
            out.extend_from_slice(&text[..length]);
            out.push(b'"');
        } else if let Some(id) = &given_id {
            check_id(&text_of(id).unwrap_or_default())?;
            write_value("_id", id, out);
        } else if let Some(id) = rendered(&self.document_id, row, &mut self.scratch)? {
            check_id(id)?;
            write_member("_id", id, out);
        } else if action == Action::Update || action == Action::Delete {
            return Err(format!("action {:?} needs a document id", action.name()));
        }
        self.write_rest_of_line(row, action, out)?;
        out.extend_from_slice(b"}}\n");

        match action {
            Action::Delete => {}
            Action::Index | Action::Create => {
                self.documents.write(row, out);
                out.push(b'\n');
            }
            Action::Update => {
                self.write_update(row, out)?;
                out.push(b'\n');
            }
        }
        Ok(Sent {
            creates_by_identity: default_id && action == Action::Create,
            deletes: action == Action::Delete,
        })
    }

    fn write_index(&mut self, row: usize, out: &mut Vec<u8>) -> Result<(), String> {
        let is_default = match &self.options.index {
            IndexChoice::DataStream(data_stream) => {
                let name = data_stream.name(self.batch, row);
                if self.options.refuses_unresolved_index && has_reference(&name) {
                    return Err(format!("the data stream's name {name:?} has a reference in it"));
                }
                write_text(&name, out);
                return Ok(());
            }
            IndexChoice::Named(_, is_default) => *is_default,
        };
        if is_default && let Some(index) = self.ingest_document(row, "index") {
            out.extend_from_slice(index.to_string().as_bytes());
            return Ok(());
        }
        let index = rendered(&self.index, row, &mut self.scratch)?.unwrap_or_default();
        if !index.is_empty() && index == self.last_index.0 {
            out.extend_from_slice(&self.last_index.1);
            return Ok(());
        }
        if self.options.refuses_unresolved_index && has_reference(index) {
            return Err(format!(
                "the index name {index:?} has a reference to a field that the event does not have"
            ));
        }
        if index.is_empty() {
            return Err("its index name is empty".to_owned());
        }
        self.last_index.0.clear();
        self.last_index.0.push_str(index);
        self.last_index.1.clear();
        write_text(index, &mut self.last_index.1);
        out.extend_from_slice(&self.last_index.1);
        Ok(())
    }

    fn write_rest_of_line(&mut self, row: usize, action: Action, out: &mut Vec<u8>) -> Result<(), String> {
        if let Some(parent) = rendered(&self.parent, row, &mut self.scratch)? {
            write_member("parent", parent, out);
        }
        if let Some(parent) = rendered(&self.join_parent, row, &mut self.scratch)? {
            write_member("routing", parent, out);
        } else if let Some(routing) = rendered(&self.routing, row, &mut self.scratch)? {
            write_member("routing", routing, out);
        } else if let Some(routing) = self.ingest_document(row, "routing") {
            write_value("routing", &routing, out);
        }
        if let Some(pipeline) = rendered(&self.pipeline, row, &mut self.scratch)? {
            write_pipeline(pipeline, out);
        } else if let Some(pipeline) = self.ingest_document(row, "pipeline") {
            write_pipeline(&text_of(&pipeline).unwrap_or_default(), out);
        } else if self.has_target_pipeline
            && let Some(pipeline) =
                fields::whole(self.batch, row, &target_pipeline()).and_then(|value| text_of(&value))
        {
            let template = Template::parse(&pipeline);
            self.scratch.clear();
            RowText::new(&template, self.batch).render(row, &mut self.scratch)?;
            write_pipeline(&self.scratch, out);
        }
        if self.sends_type
            && let Some(kind) = rendered(&self.document_type, row, &mut self.scratch)?
        {
            write_member("_type", kind, out);
        }
        let is_data_stream = matches!(self.options.index, IndexChoice::DataStream(_));
        if let Some(version) = rendered(&self.version, row, &mut self.scratch)? {
            write_member("version", version, out);
        } else if !is_data_stream && let Some(version) = self.ingest_document(row, "version") {
            write_value("version", &version, out);
        }
        if let Some(kind) = &self.options.version_type {
            write_member("version_type", kind, out);
        } else if !is_data_stream && let Some(kind) = self.ingest_document(row, "version_type") {
            write_value("version_type", &kind, out);
        }
        if action == Action::Update {
            // Writing to memory does not fail.
            let _ = write!(out, ",\"retry_on_conflict\":{}", self.options.retry_on_conflict);
        }
        Ok(())
    }

    /// The second line of an update. Scripts and upserts by the event belong to the literal action only, as in Logstash.
    fn write_update(&mut self, row: usize, out: &mut Vec<u8>) -> Result<(), String> {
        let literal = matches!(self.options.action, ActionChoice::Always(Action::Update));
        let update = &self.options.update;
        if literal && let Some(script) = rendered(&self.script, row, &mut self.scratch)? {
            out.extend_from_slice(b"{\"script\":{\"params\":{");
            write_text(&update.script_var_name, out);
            out.push(b':');
            self.documents.write(row, out);
            out.push(b'}');
            write_member(update.script_key, script, out);
            if !update.script_lang.is_empty() {
                write_member("lang", &update.script_lang, out);
            }
            out.push(b'}');
            if update.scripted_upsert {
                out.extend_from_slice(b",\"scripted_upsert\":true,\"upsert\":{}");
            } else if update.doc_as_upsert {
                out.extend_from_slice(b",\"upsert\":");
                self.documents.write(row, out);
            } else {
                self.write_upsert(row, out)?;
            }
        } else {
            out.extend_from_slice(b"{\"doc\":");
            self.documents.write(row, out);
            if literal && update.doc_as_upsert {
                out.extend_from_slice(b",\"doc_as_upsert\":true");
            } else {
                self.write_upsert(row, out)?;
            }
        }
        out.push(b'}');
        Ok(())
    }

    fn write_upsert(&mut self, row: usize, out: &mut Vec<u8>) -> Result<(), String> {
        let Some(text) = rendered(&self.upsert, row, &mut self.scratch)? else { return Ok(()) };
        let json: Json =
            serde_json::from_str(text).map_err(|error| format!("its `upsert` is no JSON: {error}"))?;
        // Writing to memory does not fail.
        let _ = write!(out, ",\"upsert\":{json}");
        Ok(())
    }

    /// A value of `[@metadata][_ingest_document]`, which an input or filter may have left there. It is sent as it is.
    fn ingest_document(&self, row: usize, key: &str) -> Option<Json> {
        if !self.has_ingest_document {
            return None;
        }
        let reference = FieldReference::from_fragments(["@metadata", "_ingest_document", key]);
        let value = fields::whole(self.batch, row, &reference)?;
        Some(value).filter(|value| !matches!(value, Json::Null | Json::Bool(false)))
    }
}

fn target_pipeline() -> FieldReference {
    FieldReference::from_fragments(["@metadata", "target_ingest_pipeline"])
}

/// A row's text; `None` where the option is not set.
fn rendered<'s>(
    text: &Option<RowText<'_>>,
    row: usize,
    scratch: &'s mut String,
) -> Result<Option<&'s str>, String> {
    let Some(text) = text else { return Ok(None) };
    scratch.clear();
    text.render(row, scratch)?;
    Ok(Some(scratch))
}

fn write_member(key: &str, text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(b"\":");
    write_text(text, out);
}

fn write_value(key: &str, value: &Json, out: &mut Vec<u8>) {
    // Writing to memory does not fail.
    let _ = write!(out, ",\"{key}\":{value}");
}

fn check_id(id: &str) -> Result<(), String> {
    if id.is_empty() || id.len() > ID_BYTES {
        return Err(format!("its document id has {} bytes; 1 to {ID_BYTES} are allowed", id.len()));
    }
    Ok(())
}

/// An empty pipeline is none.
fn write_pipeline(pipeline: &str, out: &mut Vec<u8>) {
    if !pipeline.is_empty() {
        write_member("pipeline", pipeline, out);
    }
}

/// Whether a `%{…}` is left in a text.
fn has_reference(text: &str) -> bool {
    text.find("%{").is_some_and(|start| text[start..].contains('}'))
}
