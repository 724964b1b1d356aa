//! `weir dlq list`: how many dead letters there are, by plugin and reason.

use std::collections::{BTreeMap, HashSet};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use serde_json::json;
use weir::config::Secrets;
use weir::event::Identity;
use weir::output::dead_letter::LetterId;

use super::{Format, Selection, count, folders, for_each, shown_time, some_folder};
use crate::cli::terminal;

/// Counts dead letters by plugin and reason, with the first and the last time and one of them as an example
///
/// Reasons that differ only in what is quoted in them are counted together.
#[derive(Args)]
#[command(after_help = "Examples:
  weir dlq list pipeline.toml
  weir dlq list state/dead-letter --plugin elasticsearch --since 1d --format json")]
pub(super) struct ListOptions {
    /// A pipeline file, its state_dir, or a folder of dead letters
    #[arg(value_name = "PLACE")]
    place: PathBuf,

    #[command(flatten)]
    selection: Selection,

    /// json: a list of {plugin, reason, letters, events, first, last, example} on stdout
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
}

/// Letters of one plugin with one kind of reason.
struct Group {
    letters: u64,
    /// Letters of one event are one event: one that was set aside, and after a crash set aside again.
    identities: HashSet<Identity>,
    without_identity: u64,
    first: i64,
    last: i64,
    example: LetterId,
}

impl Group {
    fn events(&self) -> u64 {
        self.identities.len() as u64 + self.without_identity
    }
}

pub(super) fn run(options: &ListOptions, secrets: &Secrets) -> Result<ExitCode> {
    let folders = match folders(&options.place, secrets) {
        Ok(folders) => some_folder(folders)?,
        Err(code) => return Ok(code),
    };
    let mut groups: BTreeMap<(String, String), Group> = BTreeMap::new();
    let damaged = for_each(&folders, &options.selection.filter(&[]), |_, found| {
        let letter = found.letter;
        let group = groups.entry((letter.plugin, kind_of(&letter.reason))).or_insert_with(|| Group {
            letters: 0,
            identities: HashSet::new(),
            without_identity: 0,
            first: letter.time,
            last: letter.time,
            example: found.id,
        });
        group.letters += 1;
        group.first = group.first.min(letter.time);
        group.last = group.last.max(letter.time);
        if letter.identity == 0 {
            group.without_identity += 1;
        } else {
            group.identities.insert(letter.identity);
        }
        Ok(())
    })?;
    match options.format {
        Format::Json => print_json(&groups)?,
        Format::Text => {
            print_table(&groups)?;
            let letters = groups.values().map(|group| group.letters).sum();
            let places: Vec<String> = folders.iter().map(|folder| folder.display().to_string()).collect();
            writeln!(std::io::stdout().lock(), "{} in {}", count(letters, "letter"), places.join(", "))?;
        }
    }
    Ok(if damaged == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print_json(groups: &BTreeMap<(String, String), Group>) -> Result<()> {
    let groups: Vec<serde_json::Value> = groups
        .iter()
        .map(|((plugin, reason), group)| {
            json!({
                "plugin": plugin,
                "reason": reason,
                "letters": group.letters,
                "events": group.events(),
                "first": shown_time(group.first),
                "last": shown_time(group.last),
                "example": group.example.to_string(),
            })
        })
        .collect();
    writeln!(std::io::stdout().lock(), "{:#}", serde_json::Value::from(groups))?;
    Ok(())
}

fn print_table(groups: &BTreeMap<(String, String), Group>) -> Result<()> {
    if groups.is_empty() {
        return Ok(());
    }
    let longest =
        |heading: &str, texts: Vec<usize>| texts.into_iter().chain([heading.len()]).max().unwrap_or(0);
    let plugin = longest("plugin", groups.keys().map(|(plugin, _)| plugin.chars().count()).collect());
    let example = longest("example", groups.values().map(|group| group.example.to_string().len()).collect());
    let time = "2026-11-24T17:00:00Z".len();
    let mut stdout = std::io::stdout().lock();
    let head = format!(
        "{:>8}  {:<plugin$}  {:<time$}  {:<time$}  {:<example$}  reason",
        "letters", "plugin", "first", "last", "example"
    );
    writeln!(stdout, "{}", terminal::styled(&head, "1", terminal::stdout_takes_color()))?;
    for ((name, reason), group) in groups {
        writeln!(
            stdout,
            "{:>8}  {name:<plugin$}  {}  {}  {:<example$}  {reason}",
            group.letters,
            shown_time(group.first),
            shown_time(group.last),
            group.example.to_string(),
        )?;
    }
    Ok(())
}

/// A reason without what is quoted in it (a value, an id), and not longer than a line or two.
fn kind_of(reason: &str) -> String {
    let mut kind = String::new();
    let mut letters = reason.chars();
    while let Some(letter) = letters.next() {
        kind.push(letter);
        if matches!(letter, '\'' | '"') && letters.as_str().contains(letter) {
            for quoted in letters.by_ref() {
                if quoted == letter {
                    break;
                }
            }
            kind.push('…');
            kind.push(letter);
        }
        if kind.chars().count() >= 200 {
            kind.push('…');
            break;
        }
    }
    kind
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_that_differ_in_a_value_are_of_one_kind() {
        let reason = |value: &str| {
            format!(
                "status 400: mapper_parsing_exception: failed to parse field [n] in document with id '{value}'"
            )
        };
        assert_eq!(kind_of(&reason("a")), kind_of(&reason("b c")));
        assert_eq!(kind_of("it's \"x\" and \"y"), "it's \"…\" and \"y");
        assert_eq!(kind_of(&"ä".repeat(300)).chars().count(), 201);
        assert_eq!(kind_of(""), "");
    }
}
