//! What a filter keeps and asks for: state that is saved and restored, log lines, the time, random bytes.

use serde_json::json;
use weir_filter::component::Component;
use weir_filter::host::Level;
use weir_filter::{
    Environment, Event, Failure, Field, FieldReference, Filter, OptionDescription, Options, Outcome, Plan,
    Problems, host, native, test,
};

/// Numbers events, and says when and with which random byte.
struct Numbering {
    number: u64,
    fields: [Field; 3],
}

impl Filter for Numbering {
    const NAME: &'static str = "numbering";
    const VERSION: &'static str = "1";
    const SUMMARY: &'static str = "numbers events";
    const OPTIONS: &'static [OptionDescription] = &[];
    const STATE_VERSION: u32 = 2;

    fn configure(_: &Options, plan: &mut Plan) -> Result<Self, Problems> {
        plan.stateful();
        let mut field = |name| plan.write(&FieldReference::from_fragments([name]));
        Ok(Numbering { number: 0, fields: [field("number"), field("now"), field("random")] })
    }

    fn filter(&mut self, event: &mut Event<'_>) -> Result<Outcome, Failure> {
        self.number += 1;
        host::log(Level::Info, &format!("event {}", self.number));
        let [number, now, random] = self.fields;
        event.set(number, self.number as i64)?;
        event.set(now, event.now())?;
        event.set(random, u32::from(host::random(1)[0]))?;
        Ok(Outcome::Matched)
    }

    fn save(&self) -> Vec<u8> {
        self.number.to_be_bytes().to_vec()
    }

    fn restore(&mut self, state_version: u32, state: &[u8]) -> Result<(), String> {
        let bytes = state.try_into().map_err(|_| format!("{} bytes are no number", state.len()))?;
        if state_version != Self::STATE_VERSION {
            return Err(format!("version {state_version} is another one"));
        }
        self.number = u64::from_be_bytes(bytes);
        Ok(())
    }
}

#[test]
fn state_goes_from_one_instance_to_the_next() {
    let configured = || Component::<Numbering>::configure("{}", Environment::default()).expect("no options");
    let (mut first, plan) = configured();
    assert!(plan.stateful);
    first.restore(2, &41_u64.to_be_bytes()).expect("its own state");
    let (mut second, _) = configured();
    second.restore(2, &first.save()).expect("the first one's state");
    assert_eq!(second.save(), 41_u64.to_be_bytes());
    assert_eq!(second.restore(1, &first.save()), Err("version 1 is another one".to_owned()));
    assert_eq!(second.restore(2, b"x"), Err("1 bytes are no number".to_owned()));
    assert_eq!(Component::<Numbering>::describe().state_version, 2);
}

#[test]
fn time_and_chance_are_the_hosts() {
    let run = |seed| {
        native::set_now(1_000);
        native::set_seed(seed);
        let events = test::run_all::<Numbering>(&json!({}), &Environment::default(), &[json!({}), json!({})]);
        let events = events.expect("no options");
        assert_eq!(
            native::take_log(),
            [(Level::Info, "event 1".to_owned()), (Level::Info, "event 2".to_owned())]
        );
        assert_eq!((events[1].get("number"), events[1].get("now")), (Some(&json!(2)), Some(&json!(1_000))));
        events.iter().map(|event| event.get("random").cloned()).collect::<Vec<_>>()
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8_000_000_007));
}
