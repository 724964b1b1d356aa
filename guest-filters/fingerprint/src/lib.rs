//! # fingerprint
//!
//! Puts a hash of one field or several into a field: to find equal events, to make document ids, to hide values. It is
//! Logstash's `fingerprint`, version 3.5.0.
//!
//! ```toml
//! [[filter]]
//! use = "fingerprint"
//! source = ["message"]
//! target = "[@metadata][fingerprint]"
//! method = "SHA256"
//! ```
//!
//! ## Options
//!
//! ### source
//! List, `["message"]`. The fields to hash. Without `concatenate_sources` each field is hashed by itself and
//! the last one that exists wins; of a list each element is hashed, and the target becomes a list. Missing fields are
//! passed over. `source = ["src_ip", "dst_ip"]`
//!
//! ### target
//! Text; `fingerprint`, and with `ecs_compatibility` on `[event][hash]`. The field that gets the hash; what it held is
//! lost.
//! `target = "[@metadata][fingerprint]"`
//!
//! ### method
//! Choice, `"SHA1"`. Spelt exactly so. `method = "MURMUR3"`
//!
//! | method | what is hashed | result |
//! |---|---|---|
//! | `SHA1` `SHA256` `SHA384` `SHA512` `MD5` | the text; with `key` its HMAC | hexadecimal digits, or Base64 |
//! | `MURMUR3` | a whole number as its 8 little-endian bytes, anything else as text | an integer, 0 to 4294967295 |
//! | `MURMUR3_128` | a whole number of 32 bits as 4 bytes, others as 8, anything else as text | hexadecimal digits, or Base64 |
//! | `IPV4_NETWORK` | an IPv4 or IPv6 address, masked to `key` bits; of `10.1.2.3/16` at most 16 of them | the network's address |
//! | `UUID` | nothing | a random UUID, even without a source |
//! | `PUNCTUATION` | a text | its punctuation and symbols; with several sources, sorted by name, the last one's |
//!
//! `MURMUR3` has 32 bits: of 100,000 different texts, one pair on average is equal. Do not use it as a document id unless
//! equal ids may merge.
//!
//! ### key
//! Password. For `SHA…` and `MD5` the key of the HMAC (an empty one too), for `IPV4_NETWORK` the length of the prefix, which
//! it needs. It is never shown. `key = "${HMAC_KEY}"`
//!
//! ### base64encode
//! Boolean, `false`. Base64 instead of hexadecimal digits. `base64encode = true`
//!
//! ### concatenate_sources
//! Boolean, `false`. One hash over all sources: `|name|value|name|value|`, names sorted, a missing field with an empty
//! value. `concatenate_sources = true`
//!
//! ### concatenate_all_fields
//! Boolean, `false`. One hash over all fields of the event but `@metadata`, in the same form; `source` is not looked at.
//! `concatenate_all_fields = true`
//!
//! ### ecs_compatibility
//! Choice of `disabled`, `v1` and `v8`; the pipeline's. Decides the default of `target`. `ecs_compatibility = "v8"`
//!
//! ## Texts of values
//!
//! A null is the empty text, a map `key|value|key|value` with sorted keys, a list its elements joined with `|`, a timestamp
//! `2026-01-01T00:00:05.120Z`, a float Ruby's form (`1.0`, `1.0e-05`). Nothing is escaped, so different values may have
//! the same text.
//!
//! ## When it fails
//!
//! There is no failure tag. An event counts as failed, and `on_error` decides what becomes of it, where Logstash's pipeline
//! would stop: an `IPV4_NETWORK` source that is no address, a `PUNCTUATION` source that is no text, a target below a text
//! or number.
//!
//! ## Not as in Logstash
//!
//! * Floats from 1e16 on are printed with an exponent, as in the C Ruby; JRuby does so from 1e19 on.
//! * Punctuation and symbols are those of Unicode 16; JRuby's are those of its own release.

mod canonical;
mod hash;
mod murmur;
mod network;
mod punctuation;

use std::borrow::Cow;

use serde_json::Value as Json;
use weir_filter::{
    Column, Event, Events, Failure, Field, FieldReference, Filter, Numbers, OptionDescription, OptionKind,
    Options, Outcome, Plan, Problems, RowMask, Value, ruby_text,
};

use crate::canonical::{push_json, push_value, text_of_event};
use crate::hash::{Algorithm, DigestFunction};

/// The fingerprint filter.
pub struct Fingerprint {
    method: Method,
    base64encode: bool,
    sources: Sources,
    target: Field,
}

enum Method {
    Digest(DigestFunction),
    Murmur3,
    Murmur3_128,
    /// The length of the prefix.
    Ipv4Network(i64),
    Uuid,
    Punctuation,
}

enum Sources {
    /// One hash for each; the last one stays.
    Each(Vec<Field>),
    /// One hash for all, with the names as they are written, sorted.
    Concatenated(Vec<(String, Field)>),
    /// One hash over the whole event.
    AllFields,
}

impl Filter for Fingerprint {
    const NAME: &'static str = "fingerprint";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "puts a hash of fields into a field";
    const MANUAL: &'static str = weir_filter::manual!();
    const OPTIONS: &'static [OptionDescription] = OPTIONS;

    fn configure(options: &Options, plan: &mut Plan) -> Result<Self, Problems> {
        let mut problems = Problems::new();
        let method = read_method(options, &mut problems);
        let sources = read_sources(options, &method, plan, &mut problems);
        let ecs = options.text("ecs_compatibility").unwrap_or(&options.environment().ecs_compatibility)
            != "disabled";
        let target = options.text("target").unwrap_or(if ecs { "[event][hash]" } else { "fingerprint" });
        let target = read_reference("/target", target, &mut problems);
        if !problems.is_empty() {
            return Err(problems);
        }
        // With all fields, what the target held before is hashed too.
        let target = if let Sources::AllFields = sources {
            plan.read_write_whole(&target)
        } else {
            plan.write(&target)
        };
        Ok(Fingerprint { method, base64encode: options.boolean("base64encode"), sources, target })
    }

    fn filter(&mut self, event: &mut Event<'_>) -> Result<Outcome, Failure> {
        if let Method::Uuid = self.method {
            event.set(self.target, hash::uuid(random_bytes()).as_str())?;
            return Ok(Outcome::Matched);
        }
        match &self.sources {
            Sources::Each(fields) => {
                for &field in fields {
                    if let Some(value) = event.get(field) {
                        self.store(event, value)?;
                    }
                }
            }
            Sources::Concatenated(named) => {
                let mut text = String::new();
                for (name, field) in named {
                    push_member(&mut text, name, event.get(*field));
                }
                text.push('|');
                self.store(event, Value::Text(&text))?;
            }
            Sources::AllFields => {
                let text = text_of_event(event);
                self.store(event, Value::Text(&text))?;
            }
        }
        Ok(Outcome::Matched)
    }

    fn filter_batch(&mut self, step: u32, events: &mut Events<'_>) {
        let hashes = match (&self.method, &self.sources) {
            (Method::Murmur3, Sources::Each(fields)) if let [only] = fields.as_slice() => {
                self.hashes_of_texts(events, *only)
            }
            _ => None,
        };
        let Some(hashes) = hashes else {
            return events.for_each(|event| self.filter_step(step, event));
        };
        events.set_column(self.target, Column::Integer(hashes));
        // As in Logstash, an event without the source counts as one that was worked on.
        events.matched(&RowMask::all(events.len()));
    }
}

weir_filter::export!(Fingerprint);

const METHODS: &[&str] = &[
    "SHA1",
    "SHA256",
    "SHA384",
    "SHA512",
    "MD5",
    "MURMUR3",
    "MURMUR3_128",
    "IPV4_NETWORK",
    "UUID",
    "PUNCTUATION",
];

const OPTIONS: &[OptionDescription] = &[
    OptionDescription {
        name: "source",
        kind: OptionKind::List,
        default: Some(r#"["message"]"#),
        required: false,
        doc: "The fields to hash",
        example: r#"source = ["src_ip", "dst_ip"]"#,
    },
    OptionDescription {
        name: "target",
        kind: OptionKind::Text,
        default: None,
        required: false,
        doc: "The field that gets the hash: `fingerprint`, or with ECS `[event][hash]`",
        example: r#"target = "[@metadata][fingerprint]""#,
    },
    OptionDescription {
        name: "method",
        kind: OptionKind::Choice(METHODS),
        default: Some(r#""SHA1""#),
        required: false,
        doc: "How to hash",
        example: r#"method = "MURMUR3""#,
    },
    OptionDescription {
        name: "key",
        kind: OptionKind::Password,
        default: None,
        required: false,
        doc: "The key of an HMAC (`SHA…`, `MD5`), or the length of the prefix (`IPV4_NETWORK`)",
        example: r#"key = "${HMAC_KEY}""#,
    },
    OptionDescription {
        name: "base64encode",
        kind: OptionKind::Boolean,
        default: Some("false"),
        required: false,
        doc: "Base64 instead of hexadecimal digits",
        example: "base64encode = true",
    },
    OptionDescription {
        name: "concatenate_sources",
        kind: OptionKind::Boolean,
        default: Some("false"),
        required: false,
        doc: "One hash over the names and values of all sources",
        example: "concatenate_sources = true",
    },
    OptionDescription {
        name: "concatenate_all_fields",
        kind: OptionKind::Boolean,
        default: Some("false"),
        required: false,
        doc: "One hash over the names and values of all fields of the event",
        example: "concatenate_all_fields = true",
    },
    OptionDescription {
        name: "ecs_compatibility",
        kind: OptionKind::Choice(&["disabled", "v1", "v8"]),
        default: None,
        required: false,
        doc: "Decides the default target; the pipeline's unless set",
        example: r#"ecs_compatibility = "v8""#,
    },
];

fn read_method(options: &Options, problems: &mut Problems) -> Method {
    let key = options.text("key");
    let digest = |algorithm| Method::Digest(DigestFunction::new(algorithm, key));
    match options.text("method") {
        Some("SHA256") => digest(Algorithm::Sha256),
        Some("SHA384") => digest(Algorithm::Sha384),
        Some("SHA512") => digest(Algorithm::Sha512),
        Some("MD5") => digest(Algorithm::Md5),
        Some("MURMUR3") => Method::Murmur3,
        Some("MURMUR3_128") => Method::Murmur3_128,
        Some("UUID") => Method::Uuid,
        Some("PUNCTUATION") => Method::Punctuation,
        Some("IPV4_NETWORK") => {
            if key.is_none() {
                let message = "method IPV4_NETWORK needs a key, the length of the prefix";
                problems.push("/method", message, "for example: key = \"24\"");
            }
            Method::Ipv4Network(network::prefix_of_key(key.unwrap_or("")))
        }
        _ => digest(Algorithm::Sha1),
    }
}

fn read_sources(options: &Options, method: &Method, plan: &mut Plan, problems: &mut Problems) -> Sources {
    if let Method::Uuid = method {
        return Sources::Each(Vec::new());
    }
    let one_by_one = matches!(method, Method::Punctuation);
    if options.boolean("concatenate_all_fields") && !one_by_one {
        plan.everything_read();
        return Sources::AllFields;
    }
    let mut names = options.texts("source");
    let concatenated = options.boolean("concatenate_sources") && !one_by_one;
    if concatenated || one_by_one {
        names.sort();
    }
    let mut named = Vec::with_capacity(names.len());
    for name in names {
        let reference = read_reference("/source", &name, problems);
        named.push((name, plan.read_whole(&reference)));
    }
    if concatenated {
        return Sources::Concatenated(named);
    }
    Sources::Each(named.into_iter().map(|(_, field)| field).collect())
}

fn read_reference(pointer: &str, text: &str, problems: &mut Problems) -> FieldReference {
    FieldReference::parse(text).unwrap_or_else(|message| {
        problems.push(pointer, message, "write name, or [a][b]");
        FieldReference::from_fragments([text])
    })
}

impl Fingerprint {
    /// The hashes of a column of texts; none if the rows must be looked at one by one.
    fn hashes_of_texts(&self, events: &Events<'_>, source: Field) -> Option<Numbers> {
        let texts = events.texts(source)?;
        if !events.is_independent(self.target, Value::Integer(0)) {
            return None;
        }
        let rows = events.len();
        let mut present = RowMask::all(rows);
        let mut values = Vec::with_capacity(rows.next_multiple_of(4));
        for first in (0..rows).step_by(4) {
            let mut four: [&[u8]; 4] = [&[]; 4];
            for (lane, bytes) in four.iter_mut().enumerate() {
                match events.text_at(texts, first + lane) {
                    Some(text) => *bytes = text.as_bytes(),
                    None => present.remove(first + lane),
                }
            }
            values.extend(murmur::murmur3_of_four(four).map(i64::from));
        }
        values.truncate(rows);
        let mut hashes = Numbers { values, present: Vec::new() };
        if present.count() < rows {
            hashes.present = present.into_bytes();
        }
        Some(hashes)
    }

    /// Hashes a value into the target; a list becomes a list of hashes.
    fn store(&self, event: &mut Event<'_>, value: Value<'_>) -> Result<(), Failure> {
        if let Value::Json(json) = value
            && !matches!(self.method, Method::Punctuation)
            && let Ok(Json::Array(list)) = serde_json::from_str(json)
        {
            let mut hashes = Vec::with_capacity(list.len());
            for element in &list {
                let text;
                let value = match ruby_text::scalar_of_json(element) {
                    Some(value) => value,
                    None => {
                        let mut canonical = String::new();
                        push_json(&mut canonical, element);
                        text = canonical;
                        Value::Text(&text)
                    }
                };
                hashes.push(match self.hash(value)? {
                    Hash::Number(number) => Json::from(number),
                    Hash::Text(text) => Json::String(text),
                });
            }
            return event.set_json(self.target, &Json::Array(hashes));
        }
        match self.hash(value)? {
            Hash::Number(number) => event.set(self.target, number),
            Hash::Text(text) => event.set(self.target, text.as_str()),
        }
    }

    fn hash(&self, value: Value<'_>) -> Result<Hash, Failure> {
        Ok(match &self.method {
            Method::Digest(function) => Hash::Text(function.digest(&text_of(value), self.base64encode)),
            Method::Murmur3 => Hash::Number(match integer_bytes(value) {
                Some(bytes) => murmur::murmur3(&bytes),
                None => murmur::murmur3(text_of(value).as_bytes()),
            }),
            Method::Murmur3_128 => Hash::Text(match integer_bytes(value) {
                Some(bytes) if is_small(value) => hash::murmur3_128(&bytes[..4], self.base64encode),
                Some(bytes) => hash::murmur3_128(&bytes, self.base64encode),
                None => hash::murmur3_128(text_of(value).as_bytes(), self.base64encode),
            }),
            Method::Ipv4Network(prefix) => match value {
                Value::Text(text) => Hash::Text(network::network_of(text, *prefix).map_err(Failure::new)?),
                _ => return Err(Failure::new("the source of IPV4_NETWORK is not a text")),
            },
            Method::Punctuation => match value {
                Value::Text(text) => Hash::Text(punctuation::punctuation_of(text)),
                _ => return Err(Failure::new("the source of PUNCTUATION is not a text")),
            },
            Method::Uuid => Hash::Text(hash::uuid(random_bytes())),
        })
    }
}

enum Hash {
    Number(u32),
    Text(String),
}

fn random_bytes() -> [u8; 16] {
    let mut bytes = [0; 16];
    for (place, byte) in bytes.iter_mut().zip(weir_filter::host::random(16)) {
        *place = byte;
    }
    bytes
}

fn text_of(value: Value<'_>) -> Cow<'_, str> {
    if let Value::Text(text) = value {
        return Cow::Borrowed(text);
    }
    let mut text = String::new();
    push_value(&mut text, value);
    Cow::Owned(text)
}

/// The 8 little-endian bytes of a whole number; of one beyond 64 bits the low ones.
fn integer_bytes(value: Value<'_>) -> Option<[u8; 8]> {
    match value {
        Value::Integer(integer) => Some(integer.to_le_bytes()),
        Value::Json(text) => {
            let digits = text.strip_prefix('-').unwrap_or(text);
            if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
                return None;
            }
            let low = digits
                .bytes()
                .fold(0_u64, |low, digit| low.wrapping_mul(10).wrapping_add(u64::from(digit - b'0')));
            Some(if text.starts_with('-') { low.wrapping_neg() } else { low }.to_le_bytes())
        }
        _ => None,
    }
}

fn is_small(value: Value<'_>) -> bool {
    matches!(value, Value::Integer(integer) if i32::try_from(integer).is_ok())
}

fn push_member(text: &mut String, name: &str, value: Option<Value<'_>>) {
    text.push('|');
    text.push_str(name);
    text.push('|');
    if let Some(value) = value {
        push_value(text, value);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};
    use weir_filter::Environment;
    use weir_filter::test::run_all;

    use super::*;

    /// Every event becomes by column what it becomes when it is looked at alone: that is where a number makes its column a
    /// mixed one.
    fn check(options: &Json, events: &[Json]) {
        let run = |events: &[Json]| {
            run_all::<Fingerprint>(options, &Environment::default(), events).expect("options")
        };
        for (event, found) in events.iter().zip(run(events)) {
            let alone = run(&[event.clone(), json!({ "message": 1.5 })]).swap_remove(0);
            assert_eq!(format!("{found:?}"), format!("{alone:?}"), "{event} with {options}");
        }
    }

    #[test]
    fn a_batch_is_its_events() {
        let texts: Vec<Json> =
            (0..40).map(|length| json!({ "message": "aé€".repeat(length), "a": "x" })).collect();
        let mut with_gaps = texts.clone();
        with_gaps.insert(3, json!({ "a": "no message" }));
        let mut mixed = with_gaps.clone();
        mixed.extend([json!({ "message": 12 }), json!({ "message": null }), json!({ "message": ["a", 1] })]);
        for target in ["[@metadata][fingerprint]", "message", "tags", "[a][b]"] {
            for source in [json!(["message"]), json!(["message", "a"])] {
                let options = json!({ "method": "MURMUR3", "source": source, "target": target });
                check(&options, &texts);
                check(&options, &with_gaps);
                check(&options, &mixed);
            }
        }
    }
}
