//! Compares a filter's page in the manual with the options that it declares, so that neither goes its own way.

use crate::filter::Filter;
use crate::options::{OptionDescription, OptionKind};

/// Checks that the page begins with the filter's name, has the sections that every page has, and one for each option and
/// none else: `### name`, then the kind and the default (or `required`), and somewhere the option's example.
///
/// # Panics
/// If the page says something else than the options; the message names all that is wrong.
pub fn check_manual<F: Filter>() {
    let mut wrong = Vec::new();
    let page = F::MANUAL;
    if page.lines().next() != Some(&format!("# {}", F::NAME)) {
        wrong.push(format!("its first line is not \"# {}\"", F::NAME));
    }
    for heading in ["## Options", "## When it fails", "## Not as in Logstash"] {
        if !page.lines().any(|line| line == heading) {
            wrong.push(format!("it has no section {heading:?}"));
        }
    }
    let sections: Vec<(Vec<&str>, String)> = page.split("\n### ").skip(1).map(section).collect();
    for (names, _) in &sections {
        for name in names {
            if !F::OPTIONS.iter().any(|option| option.name == *name) {
                wrong.push(format!("there is no option {name}"));
            }
        }
    }
    for option in F::OPTIONS {
        match sections.iter().find(|(names, _)| names.contains(&option.name)) {
            Some((_, text)) => check_option(option, text, &mut wrong),
            None => wrong.push(format!("it has no section \"### {}\"", option.name)),
        }
    }
    assert!(wrong.is_empty(), "the manual of {} is wrong:\n{}", F::NAME, wrong.join("\n"));
}

/// The names in a section's heading, and its text on one line.
fn section(section: &str) -> (Vec<&str>, String) {
    let (names, rest) = section.split_once('\n').unwrap_or((section, ""));
    let text = rest.split("\n#").next().unwrap_or_default();
    (names.split(", ").collect(), text.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn check_option(option: &OptionDescription, text: &str, wrong: &mut Vec<String>) {
    let kind = match option.kind {
        OptionKind::Text => "Text",
        OptionKind::Choice(_) => "Choice",
        OptionKind::Password => "Password",
        OptionKind::List => "List",
        OptionKind::Map => "Table",
        OptionKind::Boolean => "Boolean",
        OptionKind::Number => "Number",
    };
    let begin = match option.default {
        _ if option.required => format!("{kind}, required."),
        Some(default) => format!("{kind}, `{default}`."),
        None => kind.to_owned(),
    };
    if !text.starts_with(&begin) {
        wrong.push(format!("{} does not begin with {begin:?}", option.name));
    }
    let example = option.doc_and_example().1.split_whitespace().collect::<Vec<_>>().join(" ");
    if !example.is_empty() && !text.contains(&format!("`{example}`")) {
        wrong.push(format!("{} does not show `{example}`", option.name));
    }
    if let OptionKind::Choice(choices) = option.kind {
        for choice in choices.iter().filter(|choice| !text.contains(&format!("`{choice}`"))) {
            wrong.push(format!("{} does not name {choice}", option.name));
        }
    }
}
