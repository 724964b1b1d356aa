//! What guests may call: the interfaces `host`, `addresses` and `patterns` of wit/filter.wit. A guest's arguments are checked here; a
//! bad one ends the call with an error or a trap, never the host.

use std::time::{Duration, Instant};

use anyhow::Result;
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource, ResourceType};

use super::addresses::OpenDatabase;
use super::engine::Engine;
use super::guest_state::{GuestState, MOST_DATABASES};
use super::interface::{Column, Level, Texts};
use super::patterns;

/// The most random bytes that one call gives (wit/filter.wit).
const MOST_RANDOM_BYTES: u32 = 65_536;

/// The longest message that is logged, in bytes; what is longer is cut.
const LONGEST_MESSAGE: usize = 4096;

type Store<'a> = StoreContextMut<'a, GuestState>;

/// All that any guest may import. Whether a guest may have a kernel is asked when a chain is built.
pub(super) fn linker(engine: &wasmtime::Engine) -> Result<Linker<GuestState>> {
    let mut linker = Linker::new(engine);
    let mut host = linker.instance("weir:filter/host@0.1.0")?;
    host.func_wrap("log", |mut store: Store, (level, message): (Level, String)| {
        log(store.data_mut(), level, &message);
        Ok(())
    })?;
    host.func_wrap("count", |store: Store, (metric, by): (String, u64)| {
        store.data().counts.add_counter(&metric, by);
        Ok(())
    })?;
    host.func_wrap("now", |store: Store, (): ()| Ok((store.data().now,)))?;
    host.func_wrap("random", |mut store: Store, (bytes,): (u32,)| {
        if bytes > MOST_RANDOM_BYTES {
            wasmtime::bail!("asked for {bytes} random bytes at once, at most {MOST_RANDOM_BYTES} are given");
        }
        let mut random = vec![0; bytes as usize];
        store.data_mut().fill_random(&mut random);
        Ok((random,))
    })?;

    let mut addresses = linker.instance("weir:filter/addresses@0.1.0")?;
    addresses.resource("database", ResourceType::host::<OpenDatabase>(), |mut store: Store, number| {
        store.data_mut().databases.delete(Resource::<OpenDatabase>::new_own(number))?;
        Ok(())
    })?;
    addresses.func_wrap("[static]database.open", |mut store: Store, (path,): (String,)| {
        let began = Instant::now();
        let opened = open_database(store.data_mut(), &path)?;
        give_back(&mut store, began.elapsed());
        Ok((opened,))
    })?;
    addresses.func_wrap(
        "[method]database.kind",
        |store: Store, (database,): (Resource<OpenDatabase>,)| {
            Ok((store.data().databases.get(&database)?.kind().to_owned(),))
        },
    )?;
    addresses.func_wrap(
        "[method]database.lookup",
        |mut store: Store, (database, addresses, text, paths): LookupArguments| {
            let state = store.data_mut();
            let database = state.databases.get_mut(&database)?;
            let answer = database.lookup(&addresses, &text, &paths, &mut state.kernel_texts)?;
            Ok((answer,))
        },
    )?;
    patterns::link(&mut linker)?;
    Ok(linker)
}

type LookupArguments = (Resource<OpenDatabase>, Texts, Vec<u8>, Vec<Vec<String>>);

/// What `lookup` answers: the rows that were found, and a column a path.
pub(super) type LookupAnswer = (Vec<u8>, Vec<Column>);

/// The inner error is the guest's to report.
fn open_database(
    state: &mut GuestState,
    path: &str,
) -> wasmtime::Result<Result<Resource<OpenDatabase>, String>> {
    if !state.configuring {
        return Ok(Err("databases can only be opened while a filter is configured".to_owned()));
    }
    let database = match OpenDatabase::open(&state.shared_databases, &state.environment, path) {
        Ok(database) => database,
        Err(error) => return Ok(Err(format!("{error:#}"))),
    };
    Ok(state.databases.push(database).map_err(|error| format!("too many databases: {error}")))
}

/// Lets a call end later by what the host took for reading a database: that may be tens of megabytes on a busy disk, and no
/// deadline is about it. A guest gets so for as many databases as it may hold open, so it cannot go on for ever.
fn give_back(store: &mut Store, spent: Duration) {
    let state = store.data_mut();
    if state.databases_opened >= MOST_DATABASES {
        return;
    }
    state.databases_opened += 1;
    state.ends += spent;
    let left = state.ends.saturating_duration_since(Instant::now());
    store.set_epoch_deadline(Engine::ticks_of(left));
}

fn log(state: &mut GuestState, level: Level, message: &str) {
    let Some(suppressed) = state.log.take() else { return };
    // A line feed in a message could be taken for a line of the host's own.
    let message = message[..message.floor_char_boundary(LONGEST_MESSAGE)].replace(char::is_control, " ");
    let filter = &*state.filter;
    if suppressed > 0 {
        tracing::warn!(filter, suppressed, "the filter logs too much; messages were left out");
    }
    match level {
        Level::Debug => tracing::debug!(filter, message, "the filter says"),
        Level::Info => tracing::info!(filter, message, "the filter says"),
        Level::Warn => tracing::warn!(filter, message, "the filter says"),
        Level::Error => tracing::error!(filter, message, "the filter says"),
    }
}
