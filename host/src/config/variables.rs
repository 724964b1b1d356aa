//! `${NAME}`, `${NAME:default}` and `${file:/path}` in the texts of a pipeline file, by Logstash's rule of what a name
//! is; a text that does not have that form stays as it is.

use std::collections::HashMap;
use std::io::Read;
use std::path::Path;

use super::secrets::Secrets;

/// The largest file that `${file:…}` takes, in bytes.
const FILE_LIMIT: u64 = 64 * 1024;

/// Where variables come from: the process's environment, or what a test gives.
#[derive(Clone, Debug, Default)]
pub struct Variables {
    fixed: Option<HashMap<String, String>>,
}

impl Variables {
    /// The process's environment.
    pub fn from_environment() -> Self {
        Variables { fixed: None }
    }

    /// These and no others.
    pub fn fixed<'v>(variables: impl IntoIterator<Item = (&'v str, &'v str)>) -> Self {
        let variables = variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        Variables { fixed: Some(variables.collect()) }
    }

    fn get(&self, name: &str) -> Option<String> {
        match &self.fixed {
            Some(variables) => variables.get(name).cloned(),
            None => std::env::var(name).ok(),
        }
    }
}

/// A text after replacement.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Replaced {
    pub(super) text: String,
    /// Something was replaced.
    pub(super) replaced: bool,
    /// What could not be: message and fix.
    pub(super) problems: Vec<(String, String)>,
}

/// Replaces the variables of a text. Relative `${file:…}` paths start at `directory`. Values that are not a default
/// written in the file itself become secrets.
pub(super) fn replace(text: &str, variables: &Variables, directory: &Path, secrets: &Secrets) -> Replaced {
    let mut result = Replaced { text: String::new(), replaced: false, problems: Vec::new() };
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        result.text.push_str(&rest[..at]);
        rest = &rest[at..];
        let Some((name, default, length)) = reference(rest) else {
            result.text.push_str("${");
            rest = &rest[2..];
            continue;
        };
        let written = &rest[..length];
        rest = &rest[length..];
        result.replaced = true;
        if name == "file"
            && let Some(path) = default
        {
            match read_file(&directory.join(path)) {
                Ok(value) => {
                    secrets.add(&value, written);
                    result.text.push_str(&value);
                }
                Err(error) => result.problems.push((
                    format!("cannot read {path:?}: {error}"),
                    "${file:…} takes the text of that file; does it exist, and may this user read it?"
                        .to_owned(),
                )),
            }
        } else if let Some(value) = variables.get(name) {
            secrets.add(&value, &format!("${{{name}}}"));
            result.text.push_str(&value);
        } else if let Some(default) = default {
            result.text.push_str(default);
        } else {
            result.problems.push((
                format!("the environment variable `{name}` is not set"),
                format!("set it, or give a default: ${{{name}:default}}"),
            ));
        }
    }
    result.text.push_str(rest);
    result
}

/// `${name}` or `${name:default}` at the start of the text: name, default, and length of the whole.
fn reference(text: &str) -> Option<(&str, Option<&str>, usize)> {
    let inner = text.strip_prefix("${")?;
    let inner = &inner[..inner.find('}')?];
    let (name, default) = match inner.split_once(':') {
        Some((name, default)) => (name, Some(default)),
        None => (inner, None),
    };
    let first = name.chars().next()?;
    let known = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '.';
    if first.is_ascii_digit() || !name.chars().all(known) {
        return None;
    }
    Some((name, default, inner.len() + 3))
}

fn read_file(path: &Path) -> std::io::Result<String> {
    // Not by its length: that of a device is 0, however much comes out of it.
    let mut text = String::new();
    std::fs::File::open(path)?.take(FILE_LIMIT + 1).read_to_string(&mut text)?;
    if text.len() as u64 > FILE_LIMIT {
        return Err(std::io::Error::other(format!("it is larger than {FILE_LIMIT} bytes")));
    }
    // Editors and `echo` end a file with a line feed that is no part of the value.
    while text.ends_with(['\n', '\r']) {
        text.pop();
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str, problems: usize) {
        let variables = Variables::fixed([("A", "one"), ("B.C", "two"), ("EMPTY", "")]);
        let replaced = replace(text, &variables, Path::new("."), &Secrets::default());
        assert_eq!(replaced.text, expected, "{text:?}");
        assert_eq!(replaced.problems.len(), problems, "{text:?}: {:?}", replaced.problems);
    }

    #[test]
    fn forms() {
        check("${A}", "one", 0);
        check("x${A}-${B.C}y", "xone-twoy", 0);
        check("${NONE:https://x:9200/a}", "https://x:9200/a", 0);
        check("${NONE:}", "", 0);
        check("${EMPTY:default}", "", 0);
        check("${NONE}", "", 1);
        check("$1 ${1} ${} ${a b} ${A", "$1 ${1} ${} ${a b} ${A", 0);
        check("${file:/no/such/file}", "", 1);
    }

    #[test]
    fn a_file_without_an_end_is_not_read_for_ever() {
        check("${file:/dev/zero}", "", 1);
    }

    #[test]
    fn files_lose_their_last_line_feed_and_are_masked() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("secret"), "open sesame\n").unwrap();
        let secrets = Secrets::default();
        let replaced = replace("<${file:secret}>", &Variables::fixed([]), directory.path(), &secrets);
        assert_eq!(replaced.text, "<open sesame>");
        assert_eq!(secrets.mask("got open sesame"), "got ${file:secret}");
    }
}
