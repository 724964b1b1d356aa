//! Searching the texts that a guest hands over, and replacing what is found. Bad places end the call; what is wrong with one
//! text is an error of that text; a deadline that is over, or more text than the guest could hold, ends the call too.

use std::time::Instant;

use wasmtime::Trap;
use wasmtime::component::Resource;

use super::super::guest_state::GuestState;
use super::super::interface::{NO_VALUE, Texts};
use super::{Found, Replaced};
use crate::event::Pattern;
use crate::event::pattern::{Budget, GivenUp, NotReplaced, Replacement, TOO_MANY_STEPS};

/// The most places that one call answers: texts times groups.
const MOST_PLACES: usize = 1 << 20;

/// The first match in each text (wit/filter.wit, `pattern.captures`).
pub(super) fn captures(
    state: &mut GuestState,
    pattern: &Resource<Pattern>,
    input: &Texts,
    text: &[u8],
) -> wasmtime::Result<Found> {
    end_when_late(state)?;
    let pattern = state.patterns.get(pattern)?.clone();
    let (text, rows) = (as_text(text)?, rows_of(input)?);
    let groups = pattern.names().count();
    if rows.saturating_mul(groups) > MOST_PLACES {
        wasmtime::bail!("{rows} texts with {groups} groups are too many for one search");
    }
    let none = Texts { starts: vec![0; rows], lens: vec![NO_VALUE; rows] };
    let mut found = Found { groups: vec![none; groups], errors: Vec::new() };
    for (row, (start, length)) in input.starts.iter().zip(&input.lens).enumerate() {
        let Some(part) = part(text, *start, *length)? else { continue };
        let mut budget = Budget::new(Pattern::steps(part.len()), Some(state.ends));
        match pattern.find(part, 0, &mut budget, &mut state.found) {
            Ok(true) => {}
            Ok(false) => continue,
            Err(GivenUp::Deadline) => return Err(late()),
            Err(GivenUp::Steps) => {
                found.errors.push((row as u32, TOO_MANY_STEPS.to_owned()));
                continue;
            }
        }
        for (group, place) in found.groups.iter_mut().zip(state.found.groups()) {
            if let Some(place) = place {
                // A place in a text whose own places have 32 bits.
                group.starts[row] = start + place.start as u32;
                group.lens[row] = place.len() as u32;
            }
        }
    }
    Ok(found)
}

/// Every match in each text replaced (wit/filter.wit, `pattern.replace-all`).
pub(super) fn replace_all(
    state: &mut GuestState,
    pattern: &Resource<Pattern>,
    input: &Texts,
    text: Vec<u8>,
    replacements: &Texts,
) -> wasmtime::Result<Replaced> {
    end_when_late(state)?;
    let pattern = state.patterns.get(pattern)?.clone();
    let (text, rows) = (as_text(&text)?, rows_of(input)?);
    if rows_of(replacements)? != rows || rows > MOST_PLACES {
        wasmtime::bail!("{rows} texts and {} replacements", replacements.starts.len());
    }
    let memory = state.limits.most();
    let mut new = String::new();
    let mut replaced = Replaced { text: Vec::new(), places: input.clone(), errors: Vec::new() };
    let mut known: Option<(&str, Replacement)> = None;
    for (row, (start, length)) in input.starts.iter().zip(&input.lens).enumerate() {
        let Some(searched) = part(text, *start, *length)? else { continue };
        let Some(written) = part(text, replacements.starts[row], replacements.lens[row])? else {
            wasmtime::bail!("text {row} has no replacement");
        };
        // They mostly are the same.
        let replacement = match &known {
            Some((text, replacement)) if *text == written => replacement,
            _ => &known.insert((written, Replacement::parse(written))).1,
        };
        let begin = new.len();
        let mut budget = Budget::new(Pattern::steps(searched.len()), Some(state.ends));
        let done =
            pattern.replace_all(searched, replacement, memory / 8, &mut budget, &mut state.found, &mut new);
        match done {
            Ok(false) => {}
            Ok(true) => {
                if new.len() > memory {
                    state.limits.refused = true;
                    wasmtime::bail!("the new texts are longer than the filter's memory");
                }
                let start = u32::try_from(text.len() + begin)?;
                replaced.places.starts[row] = start;
                replaced.places.lens[row] = u32::try_from(new.len() - begin)?;
            }
            Err(NotReplaced::Deadline) => return Err(late()),
            Err(NotReplaced::Text(error)) => {
                replaced.places.lens[row] = NO_VALUE;
                replaced.errors.push((row as u32, error));
            }
        }
    }
    replaced.text = new.into_bytes();
    Ok(replaced)
}

/// Ends the call if the time is up.
pub(super) fn end_when_late(state: &GuestState) -> wasmtime::Result<()> {
    if Instant::now() >= state.ends { Err(late()) } else { Ok(()) }
}

/// As the engine ends a guest whose time is up.
fn late() -> wasmtime::Error {
    Trap::Interrupt.into()
}

fn as_text(text: &[u8]) -> wasmtime::Result<&str> {
    match std::str::from_utf8(text) {
        Ok(text) => Ok(text),
        Err(_) => wasmtime::bail!("the text to be searched is not UTF-8"),
    }
}

fn rows_of(texts: &Texts) -> wasmtime::Result<usize> {
    if texts.starts.len() != texts.lens.len() {
        wasmtime::bail!("texts have {} starts and {} lengths", texts.starts.len(), texts.lens.len());
    }
    Ok(texts.starts.len())
}

/// The text at a place; `None` if the row has none.
fn part(text: &str, start: u32, length: u32) -> wasmtime::Result<Option<&str>> {
    if length == NO_VALUE {
        return Ok(None);
    }
    let (start, length) = (start as usize, length as usize);
    match start.checked_add(length).and_then(|end| text.get(start..end)) {
        Some(part) => Ok(Some(part)),
        None => wasmtime::bail!("a place to be searched lies outside of the text, or within a character"),
    }
}
