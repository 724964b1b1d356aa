//! Searching as an audit does it: refreshes, `ids` queries and counts of a span of `@timestamp`, over patterns of names.
//! As with the real server, a search sees what was refreshed, finds ten documents unless it says a size, refuses more than
//! 10,000, and an index that is named and not there is an error unless `ignore_unavailable` says otherwise.

use serde_json::{Map, Value, json};

use super::answer::{JSON, error};
use super::store::{Store, StoredDocument};
use crate::http_server::{Reply, Request};

/// `index.max_result_window`.
const MOST_HITS: u64 = 10_000;

/// An error's status, type and reason.
struct Refused(u16, &'static str, String);

impl Refused {
    fn reply(&self) -> Reply {
        error(self.0, self.1, &self.2)
    }
}

pub(super) fn refresh(request: &Request, store: &mut Store, pattern: &str) -> Reply {
    let names = match names(request, store, pattern) {
        Ok(names) => names,
        Err(refused) => return refused.reply(),
    };
    for name in &names {
        let documents = store.indices.get(name).cloned().unwrap_or_default();
        store.searchable.insert(name.clone(), documents);
    }
    let shards = names.len();
    answer(request, json!({"_shards": {"total": shards, "successful": shards, "failed": 0}}))
}

pub(super) fn count(request: &Request, store: &Store, pattern: &str) -> Reply {
    let (names, found) = match find(request, store, pattern) {
        Ok(found) => found,
        Err(refused) => return refused.reply(),
    };
    answer(request, json!({"count": found.len(), "_shards": shards(names)}))
}

pub(super) fn search(request: &Request, store: &Store, pattern: &str) -> Reply {
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let size = body["size"].as_u64().unwrap_or(10);
    if size > MOST_HITS {
        let reason = format!(
            "Result window is too large, from + size must be less than or equal to: [{MOST_HITS}] but was [{size}]"
        );
        return error(400, "illegal_argument_exception", &reason);
    }
    let (names, found) = match find(request, store, pattern) {
        Ok(found) => found,
        Err(refused) => return refused.reply(),
    };
    let hits: Vec<Value> = found
        .iter()
        .take(usize::try_from(size).unwrap_or(usize::MAX))
        .map(|(index, id, document)| {
            let mut hit = json!({"_index": index, "_type": "_doc", "_id": id, "_score": 1.0});
            if body["_source"] != false {
                hit["_source"] = document.json();
            }
            if body["sort"].is_array() {
                (hit["_score"], hit["sort"]) = (Value::Null, json!([0]));
            }
            hit
        })
        .collect();
    let total = json!({"value": found.len(), "relation": "eq"});
    let hits = json!({"total": total, "max_score": null, "hits": hits});
    answer(request, json!({"took": 1, "timed_out": false, "_shards": shards(names), "hits": hits}))
}

fn shards(count: usize) -> Value {
    json!({"total": count, "successful": count, "skipped": 0, "failed": 0})
}

type Found<'s> = Vec<(&'s str, &'s str, &'s StoredDocument)>;

/// How many indices were looked through, and the documents that a query finds.
fn find<'s>(request: &Request, store: &'s Store, pattern: &str) -> Result<(usize, Found<'s>), Refused> {
    let names = names(request, store, pattern)?;
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let query = Query::parse(&body["query"])?;
    let mut found = Vec::new();
    for (index, documents) in store.searchable.iter().filter(|(index, _)| names.contains(index)) {
        let documents = documents.iter().filter(|(id, document)| query.finds(id, document));
        found.extend(documents.map(|(id, document)| (index.as_str(), id.as_str(), document)));
    }
    Ok((names.len(), found))
}

enum Query {
    All,
    Ids(Vec<String>),
    /// From, and up to but not including, in milliseconds.
    Time(i64, i64),
}

impl Query {
    fn parse(query: &Value) -> Result<Self, Refused> {
        let range = &query["range"]["@timestamp"];
        let ids = query["ids"]["values"].as_array();
        if query.is_null() || query["match_all"].is_object() {
            return Ok(Query::All);
        }
        if let Some(ids) = ids {
            return Ok(Query::Ids(ids.iter().filter_map(Value::as_str).map(str::to_owned).collect()));
        }
        match (range["gte"].as_i64(), range["lt"].as_i64(), range["format"].as_str()) {
            (Some(from), Some(to), Some("epoch_millis")) => Ok(Query::Time(from, to)),
            _ => Err(Refused(400, "parsing_exception", format!("the fake does not know the query {query}"))),
        }
    }

    fn finds(&self, id: &str, document: &StoredDocument) -> bool {
        match self {
            Query::All => true,
            Query::Ids(ids) => ids.iter().any(|wanted| wanted == id),
            Query::Time(from, to) => {
                let json = document.json();
                let time = json["@timestamp"].as_str().and_then(milliseconds);
                time.is_some_and(|time| (*from..*to).contains(&time))
            }
        }
    }
}

/// The milliseconds since 1970 of `2020-02-23T17:08:41.123Z`.
fn milliseconds(text: &str) -> Option<i64> {
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    // Days since 1970 of a date, by Howard Hinnant's `days_from_civil`.
    let shifted = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (shifted.div_euclid(400), shifted.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    let seconds = days * 86_400 + number(11, 13)? * 3600 + number(14, 16)? * 60 + number(17, 19)?;
    Some(seconds * 1000 + number(20, 23).unwrap_or(0))
}

/// The indices that a path names: names and patterns with commas between.
fn names(request: &Request, store: &Store, path: &str) -> Result<Vec<String>, Refused> {
    let mut names = Vec::new();
    let path = path.replace("%2C", ",").replace("%2A", "*");
    for pattern in path.split(',') {
        let matching: Vec<&String> = store.indices.keys().filter(|name| matches(pattern, name)).collect();
        if matching.is_empty() && !pattern.contains('*') && !has_flag(request, "ignore_unavailable=true") {
            return Err(Refused(404, "index_not_found_exception", format!("no such index [{pattern}]")));
        }
        names.extend(matching.into_iter().cloned());
    }
    Ok(names)
}

fn has_flag(request: &Request, flag: &str) -> bool {
    request.query.as_deref().unwrap_or_default().split('&').any(|part| part == flag)
}

/// A name and a pattern in which `*` is any text.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((start, rest)) => name.strip_prefix(start).is_some_and(|name| {
            let ends = name.char_indices().map(|(at, _)| at).chain([name.len()]);
            ends.into_iter().any(|at| matches(rest, &name[at..]))
        }),
    }
}

/// The answer, or what `filter_path` leaves of it.
fn answer(request: &Request, whole: Value) -> Reply {
    let query = request.query.as_deref().unwrap_or_default();
    let filter = query.split('&').find_map(|part| part.strip_prefix("filter_path="));
    let answer = match filter {
        None => whole,
        Some(paths) => {
            let mut kept = Value::Object(Map::new());
            for path in paths.split(',') {
                keep(&whole, &path.split('.').collect::<Vec<_>>(), &mut kept);
            }
            kept
        }
    };
    Reply::new(200, JSON, answer.to_string())
}

/// Copies what lies at a path; lists are gone into, element by element. An empty list leaves nothing, as in the real one.
fn keep(whole: &Value, path: &[&str], kept: &mut Value) {
    let [first, rest @ ..] = path else {
        *kept = whole.clone();
        return;
    };
    let Some(inner) = whole.get(first) else { return };
    match (inner, rest) {
        (Value::Array(elements), [_, ..]) if elements.is_empty() => {}
        (Value::Array(elements), [_, ..]) => {
            if !kept[first].is_array() {
                kept[first] = elements.iter().map(|_| json!({})).collect();
            }
            for (number, element) in elements.iter().enumerate() {
                keep(element, rest, &mut kept[first][number]);
            }
        }
        _ => {
            let mut part = kept.get(first).cloned().unwrap_or_else(|| json!({}));
            keep(inner, rest, &mut part);
            if part != json!({}) {
                kept[first] = part;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_and_times() {
        assert!(matches("logs-*", "logs-2020.02.23") && matches("*-*-x", "a-b-x") && matches("a", "a"));
        assert!(!matches("logs-*", "log-1") && !matches("*-x", "a-b") && !matches("a", "ab"));
        assert_eq!(milliseconds("2020-02-23T17:08:41.123Z"), Some(1_582_477_721_123));
        assert_eq!(milliseconds("1970-01-01T00:00:00Z"), Some(0));
    }

    #[test]
    fn filter_path_leaves_what_it_names() {
        let whole = json!({"timed_out": false, "_shards": {"total": 1, "failed": 0}, "hits": {"total": 2, "hits": [
            {"_id": "a", "_index": "i"}, {"_id": "b", "_index": "i"}]}});
        let mut kept = json!({});
        for path in [&["timed_out"][..], &["_shards", "failed"], &["hits", "hits", "_id"]] {
            keep(&whole, path, &mut kept);
        }
        let expected = json!({"timed_out": false, "_shards": {"failed": 0}, "hits": {"hits": [{"_id": "a"}, {"_id": "b"}]}});
        assert_eq!(kept, expected);
    }
}
