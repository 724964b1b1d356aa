//! The keys of a section that hold more than one value: sections of their own, maps, and what is left for a guest.

use serde_json::Value as Json;
use weir_filter::FieldReference;

use super::super::tree::{Node, Places, Value, pointer_token};
use super::values::word;
use super::{Section, is_unset};

impl Section {
    /// A table of its own kind, to be read by the same calls.
    pub fn section(&mut self, key: &str) -> Option<Section> {
        let node = self.node(key)?;
        match node.value {
            Value::Table(entries) => Some(self.inner(key, node.span, entries)),
            _ => self.wrong_kind(key, &node, "a table", &format!("write {key} = {{ … = … }}")),
        }
    }

    /// Whether the key's value is a table: for options that have a short form.
    pub fn is_table(&mut self, key: &str) -> bool {
        self.node(key).is_some_and(|node| matches!(node.value, Value::Table(_)))
    }

    /// The section that would stand at `key`, empty.
    pub(in crate::config) fn absent(&self, key: &str) -> Section {
        self.inner(key, 0..0, Vec::new())
    }

    /// A table that may stand several times (`[[key]]`), or once (`[key]`).
    pub fn sections(&mut self, key: &str) -> Vec<Section> {
        let Some(node) = self.node(key) else { return Vec::new() };
        let elements = match node.value {
            Value::List(elements) => elements,
            _ => vec![node],
        };
        let mut sections = Vec::with_capacity(elements.len());
        for element in elements {
            match element.value {
                Value::Table(entries) => sections.push(self.inner(key, element.span, entries)),
                _ => {
                    self.wrong_kind::<()>(key, &element, "a table", &format!("write it as [[{key}]]"));
                }
            }
        }
        sections
    }

    /// A flat map of names to values (`add_field`), in the file's order. Values are texts, numbers, booleans or lists. As
    /// in Logstash, a list of names and values by turns is a map too.
    pub fn map(&mut self, key: &str) -> Vec<(String, Json)> {
        let Some(node) = self.node(key) else { return Vec::new() };
        if let Value::List(elements) = &node.value {
            if let Some(map) = pairs(elements) {
                return map;
            }
            let message = format!("`{key}` is a list, and not one of names and values by turns");
            self.report(node.span.clone(), message, format!("write {key} = {{ name = \"value\" }}"));
            return Vec::new();
        }
        let Value::Table(entries) = &node.value else {
            self.wrong_kind::<()>(key, &node, "a map", &format!("write {key} = {{ name = \"value\" }}"));
            return Vec::new();
        };
        let mut map = Vec::with_capacity(entries.len());
        for entry in entries {
            if let Value::Table(inner) = &entry.value.value {
                let inner = inner.first().map_or("…", |entry| entry.key.as_str());
                let (message, fix) = nested_table(key, &entry.key, inner);
                self.report(entry.value.span.clone(), message, fix);
                continue;
            }
            map.push((entry.key.clone(), entry.value.to_json("", &mut Places::default())));
        }
        map
    }

    /// The tables in a table, by their keys.
    pub(in crate::config) fn named_sections(&mut self, key: &str) -> Vec<(String, Section)> {
        let Some(mut section) = self.section(key) else { return Vec::new() };
        let names = section.keys();
        let mut sections = Vec::with_capacity(names.len());
        for name in names {
            if let Some(inner) = section.section(&name) {
                sections.push((name, inner));
            }
        }
        sections
    }

    /// The keys of the section; they count as known.
    pub(in crate::config) fn keys(&mut self) -> Vec<String> {
        self.rest_is_known = true;
        self.entries.iter().map(|entry| entry.key.clone()).collect()
    }

    /// The elements of a list, each as a section where it is a table.
    pub(in crate::config) fn elements(&mut self, key: &str) -> Vec<Option<Section>> {
        let Some(node) = self.node(key) else { return Vec::new() };
        let Value::List(elements) = node.value else { return vec![None] };
        let section = |element: Node| match element.value {
            Value::Table(entries) => Some(self.inner(key, element.span, entries)),
            _ => None,
        };
        elements.into_iter().map(section).collect()
    }

    /// The keys of a table and their values as JSON, in the file's order.
    pub(in crate::config) fn members(&mut self, key: &str) -> Vec<(String, Json)> {
        let Some(node) = self.node(key) else { return Vec::new() };
        let Value::Table(entries) = &node.value else {
            self.wrong_kind::<()>(key, &node, "a table", &format!("write {key} = {{ … = … }}"));
            return Vec::new();
        };
        let json = |node: &Node| node.to_json("", &mut Places::default());
        entries.iter().map(|entry| (entry.key.clone(), json(&entry.value))).collect()
    }

    /// The keys of a table as field references, with their values.
    pub(in crate::config) fn fields(&mut self, key: &str) -> Vec<(FieldReference, Json)> {
        let Some(mut section) = self.section(key) else { return Vec::new() };
        section.rest_as_fields()
    }

    /// All keys that were not asked for as field references, with their values.
    pub(in crate::config) fn rest_as_fields(&mut self) -> Vec<(FieldReference, Json)> {
        self.rest_is_known = true;
        let mut fields = Vec::new();
        for entry in &self.entries {
            if self.asked.contains(&entry.key) {
                continue;
            }
            match FieldReference::parse(&entry.key) {
                Ok(reference) => fields.push((reference, entry.value.to_json("", &mut Places::default()))),
                Err(message) => {
                    let fix = "write a field's name, or \"[a][b]\"".to_owned();
                    self.report(entry.key_span.clone(), message, fix);
                }
            }
        }
        fields
    }

    /// Something is wrong with what this key's table has at `member`.
    pub(in crate::config) fn member_problem(&mut self, key: &str, member: &str, message: &str, fix: &str) {
        let mut span = self.span_of(key);
        if let Some(Node { value: Value::Table(entries), .. }) = self.node(key)
            && let Some(entry) = entries.iter().find(|entry| entry.key == member)
        {
            span = entry.key_span.clone();
        }
        self.report(span, message.to_owned(), fix.to_owned());
    }

    /// Any value, as JSON in the file's order.
    pub fn json(&mut self, key: &str) -> Option<Json> {
        let node = self.node(key)?;
        Some(node.to_json("", &mut Places::default()))
    }

    /// All keys that were not asked for, as JSON in the file's order; they count as known. With them the places of all
    /// keys, asked for or not.
    pub fn rest(&mut self) -> (serde_json::Map<String, Json>, Places) {
        self.rest_is_known = true;
        let mut places = Places::default();
        let mut rest = serde_json::Map::new();
        for entry in &self.entries {
            if is_unset(&entry.value) {
                continue;
            }
            let pointer = format!("/{}", pointer_token(&entry.key));
            places.add_key(&pointer, entry.key_span.clone());
            let value = entry.value.to_json(&pointer, &mut places);
            if !self.asked.contains(&entry.key) {
                rest.insert(entry.key.clone(), value);
            }
        }
        (rest, places)
    }
}

/// What to say of `option.key.inner = …` where a flat map is wanted.
pub(in crate::config) fn nested_table(option: &str, key: &str, inner: &str) -> (String, String) {
    (
        format!("`{option}.{key}` is a table inside a map"),
        format!(
            "in TOML a dot makes a table; write `{option}.\"[{key}][{inner}]\" = …` for the field `{inner}` inside `{key}`, \
             `{option}.\"{key}.{inner}\" = …` for a field with a dot in its name"
        ),
    )
}

/// The map that a list of names and values by turns stands for; the values of a repeated name are collected.
fn pairs(elements: &[Node]) -> Option<Vec<(String, Json)>> {
    let mut map: Vec<(String, Json)> = Vec::with_capacity(elements.len() / 2);
    let mut elements = elements.iter();
    while let Some(name) = elements.next() {
        let name = word(name)?;
        let value = elements.next()?;
        if matches!(value.value, Value::Table(_)) {
            return None;
        }
        let value = value.to_json("", &mut Places::default());
        match map.iter_mut().find(|(known, _)| *known == name) {
            None => map.push((name, value)),
            Some((_, Json::Array(values))) => values.push(value),
            Some((_, first)) => *first = Json::Array(vec![first.take(), value]),
        }
    }
    Some(map)
}
