//! A filter's options as a JSON schema, for its manifest.

use serde_json::{Map, Value, json};

use crate::options::{OptionDescription, OptionKind};

/// The schema of a table of options. It says what is accepted, coercion included; `x-kind` says what an option is meant
/// to be, and `x-example` how it is written in a pipeline file (TOML).
pub fn of(descriptions: &[OptionDescription]) -> Value {
    let mut properties = Map::new();
    for description in descriptions {
        properties.insert(description.name.to_owned(), property(description));
    }
    let required: Vec<&str> = descriptions
        .iter()
        .filter(|description| description.required)
        .map(|description| description.name)
        .collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

fn property(description: &OptionDescription) -> Value {
    let scalar = ["string", "number", "boolean"];
    let (kind, mut schema) = match description.kind {
        OptionKind::Text => ("text", json!({"type": scalar_or_list(&scalar)})),
        OptionKind::Choice(choices) => ("choice", json!({"enum": choices})),
        OptionKind::Password => ("password", json!({"type": scalar_or_list(&scalar), "writeOnly": true})),
        OptionKind::List => ("list", json!({})),
        OptionKind::Map => ("map", json!({"type": ["object", "array"]})),
        OptionKind::Boolean => {
            ("boolean", json!({"enum": [true, false, "true", "false", [true], [false], ["true"], ["false"]]}))
        }
        OptionKind::Number => ("number", json!({"type": scalar_or_list(&["number", "string"])})),
    };
    if let Some(members) = schema.as_object_mut() {
        let (doc, example) = description.doc_and_example();
        let doc: Vec<&str> = doc.lines().map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
        members.insert("description".to_owned(), json!(doc.join("\n")));
        members.insert("x-kind".to_owned(), json!(kind));
        if let Some(default) = description.default.and_then(|json| serde_json::from_str::<Value>(json).ok()) {
            members.insert("default".to_owned(), default);
        }
        if !example.is_empty() {
            members.insert("x-example".to_owned(), json!(example));
        }
    }
    schema
}

fn scalar_or_list(scalars: &[&str]) -> Vec<String> {
    scalars.iter().copied().chain(["array"]).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_all_of_an_option() {
        let schema = of(&[OptionDescription {
            name: "mapping",
            kind: OptionKind::Map,
            default: Some("{}"),
            required: true,
            doc: "What is cut up.",
            example: "mapping.message = \"%{a}\"",
        }]);
        let expected = json!({
            "type": ["object", "array"],
            "description": "What is cut up.",
            "x-kind": "map",
            "default": {},
            "x-example": "mapping.message = \"%{a}\"",
        });
        assert_eq!(schema["properties"]["mapping"], expected);
        assert_eq!(schema["required"], json!(["mapping"]));
    }
}
