//! The option `gsub`: what a pattern matches in texts is replaced. The host runs the patterns (the kernel `patterns`), one
//! call a pattern and batch; here the texts are gathered from fields and lists, and put back.

use std::collections::HashMap;

use serde_json::Value as Json;
use weir_filter::options::pointer;
use weir_filter::patterns::Pattern;
use weir_filter::{Events, Failure, Field, Options, Plan, Problems, Template, Texts, Value};

use crate::operation::{Named, name};

/// The most patterns from events that are kept from batch to batch. When there are more, all are forgotten.
const MOST_KEPT: usize = 64;

/// What is said of an event whose own pattern cannot be used; the pattern is not quoted, as events are counted by this.
const NO_PATTERN: &str =
    "the pattern that gsub made from the event is no regular expression that can be used";

/// One entry: field, pattern and replacement.
pub(crate) struct Substitution {
    named: Named,
    pattern: FixedOrMade,
    replacement: Template,
}

enum FixedOrMade {
    Fixed(Pattern),
    /// It depends on the event.
    Made(Template),
}

/// All entries, in the order in which they run.
#[derive(Default)]
pub(crate) struct Substitutions {
    entries: Vec<Substitution>,
    /// Patterns that were made from events.
    made: HashMap<String, Pattern>,
}

/// The texts that one pattern is searched in.
#[derive(Default)]
struct Call {
    text: String,
    input: Texts,
    replacements: Texts,
    /// Where each text is from.
    origins: Vec<Origin>,
    /// Where the replacement lies that is the same for all.
    same: Option<(u32, u32)>,
}

#[derive(Clone, Copy)]
struct Origin {
    row: usize,
    /// The number of a list, and of the element in it.
    element: Option<(usize, usize)>,
}

struct List {
    row: usize,
    elements: Vec<Json>,
    is_changed: bool,
}

impl Substitutions {
    /// Reads the option.
    pub(crate) fn read(options: &Options, plan: &mut Plan, problems: &mut Problems) -> Self {
        let texts = options.texts("gsub");
        if !texts.len().is_multiple_of(3) {
            problems.push(
                "/gsub",
                format!("gsub has {} elements, which cannot be parted into threes", texts.len()),
                "it is a list of field, pattern, replacement, field, pattern, replacement, …",
            );
            return Substitutions::default();
        }
        let mut entries = Vec::new();
        for (number, triple) in texts.chunks_exact(3).enumerate() {
            let [field, pattern, replacement] = triple else { continue };
            let pattern = if pattern.contains("%{") {
                FixedOrMade::Made(plan.template(pattern))
            } else {
                match Pattern::compile(pattern) {
                    Ok(pattern) => FixedOrMade::Fixed(pattern),
                    Err(problem) => {
                        problems.push(pointer(&["gsub", &(3 * number + 1).to_string()]), problem, "");
                        continue;
                    }
                }
            };
            let named = name(plan, field, Plan::read_write);
            entries.push(Substitution { named, pattern, replacement: plan.template(replacement) });
        }
        Substitutions { entries, made: HashMap::new() }
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Does the work on all events that have not failed before, and notes those that fail now.
    pub(crate) fn run(&mut self, events: &mut Events<'_>, failures: &mut [Option<Failure>]) {
        for entry in &self.entries {
            let field = match &entry.named {
                Ok(field) => *field,
                Err(message) => {
                    for failure in failures.iter_mut() {
                        failure.get_or_insert_with(|| Failure::new(message.as_str()));
                    }
                    continue;
                }
            };
            let mut lists = Vec::new();
            match &entry.pattern {
                FixedOrMade::Fixed(pattern) => {
                    let mut call = Call::default();
                    for (row, failure) in
                        failures.iter_mut().enumerate().filter(|(_, failure)| failure.is_none())
                    {
                        *failure = entry.gather(events, field, row, &mut call, &mut lists).err();
                    }
                    call.run(pattern, events, field, failures, &mut lists);
                }
                FixedOrMade::Made(template) => {
                    let mut calls: Vec<(String, Call)> = Vec::new();
                    let mut numbers = HashMap::new();
                    for (row, failure) in
                        failures.iter_mut().enumerate().filter(|(_, failure)| failure.is_none())
                    {
                        let text = events
                            .event(row, |event| has_text(event.get(field)).then(|| event.render(template)));
                        let text = match text {
                            None => continue,
                            Some(Ok(text)) => text,
                            Some(Err(error)) => {
                                *failure = Some(error);
                                continue;
                            }
                        };
                        let number = *numbers.entry(text.clone()).or_insert(calls.len());
                        if number == calls.len() {
                            calls.push((text, Call::default()));
                        }
                        *failure = entry.gather(events, field, row, &mut calls[number].1, &mut lists).err();
                    }
                    for (text, call) in calls {
                        match made(&mut self.made, text) {
                            Some(pattern) => call.run(pattern, events, field, failures, &mut lists),
                            None => {
                                for origin in &call.origins {
                                    failures[origin.row].get_or_insert_with(|| Failure::new(NO_PATTERN));
                                }
                            }
                        }
                    }
                }
            }
            for list in lists.into_iter().filter(|list| list.is_changed) {
                if failures[list.row].is_none() {
                    let set =
                        events.event(list.row, |event| event.set_json(field, &Json::Array(list.elements)));
                    failures[list.row] = set.err();
                }
            }
        }
    }
}

impl Substitution {
    /// Adds the texts of a field in one row to those that are searched.
    fn gather(
        &self,
        events: &mut Events<'_>,
        field: Field,
        row: usize,
        call: &mut Call,
        lists: &mut Vec<List>,
    ) -> Result<(), Failure> {
        events.event(row, |event| match event.get(field) {
            Some(Value::Text(text)) => {
                let replacement = call.place_replacement(&self.replacement, event)?;
                call.add(text, replacement, Origin { row, element: None })
            }
            Some(Value::Json(json)) => {
                let Ok(Json::Array(elements)) = serde_json::from_str(json) else { return Ok(()) };
                let mut replacement = None;
                for (number, element) in elements.iter().enumerate() {
                    let Json::String(text) = element else { continue };
                    let replacement = match replacement {
                        Some(place) => place,
                        None => *replacement.insert(call.place_replacement(&self.replacement, event)?),
                    };
                    call.add(text, replacement, Origin { row, element: Some((lists.len(), number)) })?;
                }
                lists.push(List { row, elements, is_changed: false });
                Ok(())
            }
            _ => Ok(()),
        })
    }
}

impl Call {
    fn place(&mut self, text: &str) -> Result<(u32, u32), Failure> {
        let start = self.text.len();
        self.text.push_str(text);
        match (u32::try_from(start), u32::try_from(text.len())) {
            (Ok(start), Ok(length)) if self.text.len() < u32::MAX as usize => Ok((start, length)),
            _ => Err(Failure::new("a batch has more text than gsub can search")),
        }
    }

    fn place_replacement(
        &mut self,
        template: &Template,
        event: &weir_filter::Event<'_>,
    ) -> Result<(u32, u32), Failure> {
        if let Some(place) = self.same {
            return Ok(place);
        }
        match template.constant() {
            Some(text) => {
                let place = self.place(text)?;
                self.same = Some(place);
                Ok(place)
            }
            None => self.place(&event.render(template)?),
        }
    }

    fn add(&mut self, text: &str, replacement: (u32, u32), origin: Origin) -> Result<(), Failure> {
        let (start, length) = self.place(text)?;
        self.input.starts.push(start);
        self.input.lens.push(length);
        self.replacements.starts.push(replacement.0);
        self.replacements.lens.push(replacement.1);
        self.origins.push(origin);
        Ok(())
    }

    fn run(
        self,
        pattern: &Pattern,
        events: &mut Events<'_>,
        field: Field,
        failures: &mut [Option<Failure>],
        lists: &mut [List],
    ) {
        if self.origins.is_empty() {
            return;
        }
        let replaced = pattern.replace_all(&self.input, &self.text, &self.replacements);
        for (number, error) in &replaced.errors {
            if let Some(origin) = self.origins.get(*number as usize) {
                failures[origin.row].get_or_insert_with(|| Failure::new(error.as_str()));
            }
        }
        for (number, origin) in self.origins.iter().enumerate() {
            let Some(text) = replaced.get(number) else { continue };
            match origin.element {
                None => failures[origin.row] = events.event(origin.row, |event| event.set(field, text)).err(),
                Some((list, element)) => {
                    if let Some(list) = lists.get_mut(list) {
                        list.elements[element] = Json::from(text);
                        list.is_changed = true;
                    }
                }
            }
        }
    }
}

/// Whether there is a text to be searched.
fn has_text(value: Option<Value<'_>>) -> bool {
    match value {
        Some(Value::Text(_)) => true,
        Some(Value::Json(json)) => {
            matches!(serde_json::from_str(json), Ok(Json::Array(list)) if list.iter().any(Json::is_string))
        }
        _ => false,
    }
}

/// The pattern that was made from an event; `None` if it is none.
fn made(kept: &mut HashMap<String, Pattern>, text: String) -> Option<&Pattern> {
    if kept.len() >= MOST_KEPT && !kept.contains_key(&text) {
        kept.clear();
    }
    match kept.entry(text) {
        std::collections::hash_map::Entry::Occupied(known) => Some(known.into_mut()),
        std::collections::hash_map::Entry::Vacant(new) => {
            let pattern = Pattern::compile(new.key()).ok()?;
            Some(new.insert(pattern))
        }
    }
}
