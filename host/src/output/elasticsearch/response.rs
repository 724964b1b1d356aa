//! What the answer to a bulk request says of each event: stored, to be tried again, or never to be stored. Logstash's rules
//! (its `common.rb`), and one of weir's own: an event with a default id that is there already was stored by an earlier try.

use std::fmt;

use memchr::memmem;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::Value as Json;

/// The user's rules for items that failed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutcomeRules {
    /// Statuses that make a dead letter, beside 400 and 404.
    pub dlq_custom_codes: Vec<u16>,
    /// Error types whose items are dropped.
    pub drop_error_types: Vec<String>,
    /// Error types that are not logged.
    pub silence_errors_in_log: Vec<String>,
}

/// What is to be done with an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is stored, or was before.
    Delivered,
    /// A rule of the user's, or a conflict, takes it out.
    Dropped,
    /// It is sent again.
    Retry,
    /// It can never be stored.
    DeadLetter,
}

/// What an item asked for, as far as its outcome depends on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// It is a `create` with the id that weir gave.
    pub creates_by_identity: bool,
    /// It is a `delete`.
    pub deletes: bool,
}

/// The answer for one item.
#[derive(Debug, PartialEq)]
pub struct ItemAnswer {
    /// Its HTTP status.
    pub status: u16,
    /// Its error, if it has one.
    pub error: Option<Json>,
}

impl ItemAnswer {
    /// The error's type; empty without one.
    pub fn error_type(&self) -> &str {
        self.error.as_ref().and_then(|error| error["type"].as_str()).unwrap_or_default()
    }

    /// Status and error, for a dead letter's reason and the log.
    pub fn reason(&self) -> String {
        match &self.error {
            None => format!("status {}", self.status),
            Some(error) => format!("status {}: {}", self.status, shortened(&error_text(error))),
        }
    }
}

/// `type: reason (type: reason)` of an error and of what caused it.
fn error_text(error: &Json) -> String {
    let (Some(kind), reason) = (error["type"].as_str(), error["reason"].as_str().unwrap_or_default()) else {
        return error.as_str().map_or_else(|| error.to_string(), str::to_owned);
    };
    match &error["caused_by"] {
        cause @ Json::Object(_) => format!("{kind}: {reason} ({})", error_text(cause)),
        _ => format!("{kind}: {reason}"),
    }
}

/// The first 1000 bytes of a text, for logs and reasons.
pub(super) fn shortened(text: &str) -> String {
    let mut end = text.len().min(1000);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    if end < text.len() { format!("{}…", &text[..end]) } else { text.to_owned() }
}

impl OutcomeRules {
    /// What is to be done with an event whose item was answered so.
    pub fn outcome(&self, sent: Sent, answer: &ItemAnswer) -> Outcome {
        if answer.error.is_some() && self.drop_error_types.iter().any(|kind| kind == answer.error_type()) {
            return Outcome::Dropped;
        }
        match answer.status {
            200..=299 => Outcome::Delivered,
            // What a delete was to remove is not there: perhaps by an earlier try.
            404 if sent.deletes && answer.error.is_none() => Outcome::Delivered,
            409 if sent.creates_by_identity => Outcome::Delivered,
            409 => Outcome::Dropped,
            400 | 404 => Outcome::DeadLetter,
            status if self.dlq_custom_codes.contains(&status) => Outcome::DeadLetter,
            401 | 403 | 408 | 413 | 429 => Outcome::Retry,
            402..=499 => Outcome::DeadLetter,
            _ => Outcome::Retry,
        }
    }

    /// Whether items with this error are logged.
    pub fn logs(&self, answer: &ItemAnswer) -> bool {
        !self.silence_errors_in_log.iter().any(|kind| kind == answer.error_type())
    }
}

/// Whether an answer says that each of `sent` items was stored: `errors` is false, and there is a status of success for each.
/// What it does not say so shortly is for [`parse_answer`]. (A status cannot be part of an index name or id: there its quotes
/// would be escaped.)
pub(super) fn stored_all(body: &[u8], sent: usize) -> bool {
    const BEGINNING: usize = 64;
    let beginning = body.get(..body.len().min(BEGINNING)).unwrap_or_default();
    memmem::find(beginning, b"\"errors\":false").is_some()
        && body.ends_with(b"]}")
        && memmem::find_iter(body, b"\"status\":2").count() == sent
        && memmem::find_iter(body, b"\"status\":").count() == sent
}

/// Reads the body of an answer to a request with `sent` items.
///
/// # Errors
/// When it is no whole answer, or has another number of items: then nothing is known of any of them.
pub(super) fn parse_answer(body: &[u8], sent: usize) -> Result<Vec<ItemAnswer>, String> {
    #[derive(serde::Deserialize)]
    struct Answer {
        items: Vec<Item>,
    }
    let answer: Answer = serde_json::from_slice(body)
        .map_err(|error| format!("the answer to a bulk request cannot be read ({error})"))?;
    if answer.items.len() != sent {
        return Err(format!("{sent} items were sent and {} answered", answer.items.len()));
    }
    Ok(answer.items.into_iter().map(|item| item.0).collect())
}

/// `{"<action>": {"status": …, "error": …}}`
struct Item(ItemAnswer);

impl<'de> Deserialize<'de> for Item {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        struct Inner {
            status: u16,
            #[serde(default)]
            error: Option<Json>,
        }
        struct OneMember;
        impl<'de> Visitor<'de> for OneMember {
            type Value = Item;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with one action")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Item, A::Error> {
                let entry: Option<(serde::de::IgnoredAny, Inner)> = map.next_entry()?;
                let (_, inner) = entry.ok_or_else(|| A::Error::custom("an item without an action"))?;
                while map.next_entry::<serde::de::IgnoredAny, serde::de::IgnoredAny>()?.is_some() {}
                Ok(Item(ItemAnswer { status: inner.status, error: inner.error }))
            }
        }
        deserializer.deserialize_map(OneMember)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(sent: Sent, status: u16, error: Option<&str>, expected: Outcome) {
        let error = error.map(|kind| serde_json::json!({"type": kind, "reason": "r"}));
        let answer = ItemAnswer { status, error };
        assert_eq!(OutcomeRules::default().outcome(sent, &answer), expected, "{sent:?} {answer:?}");
    }

    #[test]
    fn outcomes_that_depend_on_what_was_sent() {
        let conflict = Some("version_conflict_engine_exception");
        let by_identity = Sent { creates_by_identity: true, deletes: false };
        let deletes = Sent { creates_by_identity: false, deletes: true };
        check(by_identity, 409, conflict, Outcome::Delivered);
        check(Sent::default(), 409, conflict, Outcome::Dropped);
        check(deletes, 404, None, Outcome::Delivered);
        check(deletes, 404, Some("index_not_found_exception"), Outcome::DeadLetter);
        check(Sent::default(), 404, None, Outcome::DeadLetter);
        check(Sent::default(), 422, None, Outcome::DeadLetter);
        check(Sent::default(), 302, None, Outcome::Retry);
    }

    #[test]
    fn answers_are_read_whole_or_not_at_all() {
        let body = br#"{"errors":true,"items":[{"index":{"status":201}},{"create":{"status":409,"error":{"type":"x"}}}]}"#;
        let items = parse_answer(body, 2).expect("it is an answer");
        assert_eq!((items[0].status, items[1].status, items[1].error_type()), (201, 409, "x"));
        assert!(parse_answer(body, 3).is_err());
        for end in 0..body.len() {
            assert!(parse_answer(&body[..end], 2).is_err(), "cut at {end}");
        }
        for body in [
            &br#"{"items":[{}]}"#[..],
            br#"{"items":[{"index":{}}]}"#,
            br#"{"errors":false}"#,
            b"[]",
            b"<html>",
        ] {
            assert!(parse_answer(body, 1).is_err(), "{}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn an_answer_without_errors_is_read_at_a_glance() {
        let item = |id: &str, status: u16| {
            let id = serde_json::Value::from(id);
            format!(
                r#"{{"create":{{"_id":{id},"result":"created","_shards":{{"failed":0}},"status":{status}}}}}"#
            )
        };
        let answer = |errors: bool, items: &[String]| {
            format!(r#"{{"took":30,"errors":{errors},"items":[{}]}}"#, items.join(","))
        };
        let (stored, again) = (item("a", 201), item("b", 200));
        let body = answer(false, &[stored.clone(), again.clone()]);
        assert!(stored_all(body.as_bytes(), 2));
        for end in 0..body.len() {
            assert!(!stored_all(&body.as_bytes()[..end], 2), "cut at {end}");
        }
        let check = |body: String, sent| assert!(!stored_all(body.as_bytes(), sent), "{body}");
        check(body.clone(), 1);
        check(body.clone(), 3);
        check(answer(true, &[stored.clone(), again.clone()]), 2);
        check(answer(false, &[stored.clone(), item("b", 409)]), 2);
        check(answer(false, &[stored.clone(), again, item("c", 429)]), 2);
        check(answer(false, &[stored, r#"{"create":{"_id":"\"status\":2"}}"#.to_owned()]), 2);
        check("<html>\"errors\":false".to_owned(), 0);
    }

    #[test]
    fn reasons_name_the_cause() {
        let error =
            serde_json::json!({"type": "a", "reason": "b", "caused_by": {"type": "c", "reason": "d"}});
        assert_eq!(ItemAnswer { status: 400, error: Some(error) }.reason(), "status 400: a: b (c: d)");
        assert_eq!(shortened(&"ä".repeat(501)).len(), 1000 + "…".len());
    }
}
