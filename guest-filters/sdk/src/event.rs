//! One event, as a filter sees it: values in, values out. Where they lie in columns stays behind it.

use serde_json::Value as Json;

use crate::boundary::columns::Column;
use crate::field_reference::FieldReference;
use crate::fields::Guard;
use crate::filter::{Failure, Outcome};
use crate::incoming::{Incoming, KERNEL_PLACE};
use crate::json;
use crate::outgoing::{Change, Placed};
use crate::plan::Field;
use crate::scratch::{Scratch, ScratchEnd};
use crate::template::Template;
use crate::value::Value;
use crate::work::Work;

/// One event of a batch. Reading sees what was set and removed before; a text that was read lives as long as the event
/// does, so it can be cut up while the event is written, and a part of it that is set is not copied.
#[derive(Debug)]
pub struct Event<'b> {
    pub(crate) incoming: &'b Incoming<'b>,
    pub(crate) work: &'b mut Work,
    pub(crate) scratch: ScratchEnd<'b>,
    /// Where it is written.
    pub(crate) row: usize,
    /// Where it is read: another place for a copy, past the end for an empty event.
    pub(crate) input_row: usize,
}

impl<'b> Event<'b> {
    /// The number of the event in its batch; the same in every step.
    #[inline]
    pub fn row(&self) -> usize {
        self.row
    }

    /// The text of a field; `None` if there is no such field or it is no text.
    #[inline]
    pub fn text(&self, field: Field) -> Option<&'b str> {
        if self.work.is_touched(field) {
            return match self.own(field)? {
                Value::Text(text) => Some(text),
                _ => None,
            };
        }
        self.incoming.text(field.index(), self.input_row)
    }

    /// The value of a field. What was set from a kernel's column cannot be read back: it is `None`.
    pub fn get(&self, field: Field) -> Option<Value<'b>> {
        let own = self.own(field);
        let info = self.work.fields.get(field);
        if info.above.is_empty() && info.below.is_empty() {
            own
        } else {
            self.with_what_lies_around(field, own)
        }
    }

    /// Whether the event has the field; a null is one.
    pub fn exists(&self, field: Field) -> bool {
        self.get(field).is_some()
    }

    /// The field of a reference that the plan does not name, for this batch. It reads as nothing unless the plan says
    /// [`crate::Plan::everything_read`], and cannot be set unless it says [`crate::Plan::everything_written`].
    ///
    /// # Errors
    /// If the reference is one that the host does not take ([`FieldReference::is_overlong`]).
    pub fn field(&mut self, reference: &FieldReference) -> Result<Field, Failure> {
        if reference.is_overlong() {
            return Err(Failure::new("a field reference is too long"));
        }
        Ok(self.work.find_or_add(reference))
    }

    /// Shows all fields that are known of the event: with [`crate::Plan::everything_read`] all it has, value by value.
    /// A map shows as what is in it, but for an empty one, and for those that the plan reads whole.
    pub fn for_each_field(&self, mut show: impl FnMut(&FieldReference, Value<'b>)) {
        for (index, info) in self.work.fields.iter().enumerate() {
            if let Some(value) = self.get(Field(index as u32)).filter(|value| *value != Value::Object) {
                show(&info.reference, value);
            }
        }
    }

    /// Sets a field.
    ///
    /// # Errors
    /// As in Logstash: if the field lies below something that is no map, or may not hold such a value (`@timestamp`
    /// takes a timestamp, `tags` a text or a list of texts, `[@metadata]` a map). Also if it is not declared as written.
    #[inline]
    pub fn set<'v>(&mut self, field: Field, value: impl Into<Value<'v>>) -> Result<(), Failure> {
        let value = value.into();
        if !self.work.fields.get(field).plain && self.change_what_lies_around(field, Some(value), true)? {
            return Ok(());
        }
        self.put(field, value)
    }

    /// Sets a field as Logstash's own Java filters may: `@timestamp` takes any value.
    ///
    /// # Errors
    /// As for [`Event::set`].
    #[inline]
    pub fn set_any<'v>(&mut self, field: Field, value: impl Into<Value<'v>>) -> Result<(), Failure> {
        let value = value.into();
        if !self.work.fields.get(field).plain && self.change_what_lies_around(field, Some(value), false)? {
            return Ok(());
        }
        self.put(field, value)
    }

    /// Sets a field above and below which the event has nothing, to a value without anything in it.
    pub(crate) fn set_alone(&mut self, field: Field, value: Value<'_>) -> Result<(), Failure> {
        self.check_may_hold(field, value, true)?;
        self.put(field, value)
    }

    /// Sets a field to a value of JSON; a map needs a field that is declared whole.
    ///
    /// # Errors
    /// As for [`Event::set`].
    pub fn set_json(&mut self, field: Field, value: &Json) -> Result<(), Failure> {
        let mut text = String::new();
        self.set(field, json::from_json(value, &mut text))
    }

    /// Removes a field with all that lies below it. That there is none is no error.
    pub fn remove(&mut self, field: Field) {
        let info = self.work.fields.get(field);
        if info.plain || !matches!(self.change_what_lies_around(field, None, false), Ok(true) | Err(_)) {
            self.work.outgoing[field.index()].remove(self.row);
        }
    }

    /// Puts a tag on the event, unless it has it. Tags are added when the batch is done: `tags` does not read as
    /// changed before.
    pub fn tag(&mut self, tag: &str) {
        if !self.work.tags.iter().any(|known| known == tag) {
            self.work.tags.push(tag.to_owned());
        }
    }

    /// Takes the event out of the pipeline. What this call still does with it is for nothing.
    pub fn drop_event(&mut self) {
        self.work.drops.insert(self.row);
    }

    /// Makes another event: a copy of this one as it entered this step. `build` changes it and says what became of it.
    pub fn emit_copy(&mut self, build: impl FnOnce(&mut Event<'_>) -> Result<Outcome, Failure>) {
        self.emit(self.input_row, build);
    }

    /// Makes another event, without any field. `build` fills it and says what became of it.
    pub fn emit_empty(&mut self, build: impl FnOnce(&mut Event<'_>) -> Result<Outcome, Failure>) {
        self.emit(usize::MAX, build);
    }

    fn emit(&mut self, input_row: usize, build: impl FnOnce(&mut Event<'_>) -> Result<Outcome, Failure>) {
        let row = self.work.add(u32::try_from(input_row).unwrap_or(u32::MAX));
        let tags = std::mem::take(&mut self.work.tags);
        let mut scratch = Scratch::default();
        let result = build(&mut Event {
            incoming: self.incoming,
            work: &mut *self.work,
            scratch: scratch.end(),
            row,
            input_row,
        });
        self.work.settle(row, result);
        self.work.tags = tags;
    }

    /// Adds to one of the filter's counters; told to the host once a batch.
    pub fn count(&mut self, metric: &'static str, by: u64) {
        self.work.count(metric, by);
    }

    /// Nanoseconds since 1970-01-01T00:00:00Z; the same for a whole batch.
    pub fn now(&self) -> i64 {
        self.work.now()
    }

    /// Renders a template that the plan made.
    ///
    /// # Errors
    /// If the template holds an illegal field reference or date pattern.
    pub fn render(&self, template: &Template) -> Result<String, Failure> {
        let mut text = String::new();
        self.render_into(template, &mut text)?;
        Ok(text)
    }

    /// Renders a template at the end of `text`.
    ///
    /// # Errors
    /// As for [`Event::render`].
    pub fn render_into(&self, template: &Template, text: &mut String) -> Result<(), Failure> {
        let timestamp = match template.timestamp.and_then(|field| self.get(field)) {
            Some(Value::Timestamp(nanoseconds)) => Some(nanoseconds),
            _ => None,
        };
        let lookup = |index: usize| template.fields.get(index).and_then(|field| self.get(*field));
        template.render(text, lookup, timestamp, || self.now()).map_err(Failure::new)
    }

    /// What the field itself holds, without a look at what lies around it.
    fn own(&self, field: Field) -> Option<Value<'b>> {
        match self.change(field) {
            Change::Set(placed) => self.value_of(placed),
            Change::Removed => None,
            Change::None => self.incoming.value(field.index(), self.input_row),
        }
    }

    #[inline]
    fn change(&self, field: Field) -> Change {
        let outgoing = &self.work.outgoing[field.index()];
        if outgoing.touched { outgoing.change(self.row) } else { Change::None }
    }

    fn value_of(&self, placed: Placed) -> Option<Value<'b>> {
        Some(match placed {
            Placed::Null => Value::Null,
            Placed::Boolean(value) => Value::Boolean(value),
            Placed::Integer(value) => Value::Integer(value),
            Placed::Float(value) => Value::Float(value),
            Placed::Timestamp(value) => Value::Timestamp(value),
            Placed::Text(start, length) => Value::Text(self.text_of(start, length)?),
            Placed::Json(start, length) => Value::Json(self.text_of(start, length)?),
        })
    }

    fn text_of(&self, start: u32, length: u32) -> Option<&'b str> {
        if start & KERNEL_PLACE != 0 {
            return None;
        }
        let (start, length) = (start as usize, length as usize);
        match start.checked_sub(self.incoming.text.len()) {
            None => self.incoming.text.get(start..start + length),
            Some(own) => self.work.text.get(own..own + length).map(|text| self.scratch.keep(text.to_owned())),
        }
    }

    /// The value of a field, with what was changed below it, or what a list or map above it holds.
    fn with_what_lies_around(&self, field: Field, own: Option<Value<'b>>) -> Option<Value<'b>> {
        let info = self.work.fields.get(field);
        // An element of a list that was changed is what the list holds now.
        for above in info.above.iter().rev() {
            if let Change::Set(placed @ Placed::Json(..)) = self.change(*above)
                && let Some(Value::Json(text)) = self.value_of(placed)
                && text.starts_with('[')
            {
                return self.found_in(text, *above, field);
            }
        }
        if !matches!(own, None | Some(Value::Object))
            && !matches!(own, Some(Value::Json(text)) if is_map(text))
        {
            return own;
        }
        // A field that the host was not asked for is what is known of the fields around it.
        let unasked = self.incoming.column(field.index()).is_none();
        let changed_below = info.below.iter().any(|below| self.change(*below) != Change::None);
        if changed_below || unasked && !info.below.is_empty() {
            let map = self.assembled(field, own, unasked);
            if map.is_some() {
                return map;
            }
        }
        if own.is_some() || !unasked || self.change(field) != Change::None {
            return own;
        }
        for above in info.above.iter().rev() {
            if self.change(*above) == Change::Removed {
                return None;
            }
            if let Some(Value::Json(text)) = self.own(*above) {
                return self.found_in(text, *above, field);
            }
        }
        None
    }

    fn assembled(&self, field: Field, own: Option<Value<'b>>, unasked: bool) -> Option<Value<'b>> {
        let info = self.work.fields.get(field);
        let depth = info.reference.fragments().len();
        let mut map = match own {
            Some(Value::Json(text)) => serde_json::from_str(text).ok()?,
            _ => Json::Object(serde_json::Map::new()),
        };
        let mut there = own.is_some();
        for below in &info.below {
            let path = &self.work.fields.get(*below).reference.fragments()[depth..];
            let value = match self.change(*below) {
                Change::Removed => {
                    json::delete(&mut map, path);
                    continue;
                }
                Change::Set(placed) => self.value_of(placed),
                Change::None if unasked => self.incoming.value(below.index(), self.input_row),
                Change::None => None,
            };
            if let Some(value) = value.filter(|value| *value != Value::Object) {
                // It fails only where an outer field is a scalar; then nothing is below it.
                let _ = json::write(&mut map, path, json::to_json(value));
                there = true;
            }
        }
        match (there, info.whole) {
            (false, _) => None,
            (true, false) => Some(Value::Object),
            (true, true) => Some(Value::Json(self.scratch.keep(map.to_string()))),
        }
    }

    /// What a list or map in the field `above` holds of a field below.
    fn found_in(&self, text: &str, above: Field, field: Field) -> Option<Value<'b>> {
        let depth = self.work.fields.get(above).reference.fragments().len();
        let around: Json = serde_json::from_str(text).ok()?;
        let found = json::find(&around, &self.work.fields.get(field).reference.fragments()[depth..])?;
        Some(self.kept(found))
    }

    fn kept(&self, json: &Json) -> Value<'b> {
        match json {
            Json::String(text) => Value::Text(self.scratch.keep(text.clone())),
            Json::Number(number) => Value::from_json_number(self.scratch.keep(number.to_string())),
            Json::Null => Value::Null,
            Json::Bool(value) => Value::Boolean(*value),
            other => Value::Json(self.scratch.keep(other.to_string())),
        }
    }

    /// Whether `field` may be set to `value` (or removed), and what this changes above and below it. True: a list above it
    /// took the change, and nothing is left to do.
    fn change_what_lies_around(
        &mut self,
        field: Field,
        value: Option<Value<'_>>,
        guarded: bool,
    ) -> Result<bool, Failure> {
        if let Some(value) = value {
            self.check_may_hold(field, value, guarded)?;
        }
        let info = self.work.fields.get(field);
        for above in &info.above {
            if !self.work.is_touched(*above)
                && matches!(
                    self.incoming.column(above.index()),
                    None | Some(Column::Absent | Column::Object(_))
                )
            {
                continue;
            }
            match self.own(*above) {
                None | Some(Value::Object) => {}
                Some(Value::Json(text)) if is_map(text) => {}
                Some(Value::Json(text)) if text.starts_with('[') => {
                    let above = *above;
                    let depth = self.work.fields.get(above).reference.fragments().len();
                    let path = &info.reference.fragments()[depth..];
                    let mut list: Json = serde_json::from_str(text)
                        .map_err(|error| Failure::new(format!("a list is no JSON: {error}")))?;
                    let changed = match value {
                        Some(value) => {
                            json::write(&mut list, path, json::to_json(value)).map_err(Failure::new)?
                        }
                        None => json::delete(&mut list, path),
                    };
                    if changed {
                        let text = list.to_string();
                        self.change_below(above, Some(Value::Json(&text)))?;
                        self.put(above, Value::Json(&text))?;
                    }
                    return Ok(true);
                }
                Some(_) if value.is_none() => return Ok(true),
                Some(_) => {
                    return Err(Failure::new(format!(
                        "{} cannot be set, as {} is no map",
                        info.reference,
                        self.work.fields.get(*above).reference
                    )));
                }
            }
        }
        if !info.below.is_empty() {
            self.change_below(field, value)?;
        }
        Ok(false)
    }

    fn check_may_hold(&self, field: Field, value: Value<'_>, guarded: bool) -> Result<(), Failure> {
        let info = self.work.fields.get(field);
        if !info.written {
            return Err(Failure::new(format!(
                "the filter did not declare that it writes {}",
                info.reference
            )));
        }
        match info.guard {
            Guard::Free => Ok(()),
            Guard::BelowTags => {
                Err(Failure::new(format!("{} cannot be set, as tags is no map", info.reference)))
            }
            Guard::Timestamp if guarded && !matches!(value, Value::Timestamp(_)) => {
                Err(Failure::new("@timestamp can only be set to a timestamp"))
            }
            Guard::Tags if !is_tags(value) => {
                Err(Failure::new("tags can only be set to a text or a list of texts"))
            }
            Guard::Metadata
                if !matches!(value, Value::Json(text) if is_map(text)) && value != Value::Object =>
            {
                Err(Failure::new("[@metadata] can only be set to a map"))
            }
            Guard::Timestamp | Guard::Tags | Guard::Metadata => Ok(()),
        }
    }

    /// Gives the fields below one that is set (or removed) what they have then.
    fn change_below(&mut self, field: Field, value: Option<Value<'_>>) -> Result<(), Failure> {
        let depth = self.work.fields.get(field).reference.fragments().len();
        let around = match value {
            Some(Value::Json(text)) => serde_json::from_str(text).unwrap_or(Json::Null),
            _ => Json::Null,
        };
        for index in 0..self.work.fields.get(field).below.len() {
            let below = self.work.fields.get(field).below[index];
            if around.is_array() {
                // A list is one value: what is in it is read from there, and never sent by itself.
                self.work.outgoing[below.index()].forget(self.row);
                continue;
            }
            let path = &self.work.fields.get(below).reference.fragments()[depth..];
            match json::find(&around, path) {
                Some(found) if !found.is_object() => {
                    let mut text = String::new();
                    self.put(below, json::from_json(found, &mut text))?;
                }
                _ if self.own(below).is_some() => self.work.outgoing[below.index()].remove(self.row),
                _ => {}
            }
        }
        Ok(())
    }

    #[inline(always)]
    fn put(&mut self, field: Field, value: Value<'_>) -> Result<(), Failure> {
        let Value::Text(text) = value else { return self.put_other(field, value) };
        let start = self.work.place(self.incoming, text)?;
        self.work.set_text(field, self.row, start, text.len() as u32);
        Ok(())
    }

    fn put_other(&mut self, field: Field, value: Value<'_>) -> Result<(), Failure> {
        let placed = match value {
            Value::Null => Placed::Null,
            Value::Boolean(value) => Placed::Boolean(value),
            Value::Integer(value) => Placed::Integer(value),
            Value::Float(value) => Placed::Float(value),
            Value::Timestamp(value) => Placed::Timestamp(value),
            Value::Text(text) => Placed::Text(self.work.place(self.incoming, text)?, text.len() as u32),
            Value::Json(text) if is_map(text) && text != "{}" && !self.work.fields.get(field).whole => {
                return Err(Failure::new(format!(
                    "{} was not declared whole, so it cannot be set to a map",
                    self.work.fields.get(field).reference
                )));
            }
            Value::Json(text) => Placed::Json(self.work.place(self.incoming, text)?, text.len() as u32),
            Value::Object => Placed::Json(self.work.place(self.incoming, "{}")?, 2),
        };
        self.work.set(field, self.row, placed);
        Ok(())
    }
}

fn is_map(json: &str) -> bool {
    json.starts_with('{')
}

fn is_tags(value: Value<'_>) -> bool {
    match value {
        Value::Text(_) => true,
        Value::Json(text) => match serde_json::from_str(text) {
            Ok(Json::Array(list)) => list.iter().all(Json::is_string),
            _ => false,
        },
        _ => false,
    }
}
