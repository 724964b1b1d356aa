//! Makes a component of a plain module, as `cargo build` makes it, so that a filter's author needs no other tool. What
//! the component's interface is says Weir's own wit/filter.wit, never the description that a module brings along
//! (`component-type`, where wit-bindgen puts it): reading one that is made up can end the process. (Packages that use each
//! other in a circle are followed until the stack is at its end.)

use anyhow::{Context, Result, anyhow, bail};
use wasmparser::{Parser, Payload};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use super::component::{FILTER, needed_kernel};

/// The interface, and the world that has all of it.
const INTERFACE: &str = include_str!("../../../wit/filter.wit");
const WORLD: &str = "with-kernels";

/// The exports of a filter begin with this, or with the same after `cm32p2|`: the two ways in which they are named.
const EXPORTED: &str = "weir:filter/filter@0.1";

/// The longest name that a module may import or export, as in components.
const LONGEST_NAME: usize = 1000;

/// Makes a component of a module, which was found valid.
///
/// # Errors
/// When the module imports what Weir does not have, or is no filter.
pub(super) fn wrap(module: &[u8]) -> Result<Vec<u8>> {
    let mut module = without_description(module)?;
    let mut resolve = Resolve::default();
    let described = resolve
        .push_source("filter.wit", INTERFACE)
        .and_then(|package| resolve.select_world(&[package], Some(WORLD)))
        .and_then(|world| embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8));
    described.map_err(|error| anyhow!("{error:#}")).context("the interface of filters cannot be read")?;
    let encode = || {
        let encoder = ComponentEncoder::default().validate(true).module(&module);
        encoder.and_then(|mut encoder| encoder.encode()).map_err(|error| anyhow!("{error:#}"))
    };
    // What a module exports under which name is not looked at by any validation, and the encoder may not expect it.
    let encoded = std::panic::catch_unwind(encode).unwrap_or_else(|_| bail!("its exports cannot be read"));
    encoded.context("this plain module cannot be made a component; is `weir_filter::export!` missing?")
}

/// The module without its description. Refuses by name what no filter imports, and what exports no filter.
fn without_description(module: &[u8]) -> Result<Vec<u8>> {
    const INVALID: &str = "this plain module is not valid";
    let mut kept = module.get(..8).context(INVALID)?.to_vec();
    let mut exported = Vec::new();
    let mut is_filter = false;
    for payload in Parser::new(0).parse_all(module) {
        let payload = payload.context(INVALID)?;
        match &payload {
            Payload::CustomSection(section) if section.name().starts_with("component-type") => continue,
            Payload::ImportSection(section) => {
                for import in section.clone().into_imports() {
                    let import = import.context(INVALID)?;
                    check_name(import.module)?;
                    check_name(import.name)?;
                    needed_kernel(import.module)?;
                }
            }
            Payload::ExportSection(section) => {
                for export in section.clone() {
                    let name = export.context(INVALID)?.name;
                    check_name(name)?;
                    is_filter |= name.trim_start_matches("cm32p2|").starts_with(EXPORTED);
                    if exported.len() < 5 {
                        exported.push(name);
                    }
                }
            }
            _ => {}
        }
        let Some((id, range)) = payload.as_section() else { continue };
        let content = module.get(range).context(INVALID)?;
        kept.push(id);
        write_length(content.len(), &mut kept);
        kept.extend_from_slice(content);
    }
    if !is_filter {
        let exported = if exported.is_empty() { "nothing".to_owned() } else { exported.join(", ") };
        bail!("this plain module is no filter: it exports {exported}, and not {FILTER}");
    }
    Ok(kept)
}

fn check_name(name: &str) -> Result<()> {
    if name.len() > LONGEST_NAME {
        bail!("this plain module has a name of {} bytes, at most {LONGEST_NAME} are possible", name.len());
    }
    Ok(())
}

/// A length as WebAssembly writes it: seven bits a byte, the lowest first.
fn write_length(length: usize, out: &mut Vec<u8>) {
    let mut rest = length;
    while rest >= 0x80 {
        out.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was found by fuzzing: a module whose description has packages in a circle.
    #[test]
    fn a_made_up_description_is_not_read() {
        let module: &[u8] = include_bytes!("plain_module/packages-in-a-circle.wasm");
        let description = |module: &[u8]| module.windows(14).any(|bytes| bytes == b"component-type");
        assert!(description(module) && !description(&without_description(module).unwrap()));
        wrap(module).unwrap();
    }

    #[test]
    fn lengths_are_written_as_in_webassembly() {
        for (length, expected) in
            [(0, &[0][..]), (127, &[127]), (128, &[0x80, 1]), (624_485, &[0xe5, 0x8e, 0x26])]
        {
            let mut written = Vec::new();
            write_length(length, &mut written);
            assert_eq!(written, expected);
        }
    }
}
