//! The kernel `patterns`: regular expressions that a guest compiles once and searches many texts with. What a pattern means
//! is in `event::pattern`; here a guest's arguments are checked, and the time and the memory that its calls may take.

mod texts;

use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource, ResourceType};

use super::guest_state::GuestState;
use super::interface::{Found, Replaced, Texts};
use crate::event::Pattern;

/// The most patterns that one filter may hold at once (wit/filter.wit).
pub(super) const MOST_PATTERNS: usize = 256;

type Store<'a> = StoreContextMut<'a, GuestState>;

/// Adds the interface to what guests may import.
pub(super) fn link(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    let mut patterns = linker.instance("weir:filter/patterns@0.1.0")?;
    patterns.resource("pattern", ResourceType::host::<Pattern>(), |mut store: Store, number| {
        store.data_mut().patterns.delete(Resource::<Pattern>::new_own(number))?;
        Ok(())
    })?;
    patterns.func_wrap("[static]pattern.compile", |mut store: Store, (pattern,): (String,)| {
        Ok((compile(store.data_mut(), &pattern)?,))
    })?;
    patterns.func_wrap("[method]pattern.names", |store: Store, (pattern,): (Resource<Pattern>,)| {
        let pattern = store.data().patterns.get(&pattern)?;
        Ok((pattern.names().map(str::to_owned).collect::<Vec<String>>(),))
    })?;
    patterns.func_wrap(
        "[method]pattern.captures",
        |mut store: Store, (pattern, input, text): CapturesArguments| {
            Ok((texts::captures(store.data_mut(), &pattern, &input, &text)?,))
        },
    )?;
    patterns.func_wrap(
        "[method]pattern.replace-all",
        |mut store: Store, (pattern, input, text, replacements): ReplaceArguments| {
            Ok((texts::replace_all(store.data_mut(), &pattern, &input, text, &replacements)?,))
        },
    )?;
    Ok(())
}

type CapturesArguments = (Resource<Pattern>, Texts, Vec<u8>);
type ReplaceArguments = (Resource<Pattern>, Texts, Vec<u8>, Texts);

/// The inner error is the guest's to report.
fn compile(state: &mut GuestState, pattern: &str) -> wasmtime::Result<Result<Resource<Pattern>, String>> {
    texts::end_when_late(state)?;
    let compiled = match Pattern::compile(pattern) {
        Ok(compiled) => compiled,
        Err(error) => return Ok(Err(error)),
    };
    Ok(state.patterns.push(compiled).map_err(|_| format!("more than {MOST_PATTERNS} patterns at once")))
}
