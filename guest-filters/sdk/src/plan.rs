//! The plan: what a filter declares, in `configure`, that it reads and writes. The host sends and accepts nothing else.

use crate::boundary::exported as wit;
use crate::field_reference::FieldReference;
use crate::fields::Fields;
use crate::template::Template;

/// A field that a filter has declared, or found with [`crate::Event::field`] (then it holds for that batch only).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Field(pub(crate) u32);

impl Field {
    #[inline]
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// What a filter reads and writes, and how it wants to be called.
#[derive(Debug, Default)]
pub struct Plan {
    pub(crate) fields: Fields,
    pub(crate) everything_read: bool,
    pub(crate) everything_written: bool,
    pub(crate) stateful: bool,
    pub(crate) steps: u32,
    pub(crate) failure_tags: Vec<String>,
}

impl Plan {
    /// An empty plan, of one step.
    pub fn new() -> Self {
        Plan { steps: 1, ..Plan::default() }
    }

    /// A field to read. A map reads as [`crate::Value::Object`].
    pub fn read(&mut self, reference: &FieldReference) -> Field {
        self.fields.declare(reference, true, false, false)
    }

    /// A field to write. What lies above it is read too, so that writing below something that is no map can be refused.
    pub fn write(&mut self, reference: &FieldReference) -> Field {
        self.fields.declare(reference, false, true, false)
    }

    /// A field to read and write.
    pub fn read_write(&mut self, reference: &FieldReference) -> Field {
        self.fields.declare(reference, true, true, false)
    }

    /// A field to read with all that lies below it: a map reads as JSON.
    pub fn read_whole(&mut self, reference: &FieldReference) -> Field {
        self.fields.declare(reference, true, false, true)
    }

    /// A field to write: a map that is set becomes fields.
    pub fn write_whole(&mut self, reference: &FieldReference) -> Field {
        self.fields.declare(reference, false, true, true)
    }

    /// A field to read and write with all that lies below it.
    pub fn read_write_whole(&mut self, reference: &FieldReference) -> Field {
        self.fields.declare(reference, true, true, true)
    }

    /// The filter reads fields that it cannot name beforehand: it gets all of every event.
    pub fn everything_read(&mut self) {
        self.everything_read = true;
    }

    /// The filter writes fields that it cannot name beforehand (see [`crate::Event::field`]).
    pub fn everything_written(&mut self) {
        self.everything_written = true;
    }

    /// The filter keeps something from event to event: batches come in order, to one instance.
    pub fn stateful(&mut self) {
        self.stateful = true;
    }

    /// How many steps a batch goes through; see [`crate::Filter::filter_step`].
    pub fn steps(&mut self, steps: u32) {
        self.steps = steps.max(1);
    }

    /// Tags for an event on which the filter, or one of its common options, fails.
    pub fn failure_tags(&mut self, tags: &[String]) {
        self.failure_tags = tags.to_vec();
    }

    /// A text with `%{…}` in it, to be rendered with [`crate::Event::render`]. What it refers to is declared as read.
    /// A mistake in it (an illegal field reference, a date pattern that is none) shows only when it is rendered, as in
    /// Logstash; [`Template::problem`] tells it at once.
    pub fn template(&mut self, text: &str) -> Template {
        self.read_template(Template::parse(text))
    }

    /// Declares what a template refers to as read, as [`Plan::template`] does for a text: for a template that came from an
    /// option ([`crate::options!`]).
    pub fn read_template(&mut self, mut template: Template) -> Template {
        template.fields = template.references().iter().map(|reference| self.read_whole(reference)).collect();
        if template.needs_timestamp() {
            template.timestamp = Some(self.read(&FieldReference::from_fragments(["@timestamp"])));
        }
        template
    }

    /// Ends the declarations: who writes everything may also write what was declared as read only, under a name that an
    /// event says.
    pub(crate) fn complete(&mut self) {
        if self.everything_written {
            self.fields.declare_all_written();
        }
    }

    pub(crate) fn to_boundary(&self) -> wit::Plan {
        let access = |read: bool, write: bool| {
            let mut access = wit::Access::empty();
            access.set(wit::Access::READ, read);
            access.set(wit::Access::WRITE, write);
            access
        };
        let fields = self
            .fields
            .iter()
            .map(|field| wit::Planned {
                path: field.reference.fragments().to_vec(),
                access: access(field.read, field.written),
                extent: if field.whole { wit::Extent::Whole } else { wit::Extent::One },
            })
            .collect();
        wit::Plan {
            fields,
            everything: access(self.everything_read, self.everything_written),
            stateful: self.stateful,
            steps: self.steps,
            failure_tags: self.failure_tags.clone(),
        }
    }
}
