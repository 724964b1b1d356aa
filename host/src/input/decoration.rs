//! What all inputs do to an event: `codec` makes fields of its text, `add_field` and `tags` are put on it. Fields that an
//! input itself gives are left to that input.

use serde_json::Value as Json;

use crate::config::Section;
use crate::event::decorate::{Decorations, OptionProblem};

/// How a text becomes an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Codec {
    /// The text is the field `message`.
    #[default]
    Plain,
    /// The text is a JSON object whose members are the event's fields.
    Json,
}

/// What is added to every event of an input.
#[derive(Clone, Debug, Default)]
pub struct Decoration {
    /// `add_field`: names and values in the file's order; texts may have references in them (`%{name}`).
    pub add_field: Vec<(String, Json)>,
    /// `tags`.
    pub tags: Vec<String>,
}

/// Reads `add_field` and `tags`. Logstash's third, `type`, is the name of the input here: an event's type is set by
/// `add_field = { type = "…" }`.
pub fn read_options(section: &mut Section) -> Decoration {
    let decoration = Decoration { add_field: section.map("add_field"), tags: section.texts("tags") };
    let (_, problems) = decoration.prepared();
    for (pointer, message) in problems {
        let key = if pointer.starts_with("/add_field") { "add_field" } else { "tags" };
        section.warning(key, &message, "every event would get what is left of it");
    }
    decoration
}

/// Reads `codec`.
pub fn read_codec(section: &mut Section) -> Codec {
    match section.one_of("codec", &["plain", "json"]).as_deref() {
        Some("json") => Codec::Json,
        _ => Codec::Plain,
    }
}

impl Decoration {
    /// The same as the common options of filters do it: `add_field`, then the tags, as in Logstash.
    pub(super) fn prepared(&self) -> (Decorations, Vec<OptionProblem>) {
        Decorations::new(&self.add_field, &[], &self.tags, &[])
    }
}
