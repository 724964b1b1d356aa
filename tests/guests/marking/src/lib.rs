//! A filter whose versions can be told apart: it writes its mark on every event. The tests make other versions of it by
//! changing the mark in the compiled module. It counts events over swaps, and it breaks when it is told to.

use weir_filter::{
    Event, Failure, Field, FieldReference, Filter, OptionDescription, OptionKind, Options, Outcome, Plan,
    Problems,
};

/// What the tests look for in the module and change.
static MARK: [u8; 16] = *b"mark-0000000000!";

/// Writes its mark.
#[derive(Debug)]
pub struct Marking {
    mark: String,
    target: Field,
    number: Option<Field>,
    seen: u64,
    break_after: Option<u64>,
    misdeed: Misdeed,
    refuse_state: bool,
}

#[derive(Debug, PartialEq)]
enum Misdeed {
    Trap,
    Loop,
    Fail,
}

const fn option(name: &'static str, kind: OptionKind, default: Option<&'static str>) -> OptionDescription {
    OptionDescription { name, kind, default, required: false, doc: "See the source.", example: "" }
}

impl Filter for Marking {
    const NAME: &'static str = "marking";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "marks events, for tests";
    const OPTIONS: &'static [OptionDescription] = &[
        option("target", OptionKind::Text, Some("\"mark\"")),
        option("count", OptionKind::Boolean, Some("false")),
        option("break_after", OptionKind::Text, None),
        option("misdeed", OptionKind::Text, Some("\"trap\"")),
        option("refuse_state", OptionKind::Boolean, Some("false")),
    ];
    const STATE_VERSION: u32 = 1;

    fn configure(options: &Options, plan: &mut Plan) -> Result<Self, Problems> {
        // Read as it is in the module, or the compiler would put what it is now everywhere.
        let mark = std::hint::black_box(&MARK);
        let target = FieldReference::parse(options.text("target").unwrap_or_default());
        let number = options.boolean("count").then(|| {
            plan.stateful();
            plan.write(&FieldReference::from_fragments(["number"]))
        });
        let misdeed = match options.text("misdeed") {
            Some("loop") => Misdeed::Loop,
            Some("fail") => Misdeed::Fail,
            Some("refuse") => {
                let mut problems = Problems::new();
                problems.push("/misdeed", "it was told to refuse", "");
                return Err(problems);
            }
            _ => Misdeed::Trap,
        };
        let target = target.unwrap_or_else(|_| FieldReference::from_fragments(["mark"]));
        Ok(Marking {
            mark: String::from_utf8_lossy(mark).into_owned(),
            target: plan.write(&target),
            number,
            seen: 0,
            break_after: options.text("break_after").and_then(|after| after.parse().ok()),
            misdeed,
            refuse_state: options.boolean("refuse_state"),
        })
    }

    fn filter(&mut self, event: &mut Event<'_>) -> Result<Outcome, Failure> {
        if self.break_after.is_some_and(|after| self.seen >= after) {
            match self.misdeed {
                Misdeed::Trap => panic!("on purpose"),
                Misdeed::Loop => loop {
                    std::hint::black_box(self.seen);
                },
                Misdeed::Fail => return Err(Failure::new("on purpose")),
            }
        }
        event.set(self.target, self.mark.as_str())?;
        if let Some(number) = self.number {
            event.set(number, i64::try_from(self.seen).unwrap_or(i64::MAX))?;
        }
        self.seen += 1;
        Ok(Outcome::Matched)
    }

    fn save(&self) -> Vec<u8> {
        self.seen.to_be_bytes().to_vec()
    }

    fn restore(&mut self, state_version: u32, state: &[u8]) -> Result<(), String> {
        if self.refuse_state {
            return Err("it was told to refuse".to_owned());
        }
        let state: [u8; 8] = state.try_into().map_err(|_| format!("{} bytes are no number", state.len()))?;
        self.seen = u64::from_be_bytes(state) + u64::from(state_version - 1);
        Ok(())
    }
}

weir_filter::export!(Marking);
