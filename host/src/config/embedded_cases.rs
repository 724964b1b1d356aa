//! Cases that a component carries in itself, so that a new version can be tried by its own before it is let in. They lie in
//! a custom section: of the component (`weir build` puts it there), or of the module in it (the SDK's `export!` does).
//! What cases mean is left to `cases`.

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value as Json};
use wasmparser::{Parser, Payload};

/// The name of the custom section. What it holds is one JSON object: names of files, and their texts.
pub const CASES_SECTION: &str = "weir:cases";

/// The most that a component may carry, in bytes of the section.
const LONGEST_SECTION: usize = 4 << 20;

/// The most files.
const MOST_FILES: usize = 1000;

/// The files of cases in a component or plain module: names, which are only for messages, and texts. None is no error.
///
/// # Errors
/// When the bytes are no WebAssembly, or the section is no such object or too large.
pub fn embedded_cases(wasm: &[u8]) -> Result<Vec<(String, String)>> {
    let Some(section) = find_section(wasm)? else { return Ok(Vec::new()) };
    let length = section.len();
    ensure!(
        length <= LONGEST_SECTION,
        "its cases have {length} bytes, at most {LONGEST_SECTION} are possible"
    );
    let files: Map<String, Json> = serde_json::from_slice(section)
        .with_context(|| format!("its section {CASES_SECTION} is no JSON object of texts"))?;
    ensure!(files.len() <= MOST_FILES, "it carries {} files of cases, at most {MOST_FILES}", files.len());
    let mut cases = Vec::with_capacity(files.len());
    for (name, text) in files {
        match text {
            Json::String(text) => cases.push((name, text)),
            _ => bail!("in its section {CASES_SECTION}, {name:?} is no text"),
        }
    }
    Ok(cases)
}

/// A component or module that also carries these cases. They are found before any that it had.
///
/// # Errors
/// When they are too many.
pub fn with_cases(mut wasm: Vec<u8>, cases: &[(String, String)]) -> Result<Vec<u8>> {
    let files: Map<String, Json> =
        cases.iter().map(|(name, text)| (name.clone(), Json::from(text.as_str()))).collect();
    let content = Json::Object(files).to_string();
    ensure!(
        content.len() <= LONGEST_SECTION && cases.len() <= MOST_FILES,
        "the cases have {} bytes in {} files; at most {LONGEST_SECTION} in {MOST_FILES} are possible",
        content.len(),
        cases.len()
    );
    let mut section = Vec::new();
    push_leb128(&mut section, CASES_SECTION.len());
    section.extend(CASES_SECTION.as_bytes());
    section.extend(content.as_bytes());
    wasm.push(0);
    push_leb128(&mut wasm, section.len());
    wasm.extend(section);
    Ok(wasm)
}

/// The last section at the top, else the first further in.
fn find_section(wasm: &[u8]) -> Result<Option<&[u8]>> {
    let (mut outer, mut inner) = (None, None);
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(wasm) {
        match payload.context("its sections cannot be read")? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::CustomSection(section) if section.name() == CASES_SECTION => match depth {
                0 => outer = Some(section.data()),
                _ => inner = inner.or(Some(section.data())),
            },
            _ => {}
        }
    }
    Ok(outer.or(inner))
}

fn push_leb128(bytes: &mut Vec<u8>, mut number: usize) {
    loop {
        let low = (number & 0x7f) as u8;
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return;
        }
        bytes.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODULE: &[u8] = b"\0asm\x01\0\0\0";
    const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

    fn cases(texts: &[(&str, &str)]) -> Vec<(String, String)> {
        texts.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn what_is_put_in_is_found() {
        let long = "x".repeat(70_000);
        for wasm in [MODULE, COMPONENT] {
            assert_eq!(embedded_cases(wasm).unwrap(), []);
            let first = cases(&[("b.toml", "é \"\n"), ("a.toml", &long)]);
            let with = with_cases(wasm.to_vec(), &first).unwrap();
            assert_eq!(embedded_cases(&with).unwrap(), first);
            let second = cases(&[("c.toml", "")]);
            assert_eq!(embedded_cases(&with_cases(with, &second).unwrap()).unwrap(), second);
        }
    }

    #[test]
    fn a_module_in_a_component_is_looked_into() {
        let module = with_cases(MODULE.to_vec(), &cases(&[("inner.toml", "1")])).unwrap();
        let mut component = COMPONENT.to_vec();
        component.push(1);
        push_leb128(&mut component, module.len());
        component.extend(module);
        assert_eq!(embedded_cases(&component).unwrap(), cases(&[("inner.toml", "1")]));
        let outer = cases(&[("outer.toml", "2")]);
        assert_eq!(embedded_cases(&with_cases(component, &outer).unwrap()).unwrap(), outer);
    }

    #[test]
    fn what_is_no_such_section_is_refused() {
        assert!(embedded_cases(b"no wasm").is_err());
        for content in ["[]", "{\"a\": 1}", "{\"a\"", "\u{fffd}"] {
            let mut section = vec![10];
            section.extend(CASES_SECTION.as_bytes());
            section.extend(content.as_bytes());
            let mut module = MODULE.to_vec();
            module.push(0);
            push_leb128(&mut module, section.len());
            module.extend(section);
            assert!(embedded_cases(&module).is_err(), "{content}");
            module.pop();
            assert!(embedded_cases(&module).is_err(), "{content}, cut");
        }
    }
}
