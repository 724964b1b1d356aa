//! `grants` of a filter: the kernels that its component may import, and the fields that it may read and write at most.
//! Whether its plan keeps to them is asked by `filter` when the chain is built.

use super::section::Section;
use crate::event::FieldReference;

/// The kernels that may be granted.
const KERNELS: [&str; 2] = ["addresses", "patterns"];

/// What a filter is allowed beyond computing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// The kernels that the component may import; `None`: what its source is trusted with by itself.
    pub kernels: Option<Vec<String>>,
    /// The fields that it may read, each with all below it; `None`: those that its plan reads.
    pub read: Option<Vec<FieldReference>>,
    /// The fields that it may write, each with all below it; `None`: those that its plan writes.
    pub write: Option<Vec<FieldReference>>,
}

impl Grants {
    /// Whether a field is among granted ones, or below one.
    pub fn hold(granted: &[FieldReference], field: &FieldReference) -> bool {
        granted.iter().any(|grant| field == grant || field.is_below(grant))
    }
}

/// Reads the key: a list of kernels, or `{ kernels = […], fields = { read = […], write = […] } }`.
pub(super) fn read_grants(section: &mut Section) -> Grants {
    let mut grants = Grants::default();
    if !section.is_set("grants") {
        return grants;
    }
    if !section.is_table("grants") {
        grants.kernels = Some(read_kernels(section, "grants"));
        return grants;
    }
    let Some(mut section) = section.section("grants") else { return grants };
    if section.is_set("kernels") {
        grants.kernels = Some(read_kernels(&mut section, "kernels"));
    }
    let Some(mut fields) = section.section("fields") else { return grants };
    for (key, granted) in [("read", &mut grants.read), ("write", &mut grants.write)] {
        if fields.is_set(key) {
            *granted = Some(read_fields(&mut fields, key));
        }
    }
    grants
}

fn read_kernels(section: &mut Section, key: &str) -> Vec<String> {
    let kernels = section.texts(key);
    for (element, kernel) in kernels.iter().enumerate() {
        if !KERNELS.contains(&kernel.as_str()) {
            let fix = format!("it is one of {}", KERNELS.join(", "));
            section.element_problem(key, element, &format!("unknown grant {kernel:?}"), &fix);
        }
    }
    kernels
}

fn read_fields(section: &mut Section, key: &str) -> Vec<FieldReference> {
    let mut fields = Vec::new();
    for (element, text) in section.texts(key).iter().enumerate() {
        match FieldReference::parse(text) {
            Ok(reference) => fields.push(reference),
            Err(error) => {
                let message = format!("{text:?} is no field: {error}");
                section.element_problem(key, element, &message, "write it like \"message\" or \"[a][b]\"");
            }
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Grants, Vec<String>) {
        let mut section = Section::parse(text);
        let grants = read_grants(&mut section);
        (grants, section.into_problems())
    }

    #[test]
    fn both_forms_are_read() {
        let field = |name: &str| FieldReference::parse(name).unwrap();
        let kernels = Some(vec!["patterns".to_owned()]);
        assert_eq!(read(""), (Grants::default(), Vec::new()));
        let expected = Grants { kernels: kernels.clone(), ..Grants::default() };
        assert_eq!(read("grants = [\"patterns\"]"), (expected, Vec::new()));
        let expected =
            Grants { kernels, read: Some(vec![field("message"), field("[a][b]")]), write: Some(Vec::new()) };
        let text = "grants = { kernels = [\"patterns\"], fields = { read = [\"message\", \"[a][b]\"], write = [] } }";
        assert_eq!(read(text), (expected, Vec::new()));
        let expected = Grants { write: Some(vec![field("x")]), ..Grants::default() };
        assert_eq!(read("grants.fields.write = \"x\""), (expected, Vec::new()));
    }

    #[test]
    fn mistakes_have_their_places() {
        let check = |written: &str, expected: &str| {
            let (_, problems) = read(written);
            assert!(problems.len() == 1 && problems[0].contains(expected), "{written}: {problems:?}");
        };
        check("grants = [\"patterns\", \"files\"]", "1:23: unknown grant \"files\"");
        check("grants = { kernel = [] }", "did you mean `kernels`?");
        check("grants = { kernels = [\"files\"] }", "1:23: unknown grant");
        check("grants = { fields = { reads = [] } }", "did you mean `read`?");
        check("grants = { fields = { read = [\"a\", \"[b\"] } }", "1:36: \"[b\" is no field");
        check("grants = { fields = [\"a\"] }", "`fields` must be a table");
    }

    #[test]
    fn a_grant_holds_what_is_below_it() {
        let granted = [FieldReference::from_fragments(["a", "b"])];
        let check = |fragments: &[&str], expected: bool| {
            let field = FieldReference::from_fragments(fragments.iter().copied());
            assert_eq!(Grants::hold(&granted, &field), expected, "{field}");
        };
        check(&["a", "b"], true);
        check(&["a", "b", "c"], true);
        check(&["a"], false);
        check(&["a", "bc"], false);
        check(&["b"], false);
    }
}
