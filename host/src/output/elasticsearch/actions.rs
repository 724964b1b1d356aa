//! What is asked of the server for an event: action, index, id and what else stands in an action line. The options of that,
//! with Logstash's rules for which go together. How bodies are made of it is left to `body`.

use weir_filter::Template;

use super::data_stream::{DataStreamOptions, read_data_stream};
use crate::config::Section;
use crate::event::FieldReference;

/// The four actions of the bulk API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Stores, replacing what has the same id.
    Index,
    /// Stores if the id is not there yet.
    Create,
    /// Changes what is there.
    Update,
    /// Removes.
    Delete,
}

impl Action {
    /// The action of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "index" => Some(Action::Index),
            "create" => Some(Action::Create),
            "update" => Some(Action::Update),
            "delete" => Some(Action::Delete),
            _ => None,
        }
    }

    /// Its name in an action line.
    pub fn name(self) -> &'static str {
        match self {
            Action::Index => "index",
            Action::Create => "create",
            Action::Update => "update",
            Action::Delete => "delete",
        }
    }
}

/// Where an event goes.
#[derive(Clone, Debug)]
pub enum IndexChoice {
    /// To the index that a template names; whether it is the default one.
    Named(Template, bool),
    /// To a data stream.
    DataStream(DataStreamOptions),
}

/// What is done with an event.
#[derive(Clone, Debug)]
pub enum ActionChoice {
    /// Not said: `create` where weir gives the id, else `index`.
    Unset,
    /// Always this.
    Always(Action),
    /// What a template says; an event for which it names no action cannot be sent.
    ByTemplate(Template),
}

/// How an update uses the event.
#[derive(Clone, Debug, Default)]
pub struct UpdateOptions {
    /// The event is the document if there is none.
    pub doc_as_upsert: bool,
    /// The script makes the document if there is none.
    pub scripted_upsert: bool,
    /// A script, its name or its file, by `script_type`.
    pub script: Option<Template>,
    /// The key that the script stands under: `inline`, `id` or `file`.
    pub script_key: &'static str,
    /// Its language; empty: the server's default.
    pub script_lang: String,
    /// What the script calls the event.
    pub script_var_name: String,
}

/// The options that make an action line and its document.
#[derive(Clone, Debug)]
pub struct ActionOptions {
    /// Where.
    pub index: IndexChoice,
    /// The names of all indices that events may go to, as a pattern of the search API.
    pub index_pattern: String,
    /// What.
    pub action: ActionChoice,
    /// The document's id.
    pub document_id: Option<Template>,
    /// The routing.
    pub routing: Option<Template>,
    /// The ingest pipeline; an empty text is none.
    pub pipeline: Option<Template>,
    /// The document's version.
    pub version: Option<Template>,
    /// What its version means.
    pub version_type: Option<String>,
    /// The old type of a document; Elasticsearch 7 only.
    pub document_type: Option<Template>,
    /// A child's join field and its parent's id.
    pub join: Option<(FieldReference, Template)>,
    /// A parent's id without a join field: Elasticsearch 6 and before.
    pub parent: Option<Template>,
    /// What becomes the document if there is none, as JSON.
    pub upsert: Option<Template>,
    /// How updates are made.
    pub update: UpdateOptions,
    /// How often the server itself repeats an update that met another one.
    pub retry_on_conflict: i64,
    /// Whether an index name with a reference left in it takes the event out.
    pub refuses_unresolved_index: bool,
}

/// Options that a data stream has no use for.
const NOT_WITH_DATA_STREAMS: &[&str] = &[
    "index",
    "template",
    "template_name",
    "template_overwrite",
    "template_api",
    "ilm_enabled",
    "version",
    "version_type",
    "parent",
    "join_field",
    "document_type",
    "upsert",
    "doc_as_upsert",
    "script",
    "script_type",
    "script_lang",
    "script_var_name",
    "scripted_upsert",
    "retry_on_conflict",
];

/// Reads the options from the output's section; the second answer is `manage_template`'s default.
pub(super) fn read_actions(section: &mut Section, pipeline_ecs: &str) -> (ActionOptions, bool) {
    let own_ecs = section.one_of("ecs_compatibility", &["disabled", "v1", "v8"]);
    let has_ecs = own_ecs.as_deref().unwrap_or(pipeline_ecs) != "disabled";
    let action_text = section.text("action");
    let mut unfit: Vec<&str> =
        NOT_WITH_DATA_STREAMS.iter().copied().filter(|key| section.is_set(key)).collect();
    if action_text.as_deref().is_some_and(|action| action != "create") {
        unfit.push("action");
    }
    if section.boolean_or("manage_template", &[]).as_deref() == Some("true") {
        unfit.push("manage_template");
    }
    // Logstash takes this word, when it is written down, for one that has no use for data streams.
    if section.boolean_or("data_stream", &["auto"]).as_deref() == Some("auto") {
        unfit.push("data_stream");
    }
    let data_stream = read_data_stream(section, has_ecs, &unfit);
    let is_data_stream = data_stream.is_some();

    let action = read_action(section, action_text, is_data_stream);
    let is_update = matches!(action, ActionChoice::Always(Action::Update));
    let index = match data_stream {
        Some(options) => IndexChoice::DataStream(options),
        None => {
            let default = if has_ecs { "ecs-logstash-%{+yyyy.MM.dd}" } else { "logstash-%{+yyyy.MM.dd}" };
            let is_default = section.text_or_number("index").as_deref() == Some(default);
            match template(section, "index") {
                Some(index) => IndexChoice::Named(index, is_default),
                None => IndexChoice::Named(Template::parse(default), true),
            }
        }
    };
    let index_pattern = match &index {
        IndexChoice::DataStream(stream) if stream.auto_routing => "*-*-*".to_owned(),
        IndexChoice::DataStream(stream) => stream.parts.join("-"),
        IndexChoice::Named(..) => pattern_of(
            &section.text_or_number("index").filter(|text| !text.is_empty()).unwrap_or_else(|| {
                if has_ecs { "ecs-logstash-*".to_owned() } else { "logstash-*".to_owned() }
            }),
        ),
    };
    let document_id = template(section, "document_id");
    if is_update && document_id.is_none() {
        let fix = "add document_id = \"%{[the field with the id]}\"";
        section.problem("action", "action \"update\" needs a `document_id`", fix);
    }
    let options = ActionOptions {
        index,
        index_pattern,
        document_id,
        routing: template(section, "routing"),
        pipeline: template(section, "pipeline"),
        version_type: read_version_type(section, &action),
        version: template(section, "version"),
        document_type: template(section, "document_type"),
        join: read_join(section),
        parent: template(section, "parent").filter(|_| !section.is_set("join_field")),
        upsert: template(section, "upsert"),
        update: read_update(section, &action),
        retry_on_conflict: section.integer_in("retry_on_conflict", 0..=i64::MAX).unwrap_or(1),
        refuses_unresolved_index: section.boolean("dlq_on_failed_indexname_interpolation").unwrap_or(true),
        action,
    };
    (options, !is_data_stream)
}

fn read_action(section: &mut Section, text: Option<String>, is_data_stream: bool) -> ActionChoice {
    let Some(text) = text else {
        return if is_data_stream { ActionChoice::Always(Action::Create) } else { ActionChoice::Unset };
    };
    if text.contains("%{") {
        return template(section, "action").map_or(ActionChoice::Unset, ActionChoice::ByTemplate);
    }
    match Action::from_name(&text) {
        Some(action) => ActionChoice::Always(action),
        None => {
            let fix = "it is \"index\", \"create\", \"update\", \"delete\", or a text with %{field} in it";
            section.problem("action", &format!("unknown action {text:?}"), fix);
            ActionChoice::Unset
        }
    }
}

fn read_version_type(section: &mut Section, action: &ActionChoice) -> Option<String> {
    let types = ["internal", "external", "external_gt", "external_gte", "force"];
    let kind = section.one_of("version_type", &types)?;
    if kind.starts_with("external") {
        if !section.is_set("version") {
            section.problem(
                "version_type",
                &format!("version_type \"{kind}\" needs a `version`"),
                "add version = \"%{…}\"",
            );
        }
        if let ActionChoice::Always(action @ (Action::Create | Action::Update)) = action {
            let message = format!("version_type \"{kind}\" does not go with action \"{}\"", action.name());
            section.problem("version_type", &message, "use action \"index\" or \"delete\"");
        }
    }
    Some(kind)
}

fn read_join(section: &mut Section) -> Option<(FieldReference, Template)> {
    match (section.text("join_field"), template(section, "parent")) {
        (None, None) => None,
        (Some(field), Some(parent)) => match FieldReference::parse(&field) {
            Ok(field) => Some((field, parent)),
            Err(error) => {
                section.problem("join_field", &error, "write a field's name, or [a][b]");
                None
            }
        },
        (Some(_), None) => {
            let message = "`join_field` has no effect without `parent`";
            section.warning("join_field", message, "add parent = \"%{…}\"");
            None
        }
        (None, Some(_)) => {
            let message = "Elasticsearch 7 and OpenSearch no longer take a `parent` without a `join_field`";
            section.warning("parent", message, "add join_field = \"…\", the field that has the relation");
            None
        }
    }
}

fn read_update(section: &mut Section, action: &ActionChoice) -> UpdateOptions {
    let options = UpdateOptions {
        doc_as_upsert: section.boolean("doc_as_upsert").unwrap_or(false),
        scripted_upsert: section.boolean("scripted_upsert").unwrap_or(false),
        script: template(section, "script"),
        script_key: match section.one_of("script_type", &["inline", "indexed", "file"]).as_deref() {
            Some("indexed") => "id",
            Some("file") => "file",
            _ => "inline",
        },
        script_lang: section.text_or("script_lang", "painless"),
        script_var_name: section.text_or("script_var_name", "event"),
    };
    if options.doc_as_upsert && options.scripted_upsert {
        let message = "`doc_as_upsert` and `scripted_upsert` exclude each other";
        section.problem("scripted_upsert", message, "keep one of them");
    }
    match action {
        ActionChoice::Always(Action::Update) => {}
        _ if options.script.is_none() => {}
        // Logstash sends such updates without the script's name and text.
        ActionChoice::ByTemplate(_) => {
            let message = "`script` does not go with an action that events name";
            section.problem("script", message, "write action = \"update\"");
        }
        ActionChoice::Always(_) | ActionChoice::Unset => {
            let message = "`script` has no effect: it is for action \"update\" only";
            section.warning("script", message, "write action = \"update\"");
        }
    }
    options
}

/// `%{…}` in an index name, and the `{…}` of date math in angle brackets, as `*`.
fn pattern_of(index: &str) -> String {
    let inner = index.strip_prefix('<').and_then(|index| index.strip_suffix('>'));
    let (mut rest, opens) = (inner.unwrap_or(index), if inner.is_some() { "{" } else { "%{" });
    let mut pattern = String::new();
    while let Some((text, after)) = rest.split_once(opens) {
        pattern.push_str(text);
        // Date math may have braces in its braces, for the format.
        let end = if inner.is_some() { after.find("}-").or(after.rfind('}')) } else { after.find('}') };
        pattern.push('*');
        rest = end.and_then(|end| after.get(end + 1..)).unwrap_or_default();
    }
    pattern.push_str(rest);
    pattern
}

/// A text with references; what is wrong in it is reported. An empty text is none.
fn template(section: &mut Section, key: &str) -> Option<Template> {
    let text = section.text_or_number(key).filter(|text| !text.is_empty())?;
    let template = Template::parse(&text);
    if let Some(problem) = template.problem() {
        section.problem(key, &format!("`{key}`: {problem}"), "write %{field}, %{[a][b]} or %{+yyyy.MM.dd}");
        return None;
    }
    Some(template)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_index_names() {
        for (index, pattern) in [
            ("logs", "logs"),
            ("logstash-%{+yyyy.MM.dd}", "logstash-*"),
            ("%{type}-%{[@metadata][local_time]}-x", "*-*-x"),
            ("a-%{open", "a-*"),
            ("<logs-{now/d}>", "logs-*"),
            ("<logs-{now/d{yyyy.MM|+09:00}}-x>", "logs-*-x"),
        ] {
            assert_eq!(pattern_of(index), pattern, "{index}");
        }
    }
}
