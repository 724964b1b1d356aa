//! sprintf: a template rendered by a guest (mutate's `replace`) and by the host (`add_field`) is the same text, whatever
//! the template and the event.

use proptest::collection::vec;
use proptest::strategy::{BoxedStrategy, Strategy};
use serde_json::json;

use crate::campaign::Tried;
use crate::options::template;
use crate::through::{Through, documents, field};
use crate::values::{EVENTS, Event, event};

fn strategy() -> BoxedStrategy<(String, Vec<Event>)> {
    (template(), vec(event(), EVENTS)).boxed()
}

fn check(template: &str, events: &[Event]) -> Result<Tried, String> {
    let options = json!({
        "replace": { "by guest": template },
        "add_field": { "by host": template },
    });
    let step = ("mutate", options.as_object().cloned().expect("a map"));
    let Some(mut through) = Through::build(&[step])? else {
        return Err("templates are never refused, only events fail".to_owned());
    };
    let batch = through.batch(events);
    let out = through.process(batch)?;
    let mut rendered = 0;
    for (row, event) in events.iter().enumerate() {
        let (guest, host) = (field(&out.batch, row, "by guest"), field(&out.batch, row, "by host"));
        if guest != host {
            return Err(format!("{event:?}: the guest wrote {guest:?}, the host {host:?}"));
        }
        rendered += u64::from(guest.is_some());
    }
    documents(&out.batch)?;
    Ok(Tried::pairs(events.len(), rendered))
}

#[test]
fn sprintf() {
    crate::campaign::run("sprintf", 10, &strategy(), |(template, events)| check(template, events));
}
