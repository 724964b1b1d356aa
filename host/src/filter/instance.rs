//! One instance of a guest: its calls under a deadline, and what its end is called. An instance that broke is never
//! called again; making a new one and trying again is left to `chain`.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use wasmtime::component::{ComponentExportIndex, Func};
use wasmtime::{Store, Trap};

use super::component::FilterCode;
use super::engine::Engine;
use super::guest_state::GuestState;
use super::interface::{Answer, Batch, Environment, Manifest, Plan, Problem};

/// What one call may make the host allocate beyond the guest's memory limit, in bytes.
const HOST_ALLOCATION_SLACK: usize = 16 << 20;

/// The most bytes of one filter's state.
pub(super) const LARGEST_STATE: usize = 16 << 20;

/// The longest text of a guest that is shown to people, in bytes; the rest is cut off.
const LONGEST_TEXT: usize = 2048;

/// An instance and its store.
pub(super) struct Instance {
    store: Store<GuestState>,
    instance: wasmtime::component::Instance,
    process: Func,
    /// Whether the engine counts fuel, see `fuel`.
    is_metered: bool,
}

/// How a guest broke.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Break {
    /// A word for the figures.
    pub(super) kind: &'static str,
    /// A sentence.
    pub(super) message: String,
}

impl Break {
    /// A guest whose answer contradicts the batch, its plan or itself.
    pub(super) fn lying_answer(message: impl Into<String>) -> Self {
        Break { kind: "answer", message: message.into() }
    }
}

impl Instance {
    /// A new instance, not configured.
    pub(super) fn start(code: &FilterCode, state: GuestState) -> Result<Self> {
        let memory = state.limits.most();
        let deadline = state.deadline;
        let mut store = Store::new(code.instance.engine(), state);
        store.limiter(|state| &mut state.limits);
        store.set_hostcall_fuel(memory.saturating_add(HOST_ALLOCATION_SLACK));
        set_deadline(&mut store, deadline);
        // Refused by every engine but the one of `fuel`, which is not to run out of it.
        let is_metered = store.set_fuel(u64::MAX).is_ok();
        let instance = code
            .instance
            .instantiate(&mut store)
            .map_err(|error| anyhow!("the filter does not start: {}", explain(&store, &error).message))?;
        let process = function(&mut store, &instance, &code.exports.process)?;
        Ok(Instance { store, instance, process, is_metered })
    }

    /// What the guest says of itself.
    pub(super) fn describe(&mut self, code: &FilterCode) -> Result<Manifest> {
        let function = function(&mut self.store, &self.instance, &code.exports.describe)?;
        let typed = function.typed::<(), (Manifest,)>(&self.store).map_err(other_interface)?;
        self.limit_call();
        match typed.call(&mut self.store, ()) {
            Ok((manifest,)) => Ok(Manifest {
                name: cut(manifest.name),
                version: cut(manifest.version),
                summary: cut(manifest.summary),
                ..manifest
            }),
            Err(error) => {
                Err(anyhow!("the filter broke in describe: {}", explain(&self.store, &error).message))
            }
        }
    }

    /// Gives the guest its options; answers its plan or what it finds wrong.
    pub(super) fn configure(
        &mut self,
        code: &FilterCode,
        options: &str,
        environment: Environment,
    ) -> Result<Result<Plan, Vec<Problem>>> {
        type Configured = (Result<Plan, Vec<Problem>>,);
        let function = function(&mut self.store, &self.instance, &code.exports.configure)?;
        let typed =
            function.typed::<(&str, Environment), Configured>(&self.store).map_err(other_interface)?;
        self.limit_call();
        self.store.data_mut().configuring = true;
        let called = typed.call(&mut self.store, (options, environment));
        self.store.data_mut().configuring = false;
        match called {
            Ok((answer,)) => {
                // Here, so that a guest of another interface is found when a pipeline is checked.
                self.process.typed::<(u32, Batch<'_>), (Answer,)>(&self.store).map_err(other_interface)?;
                Ok(answer)
            }
            Err(error) => {
                Err(anyhow!("the filter broke in configure: {}", explain(&self.store, &error).message))
            }
        }
    }

    /// One step over some events.
    pub(super) fn process(
        &mut self,
        step: u32,
        events: Batch<'_>,
        deadline: Duration,
    ) -> Result<Answer, Break> {
        // The parameters borrow the batch, so the function is typed anew for each call: 1 µs a batch, and no lifetime
        // has to be made up.
        let typed = match self.process.typed::<(u32, Batch<'_>), (Answer,)>(&self.store) {
            Ok(typed) => typed,
            Err(error) => return Err(explain(&self.store, &error)),
        };
        set_deadline(&mut self.store, deadline);
        self.store.data_mut().kernel_texts.clear();
        let before = self.fuel();
        let called = typed.call(&mut self.store, (step, events));
        self.store.data().counts.fuel.fetch_add(before - self.fuel(), Ordering::Relaxed);
        match called {
            Ok((answer,)) => {
                let (bytes, most) = (answer.bytes(), self.store.data().output);
                if bytes > most {
                    let message =
                        format!("its answer has {bytes} bytes, at most {most} are taken (limits.output)");
                    return Err(Break { kind: "output", message });
                }
                Ok(answer)
            }
            Err(error) => Err(explain(&self.store, &error)),
        }
    }

    /// What the guest wants kept for the instance that takes its place.
    pub(super) fn save(&mut self, code: &FilterCode) -> Result<Vec<u8>> {
        let function = function(&mut self.store, &self.instance, &code.exports.save)?;
        let typed = function.typed::<(), (Vec<u8>,)>(&self.store).map_err(other_interface)?;
        self.limit_call();
        let called = typed.call(&mut self.store, ());
        let (state,) = called
            .map_err(|error| anyhow!("the filter broke in save: {}", explain(&self.store, &error).message))?;
        if state.len() > LARGEST_STATE {
            bail!("the filter's state has {} bytes, at most {LARGEST_STATE} are kept", state.len());
        }
        Ok(state)
    }

    /// Gives the guest what another instance saved. The inner error is what it says against that; when it broke, it must not
    /// be called again.
    pub(super) fn restore(
        &mut self,
        code: &FilterCode,
        version: u32,
        state: &[u8],
    ) -> Result<Result<(), String>> {
        let function = function(&mut self.store, &self.instance, &code.exports.restore)?;
        let typed =
            function.typed::<(u32, &[u8]), (Result<(), String>,)>(&self.store).map_err(other_interface)?;
        self.limit_call();
        match typed.call(&mut self.store, (version, state)) {
            Ok((answer,)) => Ok(answer.map_err(cut)),
            Err(error) => {
                Err(anyhow!("the filter broke in restore: {}", explain(&self.store, &error).message))
            }
        }
    }

    /// The fuel that is left; 0 where the engine counts none.
    fn fuel(&self) -> u64 {
        if self.is_metered { self.store.get_fuel().unwrap_or(0) } else { 0 }
    }

    /// What the host keeps for the instance.
    pub(super) fn state(&self) -> &GuestState {
        self.store.data()
    }

    /// The same, to be changed between calls.
    pub(super) fn state_mut(&mut self) -> &mut GuestState {
        self.store.data_mut()
    }

    fn limit_call(&mut self) {
        let deadline = self.store.data().deadline;
        set_deadline(&mut self.store, deadline);
    }
}

fn function(
    store: &mut Store<GuestState>,
    instance: &wasmtime::component::Instance,
    index: &ComponentExportIndex,
) -> Result<Func> {
    instance.get_func(store, index).context("the filter's interface has something else in a function's place")
}

fn set_deadline(store: &mut Store<GuestState>, deadline: Duration) {
    store.data_mut().ends = Instant::now() + deadline;
    store.set_epoch_deadline(Engine::ticks_of(deadline));
}

/// A text of a guest that is shown to people.
pub(super) fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(LONGEST_TEXT));
    text
}

fn other_interface(error: wasmtime::Error) -> anyhow::Error {
    anyhow!("the filter was built for another version of the interface weir:filter: {error:#}")
}

/// What a failed call was about.
fn explain(store: &Store<GuestState>, error: &wasmtime::Error) -> Break {
    let broke = |kind, message: String| Break { kind, message };
    if store.data().limits.refused {
        let most = store.data().limits.most();
        return broke("memory", format!("it needs more than its {most} bytes of memory"));
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => broke("deadline", "it did not finish within its deadline".to_owned()),
        Some(Trap::StackOverflow) => broke("stack", "its calls go deeper than its stack".to_owned()),
        Some(Trap::UnreachableCodeReached) => broke("trap", "it stopped itself (a panic)".to_owned()),
        Some(trap) => broke("trap", format!("it broke off: {trap}")),
        None => {
            let cause = error.root_cause().to_string();
            if cause.contains("fuel allocated for hostcalls") {
                // The engine has no type for it.
                return broke("output", "it gives more to the host at once than its memory holds".to_owned());
            }
            broke("trap", format!("it broke off: {cause}"))
        }
    }
}
