//! Puts the cases of the crate that is compiled (`cases/*.toml`) into its module, in the custom section `weir:cases`: one
//! JSON object, names of files and their texts. The host reads it before it lets a new version of a filter in. Apart from
//! `weir-filter` because only a crate of its own may run in the compiler; it depends on nothing.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use proc_macro::{Literal, TokenStream};

/// The statics that hold the cases; nothing for a crate without a folder `cases`. `weir_filter::export!` calls it.
///
/// A file that changed makes cargo compile the crate anew. A new file alone does not; `weir build` takes it all the same.
#[proc_macro]
pub fn embed_cases(_: TokenStream) -> TokenStream {
    let code = match read_cases() {
        Ok(cases) if cases.is_empty() => String::new(),
        Ok(cases) => statics(&cases),
        Err(message) => format!("::core::compile_error!({});", Literal::string(&message)),
    };
    code.parse().unwrap_or_default()
}

fn read_cases() -> Result<Vec<(PathBuf, String)>, String> {
    let folder = std::env::var_os("CARGO_MANIFEST_DIR").map(|folder| Path::new(&folder).join("cases"));
    let Some(folder) = folder.filter(|folder| folder.is_dir()) else { return Ok(Vec::new()) };
    let failed = |path: &Path, error: std::io::Error| format!("cannot read {}: {error}", path.display());
    let mut cases = Vec::new();
    for entry in std::fs::read_dir(&folder).map_err(|error| failed(&folder, error))? {
        let path = entry.map_err(|error| failed(&folder, error))?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let text = std::fs::read_to_string(&path).map_err(|error| failed(&path, error))?;
            cases.push((path, text));
        }
    }
    cases.sort();
    Ok(cases)
}

fn statics(cases: &[(PathBuf, String)]) -> String {
    let mut code = "const _: () = {\n".to_owned();
    for (path, _) in cases {
        // So that cargo sees when it changes.
        let path = Literal::string(&path.to_string_lossy());
        code.push_str(&format!("const _: &[u8] = ::core::include_bytes!({path});\n"));
    }
    let json = json(cases);
    let (length, bytes) = (json.len(), Literal::byte_string(json.as_bytes()));
    code.push_str(&format!(
        "#[used] #[unsafe(link_section = \"weir:cases\")] static CASES: [u8; {length}] = *{bytes};\n}};"
    ));
    code
}

fn json(cases: &[(PathBuf, String)]) -> String {
    let mut json = "{".to_owned();
    for (number, (path, text)) in cases.iter().enumerate() {
        json.push_str(if number == 0 { "" } else { "," });
        push_string(&mut json, &path.file_name().unwrap_or_default().to_string_lossy());
        json.push(':');
        push_string(&mut json, text);
    }
    json.push('}');
    json
}

fn push_string(json: &mut String, text: &str) {
    json.push('"');
    for letter in text.chars() {
        match letter {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\n' => json.push_str("\\n"),
            '\0'..='\u{1f}' => {
                // Writing to a text cannot fail.
                let _ = write!(json, "\\u{:04x}", u32::from(letter));
            }
            letter => json.push(letter),
        }
    }
    json.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_one_json_object() {
        let case = |name: &str, text: &str| (Path::new("/x/cases").join(name), text.to_owned());
        assert_eq!(json(&[]), "{}");
        assert_eq!(
            json(&[case("a.toml", "# \"é\"\n\tx = '\\'\u{1}"), case("b.toml", "")]),
            "{\"a.toml\":\"# \\\"é\\\"\\n\\u0009x = '\\\\'\\u0001\",\"b.toml\":\"\"}"
        );
    }
}
