//! One component: what bytes are taken for one, what it may import and must export, and its compiled code. Making one
//! of a plain module is left to `plain_module`.

use std::borrow::Cow;
use std::sync::OnceLock;

use anyhow::{Context, Result, anyhow, bail};
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, ComponentExportIndex, InstancePre, Linker};

use super::code_cache::CodeCache;
use super::component_size;
use super::guest_state::GuestState;
use super::interface::Manifest;
use super::plain_module;

/// The interface that makes a component a filter.
pub(super) const FILTER: &str = "weir:filter/filter@0.1.0";

/// Interfaces that need a grant, and the grant's name.
const KERNELS: [(&str, &str); 2] =
    [("weir:filter/addresses", "addresses"), ("weir:filter/patterns", "patterns")];

/// A component's compiled code.
pub(super) struct FilterCode {
    pub(super) instance: InstancePre<GuestState>,
    pub(super) exports: Exports,
    /// The kernels that it imports, by their grants' names.
    pub(super) kernels: Vec<&'static str>,
    /// The SHA-256 of the bytes that it was loaded from.
    pub(super) digest: [u8; 32],
    /// What it says of itself, once it was asked.
    pub(super) manifest: OnceLock<Manifest>,
}

/// Where the functions of the filter interface are in the component.
pub(super) struct Exports {
    pub(super) describe: ComponentExportIndex,
    pub(super) configure: ComponentExportIndex,
    pub(super) process: ComponentExportIndex,
    pub(super) save: ComponentExportIndex,
    pub(super) restore: ComponentExportIndex,
}

impl FilterCode {
    /// Compiles a component or plain module, or takes its code from the cache.
    pub(super) fn compile(
        engine: &wasmtime::Engine,
        linker: &Linker<GuestState>,
        cache: Option<&CodeCache>,
        bytes: &[u8],
        digest: [u8; 32],
    ) -> Result<Self> {
        let component = match cache.and_then(|cache| cache.read(engine, digest)) {
            Some(component) => component,
            None => {
                let component = compile(engine, bytes)?;
                if let Some(cache) = cache {
                    cache.write(digest, &component);
                }
                component
            }
        };
        let kernels = imported_kernels(engine, &component)?;
        let exports = Exports::find(engine, &component)?;
        let instance = linker.instantiate_pre(&component).map_err(|error| {
            anyhow!(error).context("its imports differ from the interfaces of this version of Weir")
        })?;
        Ok(FilterCode { instance, exports, kernels, digest, manifest: OnceLock::new() })
    }
}

fn compile(engine: &wasmtime::Engine, bytes: &[u8]) -> Result<Component> {
    component_size::check(bytes)?;
    Component::from_binary(engine, &to_component(engine, bytes)?)
        .map_err(|error| anyhow!(error).context("this component is not valid"))
}

/// A component of what may be a plain module, as cargo makes it.
///
/// # Errors
/// When it is no WebAssembly, or a module that was not made for Weir.
pub(super) fn to_component<'b>(engine: &wasmtime::Engine, bytes: &'b [u8]) -> Result<Cow<'b, [u8]>> {
    match bytes {
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => {
            // The encoder takes what it is given for a module: it looks where a broken one says.
            wasmtime::Module::validate(engine, bytes)
                .map_err(|error| anyhow!(error).context("this plain module is not valid"))?;
            plain_module::wrap(bytes).map(Cow::Owned)
        }
        [0, b'a', b's', b'm', ..] => Ok(Cow::Borrowed(bytes)),
        _ => bail!("this is no WebAssembly: it does not begin with `\\0asm`"),
    }
}

/// The interfaces that a component imports, those of types alone left out.
pub(super) fn imported_interfaces(code: &FilterCode) -> Vec<String> {
    let (component, engine) = (code.instance.component(), code.instance.engine());
    let mut names = Vec::new();
    for (name, import) in component.component_type().imports(engine) {
        if !is_of_types(&import.ty, engine) {
            names.push(name.to_owned());
        }
    }
    names
}

fn is_of_types(import: &ComponentItem, engine: &wasmtime::Engine) -> bool {
    match import {
        ComponentItem::ComponentInstance(instance) => {
            instance.exports(engine).all(|(_, export)| matches!(export.ty, ComponentItem::Type(_)))
        }
        _ => false,
    }
}

/// Refuses what no filter may have, by name; answers what needs a grant.
fn imported_kernels(engine: &wasmtime::Engine, component: &Component) -> Result<Vec<&'static str>> {
    let mut kernels = Vec::new();
    for (name, import) in component.component_type().imports(engine) {
        if is_of_types(&import.ty, engine) {
            continue;
        }
        kernels.extend(needed_kernel(name)?);
    }
    Ok(kernels)
}

/// The kernel that an imported interface is, by its grant's name; `None` for the interface that all filters have.
///
/// # Errors
/// When no filter may have it.
pub(super) fn needed_kernel(name: &str) -> Result<Option<&'static str>> {
    let interface = name.split('@').next().unwrap_or_default();
    if interface == "weir:filter/host" {
        return Ok(None);
    }
    match KERNELS.iter().find(|(kernel, _)| *kernel == interface) {
        Some((_, grant)) => Ok(Some(grant)),
        None if interface.starts_with("weir:filter/") => {
            bail!("it imports {name}, which this version of Weir does not have")
        }
        None => bail!(
            "it imports {name}, and a filter may have nothing but Weir's own interfaces (no files, no network, no \
             clock); build it for wasm32-unknown-unknown, or with stubs for WASI"
        ),
    }
}

impl Exports {
    fn find(engine: &wasmtime::Engine, component: &Component) -> Result<Self> {
        let Some(interface) = component.get_export_index(None, FILTER) else {
            let exported: Vec<String> =
                component.component_type().exports(engine).map(|(name, _)| name.to_owned()).take(5).collect();
            let exported = if exported.is_empty() { "nothing".to_owned() } else { exported.join(", ") };
            bail!("this component is no filter: it exports {exported}, and not {FILTER}");
        };
        let function = |name: &str| {
            component
                .get_export_index(Some(&interface), name)
                .with_context(|| format!("this component is no filter: {FILTER} has no function {name}"))
        };
        Ok(Exports {
            describe: function("describe")?,
            configure: function("configure")?,
            process: function("process")?,
            save: function("save")?,
            restore: function("restore")?,
        })
    }
}
