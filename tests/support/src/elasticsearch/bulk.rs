//! Bulk requests: their lines, and the answer with one entry an item.

use serde_json::{Map, Value, json};

use super::faults::Faults;
use super::store::Store;

/// What an item asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Store, whatever lies there.
    Index,
    /// Store if nothing lies there.
    Create,
    /// Change.
    Update,
    /// Remove.
    Delete,
}

impl Action {
    fn name(self) -> &'static str {
        match self {
            Self::Index => "index",
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

/// One item of a bulk request.
#[derive(Clone, Debug)]
pub struct BulkItem {
    /// What it asks for.
    pub action: Action,
    /// The index that it goes to.
    pub index: String,
    /// The document's id, if the request has one.
    pub id: Option<String>,
    /// All that the action line says.
    pub parameters: Value,
    /// The document's line; empty for a delete.
    pub source: String,
    pub(super) external_version: Option<u64>,
}

/// The items of a body. An error is the reason why the whole request is refused.
pub(super) fn parse(body: &str, default_index: &str, store: &Store) -> Result<Vec<BulkItem>, String> {
    if body.is_empty() {
        return Err("request body is required".to_owned());
    }
    if !body.ends_with('\n') {
        return Err("The bulk request must be terminated by a newline [\\n]".to_owned());
    }
    let mut lines = body.split_terminator('\n');
    let (mut items, mut number) = (Vec::new(), 0);
    while let Some(line) = lines.next() {
        number += 1;
        let problem = |what: &str| format!("Malformed action/metadata line [{number}], {what}");
        let Ok(Value::Object(action)) = serde_json::from_str(line) else {
            return Err(problem("expected START_OBJECT"));
        };
        let mut action = action.into_iter();
        let (Some((name, parameters @ Value::Object(_))), None) = (action.next(), action.next()) else {
            return Err(problem("expected one field with an object"));
        };
        let action = match name.as_str() {
            "index" => Action::Index,
            "create" => Action::Create,
            "update" => Action::Update,
            "delete" => Action::Delete,
            _ => return Err(problem("expected field [create], [delete], [index] or [update]")),
        };
        let new = store.distribution.is_some() || store.version().0 >= 8;
        if new && parameters.get("_type").is_some() {
            return Err("Action/metadata line [1] contains an unknown parameter [_type]".to_owned());
        }
        let id = match &parameters["_id"] {
            Value::Null => None,
            Value::String(id) => Some(id.clone()),
            other => Some(other.to_string()),
        };
        if let Some(id) = &id
            && id.len() > 512
        {
            return Err(format!("id is too long, must be no longer than 512 bytes but was: {}", id.len()));
        }
        let index = parameters["_index"].as_str().unwrap_or(default_index).to_owned();
        let version = &parameters["version"];
        let version = version.as_u64().or_else(|| version.as_str().and_then(|text| text.parse().ok()));
        let external = parameters["version_type"].as_str().is_some_and(|kind| kind.starts_with("external"));
        let external_version = version.filter(|_| external);
        let source = if action == Action::Delete {
            String::new()
        } else {
            number += 1;
            lines.next().ok_or("The bulk request must be terminated by a newline [\\n]")?.to_owned()
        };
        items.push(BulkItem { action, index, id, parameters, source, external_version });
    }
    Ok(items)
}

/// Stores the items, as far as the faults let them, and answers the body of the response.
pub(super) fn store(items: Vec<BulkItem>, store: &mut Store, faults: &mut Faults, query: &str) -> Value {
    let wanted = item_fields(query);
    let mut any_error = false;
    let mut entries = Vec::with_capacity(items.len());
    for mut item in items {
        let fault = faults.items.as_mut().and_then(|rule| rule(&item));
        let stored = match fault {
            Some(fault) => {
                faults.items_failed += 1;
                Err(fault)
            }
            None => store.apply(&mut item),
        };
        let mut entry = json!({"_index": item.index, "_type": "_doc", "_id": item.id});
        match stored {
            Ok(stored) => {
                entry["_version"] = stored.version.into();
                entry["result"] = stored.result.into();
                entry["status"] = stored.status.into();
            }
            Err(fault) => {
                any_error = true;
                entry["status"] = fault.status.into();
                entry["error"] = json!({"type": fault.kind, "reason": fault.reason, "index": item.index});
            }
        }
        if let (Some(wanted), Value::Object(fields)) = (&wanted, &mut entry) {
            fields.retain(|name, _| wanted.iter().any(|field| field == name));
        }
        entries.push(Value::Object(Map::from_iter([(item.action.name().to_owned(), entry)])));
    }
    match wanted {
        None => json!({"took": 1, "errors": any_error, "items": entries}),
        Some(_) => json!({"errors": any_error, "items": entries}),
    }
}

/// The fields of items that a `filter_path` like `errors,items.*.status` leaves.
fn item_fields(query: &str) -> Option<Vec<String>> {
    let path = query.split('&').find_map(|pair| pair.strip_prefix("filter_path="))?;
    let path = path.replace("%2C", ",").replace("%2A", "*");
    Some(path.split(',').filter_map(|part| part.strip_prefix("items.*.")).map(str::to_owned).collect())
}
