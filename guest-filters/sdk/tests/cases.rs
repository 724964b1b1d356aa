//! Cases that run natively: what passes, what is wrong with its place, and what only `weir test` can run.

use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use weir_filter::test::run_cases;
use weir_filter::{
    Event, Failure, Field, FieldReference, Filter, OptionDescription, Options, Outcome, Plan, Problems, host,
};

/// Numbers events and drops every third.
struct Numbering {
    number: i64,
    fields: [Field; 2],
}

impl Filter for Numbering {
    const NAME: &'static str = "numbering";
    const VERSION: &'static str = "1";
    const SUMMARY: &'static str = "numbers events";
    const OPTIONS: &'static [OptionDescription] = &[];

    fn configure(_: &Options, plan: &mut Plan) -> Result<Self, Problems> {
        plan.stateful();
        let mut field = |name| plan.write(&FieldReference::from_fragments([name]));
        Ok(Numbering { number: 0, fields: [field("number"), field("now")] })
    }

    fn filter(&mut self, event: &mut Event<'_>) -> Result<Outcome, Failure> {
        self.number += 1;
        let [number, now] = self.fields;
        event.set(number, self.number)?;
        event.set(now, host::now())?;
        if self.number % 3 == 0 {
            event.drop_event();
        }
        Ok(Outcome::Matched)
    }

    fn save(&self) -> Vec<u8> {
        self.number.to_be_bytes().to_vec()
    }

    fn restore(&mut self, _: u32, state: &[u8]) -> Result<(), String> {
        self.number = i64::from_be_bytes(state.try_into().map_err(|_| "no state of this filter")?);
        Ok(())
    }
}

fn folder(name: &str, cases: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("cases-{name}"));
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join("a.toml"), cases).expect("a file");
    std::fs::write(folder.join("events.jsonl"), "{\"a\": 1}\n{\"a\": 2}\n").expect("a file");
    folder
}

const CASES: &str = r#"
[[case]]
name = "batches, a clock, and a file"
clock = "1970-01-01T00:00:01Z"
[[case.batches]]
input_file = "events.jsonl"
expect.events = [{ number = 1, a = 1 }, { number = 2, now = 1000000000 }]
[[case.batches]]
save_and_restore = true
clock = "1970-01-01T00:00:02Z"
input = [{}, {}]
expect.fields = { number = 4, now = 2000000000, "@version" = "1" }

[[case]]
name = "an option that is none"
options.x = 1
expect.error = "config"

[[case]]
name = "the host's"
options.add_tag = ["x"]
expect.tags = ["x"]

[[case]]
name = "breaks"
expect.breaks = "trap"
"#;

#[test]
fn cases_pass_or_are_left_out() {
    let run = run_cases::<Numbering>(folder("pass", CASES));
    assert_eq!(run.passed, 2);
    assert_eq!(run.left_out.len(), 2, "{run:?}");
    assert!(run.left_out[0].contains("a.toml:19: the host's"), "{run:?}");
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let wrong = |name: &str, cases: &str, parts: &[&str]| {
        let folder = folder(name, cases);
        let panic = catch_unwind(|| run_cases::<Numbering>(folder)).expect_err("it is wrong");
        let text = panic.downcast_ref::<String>().expect("a message");
        for part in parts {
            assert!(text.contains(part), "{part:?} is not in {text}");
        }
    };
    wrong(
        "different",
        "[[case]]\nname = \"n\"\nexpect.fields.number = 2\n[[case]]\nname = \"m\"\noptions.x = 1\nexpect = {}\n",
        &["2 of 2 cases", "a.toml:1: n: [number]\n  expected  2\n  found     1", "a.toml:4: m: options"],
    );
    wrong("unknown", "[[case]]\nname = \"n\"\nexpect.field.a = 2\n", &["unknown part `field`"]);
    wrong("syntax", "[[case]]\nname =\n", &["a.toml:2:"]);
    wrong("none", "# nothing\n", &["there are no cases"]);
}
