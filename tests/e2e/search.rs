//! What a real Elasticsearch or OpenSearch holds, asked over plain HTTP.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use weir_test_support::http_client::call;

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];

/// Index and id, and the document.
pub(crate) type Found = BTreeMap<(String, String), Value>;

fn ask(method: &str, url: &str, body: &Value) -> Value {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let answer = call(method, url, JSON, body).unwrap();
    assert!(
        answer.status < 300,
        "{method} {url}: {} {}",
        answer.status,
        String::from_utf8_lossy(&answer.body)
    );
    answer.json()
}

/// Makes everything written so far visible.
pub(crate) fn refresh(url: &str) {
    ask("POST", &format!("{url}/_refresh"), &Value::Null);
}

/// How many documents the indices of the seed's pipeline hold; none when there are no such indices.
pub(crate) fn count(url: &str) -> u64 {
    ask("GET", &format!("{url}/route53-*/_count"), &Value::Null)["count"].as_u64().unwrap()
}

/// All documents of those indices.
pub(crate) fn all(url: &str) -> Found {
    let mut found = Found::new();
    let first = json!({"size": 2000, "sort": ["_doc"], "query": {"match_all": {}}});
    let mut page = ask("POST", &format!("{url}/route53-*/_search?scroll=5m"), &first);
    loop {
        let hits = page["hits"]["hits"].as_array().unwrap();
        if hits.is_empty() {
            ask("DELETE", &format!("{url}/_search/scroll"), &json!({"scroll_id": page["_scroll_id"]}));
            return found;
        }
        for hit in hits {
            let key = (hit["_index"].as_str().unwrap().to_owned(), hit["_id"].as_str().unwrap().to_owned());
            assert!(found.insert(key, hit["_source"].clone()).is_none());
        }
        let next = json!({"scroll": "5m", "scroll_id": page["_scroll_id"]});
        page = ask("POST", &format!("{url}/_search/scroll"), &next);
    }
}

/// How many documents there are of each value of a field.
pub(crate) fn terms(url: &str, field: &str) -> BTreeMap<String, u64> {
    let question = json!({"size": 0, "aggs": {"by": {"terms": {"field": field, "size": 1000}}}});
    let answer = ask("POST", &format!("{url}/route53-*/_search"), &question);
    let buckets = answer["aggregations"]["by"]["buckets"].as_array().unwrap();
    buckets
        .iter()
        .map(|bucket| (bucket["key"].as_str().unwrap().to_owned(), bucket["doc_count"].as_u64().unwrap()))
        .collect()
}

/// The type of a field in each of those indices.
pub(crate) fn types(url: &str, field: &str) -> BTreeMap<String, String> {
    let answer = ask("GET", &format!("{url}/route53-*/_mapping"), &Value::Null);
    let of_index = |(index, mapping): (&String, &Value)| {
        (
            index.clone(),
            mapping["mappings"]["properties"][field]["type"].as_str().unwrap_or("none").to_owned(),
        )
    };
    answer.as_object().unwrap().iter().map(of_index).collect()
}

/// How many times a document was written, over all indices and since the server's start.
pub(crate) fn writes(url: &str) -> u64 {
    let answer = ask("GET", &format!("{url}/_stats/indexing"), &Value::Null);
    answer["_all"]["primaries"]["indexing"]["index_total"].as_u64().unwrap()
}
