//! A filter as a component: what `export!` makes of it, and what the native harness runs in its place.

use crate::boundary::columns::{Answer, Batch};
use crate::boundary::exported as wit;
use crate::events::Events;
use crate::filter::Filter;
use crate::incoming::Incoming;
use crate::options::{Environment, Options};
use crate::plan::Plan;
use crate::problems::Problems;
use crate::schema;
use crate::work::Work;

/// A filter that is configured, and what it works with.
#[derive(Debug)]
pub struct Component<F> {
    filter: F,
    work: Work,
}

impl<F: Filter> Component<F> {
    /// What the filter says of itself.
    pub fn describe() -> wit::Manifest {
        wit::Manifest {
            name: F::NAME.to_owned(),
            version: F::VERSION.to_owned(),
            summary: F::SUMMARY.to_owned(),
            options_schema: schema::of(F::OPTIONS).to_string(),
            manual: F::MANUAL.to_owned(),
            state_version: F::STATE_VERSION,
        }
    }

    /// Makes the filter from its options, a JSON object.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn configure(options: &str, environment: Environment) -> Result<(Self, wit::Plan), Problems> {
        let (options, mut problems) = Options::read(options, F::OPTIONS, environment)?;
        let mut plan = Plan::new();
        let filter = match F::configure(&options, &mut plan) {
            Ok(filter) => problems.into_result(filter)?,
            Err(others) => {
                problems.extend(others);
                return Err(problems);
            }
        };
        plan.complete();
        let declared = plan.to_boundary();
        Ok((Component { filter, work: Work::new(plan) }, declared))
    }

    /// One step of a batch. The batch's text is `text`, not what it holds itself.
    pub fn process(&mut self, step: u32, text: &str, batch: &Batch) -> Answer {
        let rows = batch.rows as usize;
        let columns = self.work.begin(rows, &batch.columns, &batch.others);
        let incoming = Incoming { rows, text, columns };
        self.filter.filter_batch(step, &mut Events { incoming: &incoming, work: &mut self.work });
        self.work.finish()
    }

    /// What the filter keeps.
    pub fn save(&self) -> Vec<u8> {
        self.filter.save()
    }

    /// Takes over what another instance kept.
    ///
    /// # Errors
    /// If it cannot.
    pub fn restore(&mut self, state_version: u32, state: &[u8]) -> Result<(), String> {
        self.filter.restore(state_version, state)
    }
}

impl From<wit::Environment> for Environment {
    fn from(environment: wit::Environment) -> Self {
        Environment {
            timezone: environment.timezone,
            locale: environment.locale,
            ecs_compatibility: environment.ecs_compatibility,
            common_options: environment.common_options,
        }
    }
}

/// The text of a batch. Mostly it is ASCII, which a look at many bytes at once tells.
///
/// # Panics
/// If it is not UTF-8, which no host sends.
pub fn text_of(bytes: Vec<u8>) -> String {
    if is_ascii(&bytes) {
        // SAFETY: no byte has its highest bit, and such bytes are UTF-8 whatever they are.
        return unsafe { String::from_utf8_unchecked(bytes) };
    }
    String::from_utf8(bytes).expect("the host sends UTF-8")
}

/// What `[u8]::is_ascii` says, in vectors: a look at the text of a batch is felt in small filters.
fn is_ascii(bytes: &[u8]) -> bool {
    let (blocks, rest) = bytes.as_chunks::<256>();
    for block in blocks {
        if block.iter().fold(0, |all, byte| all | byte) >= 0x80 {
            return false;
        }
    }
    rest.is_ascii()
}

/// Problems as they cross the boundary.
pub fn problems_to_boundary(problems: Problems) -> Vec<wit::Problem> {
    problems.into_boundary()
}

/// Makes a program the component of one filter. Only on wasm32: natively it is nothing, so filters can be tested and
/// several of them linked into one program. The crate's cases (`cases/*.toml`) go into the component with it.
#[macro_export]
macro_rules! export {
    ($filter:ty) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            use $crate::boundary::{columns, exported};
            type Running = $crate::component::Component<$filter>;

            ::std::thread_local! {
                static RUNNING: ::std::cell::RefCell<Option<Running>> = const { ::std::cell::RefCell::new(None) };
            }

            fn running<T>(work: impl FnOnce(&mut Running) -> T) -> T {
                RUNNING.with_borrow_mut(|running| work(running.as_mut().expect("the host configures a filter first")))
            }

            struct Exported;

            impl exported::Guest for Exported {
                fn describe() -> exported::Manifest {
                    Running::describe()
                }

                fn configure(
                    options: String,
                    environment: exported::Environment,
                ) -> Result<exported::Plan, Vec<exported::Problem>> {
                    let (component, plan) = Running::configure(&options, environment.into())
                        .map_err($crate::component::problems_to_boundary)?;
                    RUNNING.set(Some(component));
                    Ok(plan)
                }

                fn process(step: u32, mut events: columns::Batch) -> columns::Answer {
                    let text = $crate::component::text_of(::std::mem::take(&mut events.text));
                    running(|running| running.process(step, &text, &events))
                }

                fn save() -> Vec<u8> {
                    running(|running| running.save())
                }

                fn restore(state_version: u32, state: Vec<u8>) -> Result<(), String> {
                    running(|running| running.restore(state_version, &state))
                }
            }

            $crate::boundary::export_world!(Exported with_types_in $crate::boundary);
            $crate::embed_cases!();
        };
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_byte_beyond_ascii_is_seen_anywhere() {
        for length in [0, 1, 255, 256, 257, 600] {
            let mut bytes = vec![b'a'; length];
            assert!(is_ascii(&bytes), "{length}");
            for place in 0..length {
                bytes[place] = 0x80;
                assert!(!is_ascii(&bytes), "{place} of {length}");
                bytes[place] = 0x7f;
            }
        }
        assert_eq!(text_of("é".repeat(200).into_bytes()), "é".repeat(200));
    }
}
