//! # {{name}}
//!
//! Hides long numbers in a text, such as those of cards and accounts: all of their digits but the last few.

use weir_filter::{
    Event, Failure, Field, FieldReference, Filter, OptionDescription, Options, Outcome, Plan, Problems,
};

weir_filter::options! {
    struct Settings {
        /// The field that is looked through. `source = "[http][body]"`
        source: FieldReference = "message",
        /// Shorter numbers are left as they are. `digits = 12`
        digits: usize = 9,
        /// How many digits at the end of a number stay. `keep = 0`
        keep: usize = 4,
    }
}

/// The filter.
pub struct {{Type}} {
    source: Field,
    digits: usize,
    keep: usize,
}

impl Filter for {{Type}} {
    const NAME: &'static str = env!("CARGO_PKG_NAME");
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "hides long numbers in a text";
    const MANUAL: &'static str = weir_filter::manual!();
    const OPTIONS: &'static [OptionDescription] = Settings::OPTIONS;

    fn configure(options: &Options, plan: &mut Plan) -> Result<Self, Problems> {
        let Settings { source, digits, keep } = Settings::read(options)?;
        Ok({{Type}} { source: plan.read_write(&source), digits, keep })
    }

    fn filter(&mut self, event: &mut Event<'_>) -> Result<Outcome, Failure> {
        let Some(text) = event.text(self.source) else { return Ok(Outcome::Ignored) };
        let (mut hidden, mut rest) = (String::new(), text);
        while let Some(start) = rest.find(|letter: char| letter.is_ascii_digit()) {
            let (before, number) = rest.split_at(start);
            let end = number.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(number.len());
            let stars = if end < self.digits { 0 } else { end.saturating_sub(self.keep) };
            hidden.push_str(before);
            hidden.extend(std::iter::repeat_n('*', stars));
            hidden.push_str(&number[stars..end]);
            rest = &number[end..];
        }
        hidden.push_str(rest);
        if hidden == text {
            return Ok(Outcome::Ignored);
        }
        event.set(self.source, &hidden)?;
        Ok(Outcome::Matched)
    }
}

weir_filter::export!({{Type}});

#[cfg(test)]
mod tests {
    use serde_json::json;
    use weir_filter::test::run;

    /// Those that are about the common options only `weir test` can run.
    #[test]
    fn the_cases_pass() {
        weir_filter::test::run_cases::<super::{{Type}}>("cases");
    }

    #[test]
    fn a_card_is_hidden() {
        let after = run::<super::{{Type}}>(&json!({"keep": 2}), json!({"message": "card 4111111111111111"}));
        assert_eq!(after.expect("no mistake").get("message"), Some(&json!("card **************11")));
    }
}
