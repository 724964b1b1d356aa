//! A new filter's project. It brings the SDK and the interface in a folder of its own, so that it needs nothing but the
//! crates that these depend on, and says their versions.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use flate2::read::DeflateDecoder;

use crate::filter::Engine;

/// The SDK and all that belongs to it, as `build.rs` packed it.
static AUTHOR_FILES: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/author.json.deflate"));

/// The files of the filter itself, by their paths. `{{name}}`, `{{crate}}` and `{{Type}}` stand for its names.
const TEMPLATE: [(&str, &str); 6] = [
    ("Cargo.toml", include_str!("template/Cargo.toml")),
    (".cargo/config.toml", include_str!("template/config.toml")),
    (".gitignore", include_str!("template/gitignore")),
    ("README.md", include_str!("template/README.md")),
    ("src/lib.rs", include_str!("template/lib.rs")),
    ("cases/numbers.toml", include_str!("template/numbers.toml")),
];

/// Names that cargo or rustc would take for something else.
const TAKEN: [&str; 12] = [
    "alloc",
    "build",
    "core",
    "deps",
    "proc-macro",
    "serde",
    "serde-json",
    "std",
    "test",
    "weir-filter",
    "weir-filter-macros",
    "wit-bindgen",
];

/// Rust's keywords of three letters and more, and those to come.
const KEYWORDS: &str = "abstract async await become box break const continue crate dyn else enum extern false final fn for \
                        gen if impl in let loop macro match mod move mut override priv pub ref return self static struct \
                        super trait true try type typeof union unsafe unsized use virtual where while yield";

/// The longest name.
const LONGEST_NAME: usize = 64;

/// Makes the project `<parent>/<name>` and answers its folder.
///
/// # Errors
/// When the name is none for a filter, the folder is there, or a file cannot be written.
pub fn create_project(parent: &Path, name: &str) -> Result<PathBuf> {
    check_name(name)?;
    let folder = parent.join(name);
    let mut files = sdk_files()?;
    for (path, text) in TEMPLATE {
        let text = text
            .replace("{{name}}", name)
            .replace("{{crate}}", &name.replace('-', "_"))
            .replace("{{Type}}", &type_name(name));
        files.insert(path.to_owned(), text);
    }
    fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    if let Err(error) = fs::create_dir(&folder) {
        if error.kind() == std::io::ErrorKind::AlreadyExists {
            bail!(
                "{} is there already, and is left as it is; choose another name or --path",
                folder.display()
            );
        }
        return Err(error).with_context(|| format!("cannot make {}", folder.display()));
    }
    for (path, text) in files {
        let path = folder.join(path);
        let written = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&path, text));
        written.with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(folder)
}

/// Whether a filter's crate may have this name.
///
/// # Errors
/// When not; the message says why, and what to write.
pub fn check_name(name: &str) -> Result<()> {
    let legal = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
    if !name.starts_with(|letter: char| letter.is_ascii_lowercase())
        || !name.chars().all(legal)
        || name.ends_with('-')
        || name.contains("--")
        || name.len() > LONGEST_NAME
    {
        bail!(
            "{name:?} is no name for a filter: write lower case letters, digits and single dashes, a letter first, at \
             most {LONGEST_NAME}, such as \"my-filter\""
        );
    }
    if TAKEN.contains(&name) || KEYWORDS.split_whitespace().any(|word| word == name) {
        bail!("{name:?} means something else to Rust; choose another name, such as \"my-{name}\"");
    }
    if Engine::built_in().any(|known| known == name) {
        bail!("a filter {name:?} ships with Weir; choose another name, such as \"my-{name}\"");
    }
    Ok(())
}

fn sdk_files() -> Result<BTreeMap<String, String>> {
    let mut json = Vec::new();
    DeflateDecoder::new(AUTHOR_FILES).read_to_end(&mut json).context("the SDK inside cannot be unpacked")?;
    serde_json::from_slice(&json).context("the SDK inside cannot be read")
}

/// `my-filter` as the name of a type: `MyFilter`.
fn type_name(name: &str) -> String {
    let mut type_name = String::new();
    for word in name.split('-') {
        let mut letters = word.chars();
        type_name.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
        type_name.extend(letters);
    }
    type_name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for name in ["a", "my-filter", "mask2", "x-9"] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in [
            "",
            "My",
            "9x",
            "-x",
            "x-",
            "a--b",
            "a_b",
            "a/b",
            "..",
            "é",
            "dissect",
            "match",
            "serde",
            "weir-filter",
        ] {
            assert!(check_name(name).is_err(), "{name}");
        }
        assert!(check_name(&"x".repeat(65)).is_err());
        assert_eq!(type_name("my-filter-2x"), "MyFilter2x");
    }

    #[test]
    fn what_is_there_stays() {
        let folder = tempfile::tempdir().unwrap();
        let made = create_project(&folder.path().join("new"), "my-filter").unwrap();
        let source = made.join("src/lib.rs");
        assert!(fs::read_to_string(&source).unwrap().contains("weir_filter::export!(MyFilter);"));
        assert!(made.join("weir-filter/wit/filter.wit").exists());
        fs::write(&source, "mine").unwrap();
        let error = create_project(&folder.path().join("new"), "my-filter").unwrap_err();
        assert!(error.to_string().contains("is there already"), "{error}");
        assert_eq!(fs::read_to_string(&source).unwrap(), "mine");
    }

    #[test]
    fn no_placeholder_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let made = create_project(folder.path(), "my-filter").unwrap();
        for (path, _) in TEMPLATE {
            let text = fs::read_to_string(made.join(path)).unwrap();
            assert!(!text.contains("{{"), "{path}: {text}");
        }
    }
}
