//! The engine: wasmtime as it is set for filters, the clock that ends calls, and the components that were loaded.
//! What one component must be like is in `component`, where compiled code is kept in `code_cache`.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};
use wasmtime::component::Linker;
use wasmtime::{Config, OptLevel, RegallocAlgorithm, WasmFeatures};

use super::addresses::Databases;
use super::built_in;
use super::code_cache::CodeCache;
use super::component::{FilterCode, to_component};
use super::guest_state::GuestState;
use super::host_functions;
use super::instance::Instance;
use crate::config::{Component, did_you_mean};

/// How often the clock ticks that ends calls. A call ends at most one tick after its deadline.
const TICK: Duration = Duration::from_millis(5);

/// The stack of a guest, in bytes.
const STACK: usize = 512 << 10;

/// The longest file that is taken for a component. Compiling a longer one would take minutes.
const LONGEST_COMPONENT: u64 = 64 << 20;

/// How much work goes into compiling a component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compilation {
    /// For code that runs on and on.
    Thorough,
    /// In half the time, for code that half as fast is fast enough: where a command looks at a few events and ends.
    Quick,
}

/// What compiles components and keeps their code; one for the process. Cloning is cheap.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
    /// A component and the code that it has for this engine, whatever its file has become.
    instead: Option<Arc<(Component, Arc<FilterCode>)>>,
}

struct Shared {
    wasmtime: wasmtime::Engine,
    linker: Linker<GuestState>,
    cache: Option<CodeCache>,
    loaded: Mutex<HashMap<[u8; 32], Weak<FilterCode>>>,
    databases: Arc<Databases>,
}

/// What a filter says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// One line of what it does.
    pub summary: String,
    /// A JSON schema of its options, with descriptions, defaults and examples.
    pub options_schema: String,
    /// Its page, Markdown; may be empty.
    pub manual: String,
    /// The version of the state that it saves.
    pub state_version: u32,
}

impl Engine {
    /// An engine that keeps compiled code in `cache` (a folder that only this user can write; it is made if it is not
    /// there), or only in memory.
    ///
    /// # Errors
    /// When the machine cannot run compiled WebAssembly.
    pub fn new(cache: Option<&Path>, compilation: Compilation) -> Result<Self> {
        let engine = Self::with_settings(cache, &settings(compilation))?;
        start_clock(&engine.shared.wasmtime)?;
        Ok(engine)
    }

    /// An engine whose clock stands still but for [`Engine::tick`]: for tests that count when a call ends.
    ///
    /// # Errors
    /// When the machine cannot run compiled WebAssembly.
    pub fn ticked_by_hand(cache: Option<&Path>, compilation: Compilation) -> Result<Self> {
        Self::with_settings(cache, &settings(compilation))
    }

    /// Lets the clock that ends calls tick once.
    pub fn tick(&self) {
        self.shared.wasmtime.increment_epoch();
    }

    /// How many ticks after its begin a call ends that has this deadline. A tick may come at once, so one more is given.
    pub fn ticks_of(deadline: Duration) -> u64 {
        let ticks = deadline.as_nanos().div_ceil(TICK.as_nanos()) + 1;
        u64::try_from(ticks).unwrap_or(u64::MAX / 2).min(u64::MAX / 2)
    }

    /// An engine that counts the instructions that guests run. They then run slower: this one is for `fuel`, and for cases that
    /// show what they cost.
    ///
    /// # Errors
    /// When the machine cannot run compiled WebAssembly.
    pub fn metered(cache: Option<&Path>) -> Result<Self> {
        let mut settings = settings(Compilation::Quick);
        settings.consume_fuel(true);
        let engine = Self::with_settings(cache, &settings)?;
        start_clock(&engine.shared.wasmtime)?;
        Ok(engine)
    }

    fn with_settings(cache: Option<&Path>, settings: &Config) -> Result<Self> {
        let wasmtime = wasmtime::Engine::new(settings)
            .map_err(|error| anyhow::Error::from(error).context("cannot start the WebAssembly engine"))?;
        let linker = host_functions::linker(&wasmtime)?;
        let cache = cache.map(|folder| CodeCache::new(folder, &wasmtime));
        let shared = Shared { wasmtime, linker, cache, loaded: Mutex::default(), databases: Arc::default() };
        Ok(Engine { shared: Arc::new(shared), instead: None })
    }

    /// The names of the filters that ship with Weir, in alphabetical order.
    pub fn built_in() -> impl Iterator<Item = &'static str> {
        built_in::GUESTS.iter().map(|(name, _)| *name)
    }

    /// What a component says of itself.
    ///
    /// # Errors
    /// When it cannot be loaded (no such file, no WebAssembly, no component, another world) or breaks.
    pub fn describe(&self, component: &Component) -> Result<Manifest> {
        let code = self.load(component)?;
        self.describe_code(&code)
    }

    /// The same of a component's bytes.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn describe_bytes(&self, bytes: &[u8]) -> Result<Manifest> {
        let code = self.load_bytes(bytes, |bytes| Ok(bytes.to_vec()))?;
        self.describe_code(&code)
    }

    fn describe_code(&self, code: &FilterCode) -> Result<Manifest> {
        let state = GuestState::for_description(&self.shared.databases);
        let manifest = Instance::start(code, state)?.describe(code)?;
        Ok(Manifest {
            name: manifest.name,
            version: manifest.version,
            summary: manifest.summary,
            options_schema: manifest.options_schema,
            manual: manifest.manual,
            state_version: manifest.state_version,
        })
    }

    /// The same engine, for which a component has this code.
    pub(super) fn with_component(&self, component: Component, code: Arc<FilterCode>) -> Engine {
        Engine { shared: self.shared.clone(), instead: Some(Arc::new((component, code))) }
    }

    /// Compiles a component, or finds that it was compiled before.
    pub(super) fn load(&self, component: &Component) -> Result<Arc<FilterCode>> {
        if let Some((_, code)) = self.instead.as_deref().filter(|(instead, _)| instead == component) {
            return Ok(code.clone());
        }
        let bytes = self.bytes(component)?;
        match component {
            Component::BuiltIn(_) => self.load_bytes(&bytes, built_in::unpack),
            Component::File(path) => self.load_read(&bytes).with_context(|| path.display().to_string()),
        }
    }

    /// A component of what may be a plain module, as cargo makes it.
    ///
    /// # Errors
    /// When it is no WebAssembly, or a module that was not made for Weir.
    pub fn to_component<'b>(&self, bytes: &'b [u8]) -> Result<Cow<'b, [u8]>> {
        to_component(&self.shared.wasmtime, bytes)
    }

    /// What a component is loaded from: a file's bytes, or the packed ones of a filter that ships with Weir.
    pub(super) fn bytes(&self, component: &Component) -> Result<Cow<'static, [u8]>> {
        match component {
            Component::BuiltIn(name) => match built_in::GUESTS.iter().find(|(known, _)| known == name) {
                Some((_, packed)) => Ok(Cow::Borrowed(packed)),
                None => bail!(unknown_filter(name)),
            },
            Component::File(path) => Ok(Cow::Owned(Engine::read_component(path)?)),
        }
    }

    /// The bytes of a component's file.
    pub(super) fn read_component(path: &Path) -> Result<Vec<u8>> {
        let named = || path.display().to_string();
        let length = path.metadata().with_context(named)?.len();
        if length > LONGEST_COMPONENT {
            bail!("{}: {length} bytes are too many for a filter (at most {LONGEST_COMPONENT})", named());
        }
        std::fs::read(path).with_context(named)
    }

    /// Compiles what was read from a file, or finds that it was compiled before.
    pub(super) fn load_read(&self, bytes: &[u8]) -> Result<Arc<FilterCode>> {
        self.load_bytes(bytes, |bytes| Ok(bytes.to_vec()))
    }

    /// `module` makes the module of the bytes, which is only asked for when they are not loaded yet.
    fn load_bytes(&self, bytes: &[u8], module: impl Fn(&[u8]) -> Result<Vec<u8>>) -> Result<Arc<FilterCode>> {
        let digest: [u8; 32] = Sha256::digest(bytes).into();
        if let Some(code) = self.loaded().get(&digest).and_then(Weak::upgrade) {
            return Ok(code);
        }
        // Not under the lock: two components may be compiled at once. Doing one twice by chance does no harm.
        let shared = &self.shared;
        let module = module(bytes)?;
        let compiled =
            FilterCode::compile(&shared.wasmtime, &shared.linker, shared.cache.as_ref(), &module, digest)?;
        let code = Arc::new(compiled);
        let mut loaded = self.loaded();
        loaded.retain(|_, code| code.strong_count() > 0);
        loaded.insert(digest, Arc::downgrade(&code));
        Ok(code)
    }

    fn loaded(&self) -> std::sync::MutexGuard<'_, HashMap<[u8; 32], Weak<FilterCode>>> {
        self.shared.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The address databases that are open.
    pub(super) fn databases(&self) -> &Arc<Databases> {
        &self.shared.databases
    }
}

/// How guests are compiled and held (reasons and figures: ARCHITECTURE.md, "the boundary").
fn settings(compilation: Compilation) -> Config {
    let mut config = Config::new();
    config.wasm_component_model(true);
    // A call from host to guest costs a third of what it does with it.
    config.concurrency_support(false);
    config.epoch_interruption(true);
    config.max_wasm_stack(STACK);
    match compilation {
        Compilation::Thorough => {
            config.cranelift_opt_level(OptLevel::Speed);
        }
        Compilation::Quick => {
            config.cranelift_opt_level(OptLevel::None);
            config.cranelift_regalloc_algorithm(RegallocAlgorithm::SinglePass);
        }
    }
    config.generate_address_map(false);
    config.memory_init_cow(true);
    config.wasm_simd(true);
    // What no filter needs is a smaller surface when it is off; relaxed SIMD would also differ between machines.
    config.wasm_relaxed_simd(false);
    for feature in [
        WasmFeatures::THREADS,
        WasmFeatures::SHARED_EVERYTHING_THREADS,
        WasmFeatures::MEMORY64,
        WasmFeatures::GC,
        WasmFeatures::FUNCTION_REFERENCES,
        WasmFeatures::EXCEPTIONS,
        WasmFeatures::STACK_SWITCHING,
        WasmFeatures::CM_ASYNC,
    ] {
        config.wasm_features(feature, false);
    }
    config
}

/// Ticks as long as the engine is there.
fn start_clock(engine: &wasmtime::Engine) -> Result<()> {
    let engine = engine.weak();
    let tick = move || {
        while let Some(engine) = engine.upgrade() {
            engine.increment_epoch();
            drop(engine);
            std::thread::sleep(TICK);
        }
    };
    std::thread::Builder::new().name("weir-epoch".to_owned()).spawn(tick).context("cannot start a thread")?;
    Ok(())
}

fn unknown_filter(name: &str) -> String {
    let names: Vec<&str> = Engine::built_in().collect();
    let near = match did_you_mean(name, &names) {
        Some(near) => format!("did you mean {near:?}? "),
        None => String::new(),
    };
    format!(
        "there is no built-in filter {name:?}; {near}built in are {}; a file is named by a path that ends in .wasm",
        names.join(", ")
    )
}
