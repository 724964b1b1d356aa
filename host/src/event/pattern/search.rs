//! Runs a program over a text: tries a way, goes back and tries another. What that costs is counted, as some patterns
//! have more ways than anyone can try.

use std::time::Instant;

use super::program::{Program, Set, Step};
use super::tree::{Place, RepeatKind};

/// A slot that holds nothing.
const NOTHING: usize = usize::MAX;

/// The most ways that are kept to go back to: 32 MB.
const MOST_WAYS: usize = 1 << 20;

/// How often the clock is looked at, in steps.
const LOOK_AT_CLOCK: u64 = 4096;

/// Why a search was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GivenUp {
    /// It took too many steps.
    Steps,
    /// The time was up.
    Deadline,
}

/// What a search may cost.
#[derive(Debug)]
pub struct Budget {
    steps: u64,
    unlooked: u64,
    deadline: Option<Instant>,
}

impl Budget {
    /// So many steps, and not beyond a deadline.
    pub fn new(steps: u64, deadline: Option<Instant>) -> Self {
        Budget { steps, unlooked: 0, deadline }
    }

    /// Takes steps.
    ///
    /// # Errors
    /// If there are not so many left, or the time is up.
    #[inline]
    pub fn take(&mut self, steps: u64) -> Result<(), GivenUp> {
        self.steps = self.steps.checked_sub(steps).ok_or(GivenUp::Steps)?;
        self.unlooked += steps;
        if self.unlooked >= LOOK_AT_CLOCK {
            self.unlooked = 0;
            self.look_at_clock()?;
        }
        Ok(())
    }

    /// Looks whether the time is up.
    ///
    /// # Errors
    /// If it is.
    pub fn look_at_clock(&self) -> Result<(), GivenUp> {
        match self.deadline {
            Some(deadline) if Instant::now() >= deadline => Err(GivenUp::Deadline),
            _ => Ok(()),
        }
    }
}

/// What a search keeps; to be used again.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Two a group: where it begins and where it ends.
    pub(super) slots: Vec<usize>,
    ways: Vec<Way>,
}

/// Something to go back to.
#[derive(Debug)]
enum Way {
    /// Go on there.
    Step { step: usize, at: usize },
    /// A slot held this.
    Slot { slot: usize, held: usize },
    /// A run that ends at `at` may end earlier, but not before `least`.
    Shorter { step: usize, least: usize, at: usize },
    /// A run that ends at `at` may take so many characters more.
    Longer { step: usize, at: usize, more: usize },
}

/// Finds the first match from a place on; the groups are in the slots of `memory` then.
pub(super) fn search(
    program: &Program,
    text: &str,
    from: usize,
    budget: &mut Budget,
    memory: &mut Memory,
) -> Result<bool, GivenUp> {
    let mut start = from;
    loop {
        if let Some(first) = &program.first {
            let rest = text.as_bytes().get(start..).unwrap_or_default();
            let Some(skipped) = rest.iter().position(|byte| first[usize::from(*byte)]) else {
                return budget.take(rest.len() as u64 / 16).map(|()| false);
            };
            budget.take(skipped as u64 / 16)?;
            start += skipped;
        }
        if program.only_at_start && start > 0 {
            return Ok(false);
        }
        let mut run = Run { program, text, from, budget, slots: &mut memory.slots, ways: &mut memory.ways };
        if run.run(start)? {
            return Ok(true);
        }
        match letter_at(text, start) {
            Some(letter) => start += letter.len_utf8(),
            None => return Ok(false),
        }
    }
}

struct Run<'a> {
    program: &'a Program,
    text: &'a str,
    from: usize,
    budget: &'a mut Budget,
    slots: &'a mut Vec<usize>,
    ways: &'a mut Vec<Way>,
}

impl Run<'_> {
    fn run(&mut self, start: usize) -> Result<bool, GivenUp> {
        self.ways.clear();
        self.slots.clear();
        self.slots.resize(self.program.slots, NOTHING);
        self.slots[0] = start;
        self.budget.take(self.program.slots as u64 / 8)?;
        let (mut step, mut at) = (0, start);
        loop {
            self.budget.take(1)?;
            let next = match &self.program.steps[step] {
                Step::Found => {
                    self.slots[1] = at;
                    return Ok(true);
                }
                other => self.take_step(other, step, at)?,
            };
            match next {
                Some((next_step, next_at)) => (step, at) = (next_step, next_at),
                None => match self.go_back()? {
                    Some((next_step, next_at)) => (step, at) = (next_step, next_at),
                    None => return Ok(false),
                },
            }
        }
    }

    /// Where to go on, or `None` if the step fails.
    #[inline]
    fn take_step(
        &mut self,
        step: &Step,
        number: usize,
        at: usize,
    ) -> Result<Option<(usize, usize)>, GivenUp> {
        let next = number + 1;
        Ok(match step {
            Step::Text(expected) => {
                let found =
                    self.text.as_bytes().get(at..).is_some_and(|rest| rest.starts_with(expected.as_bytes()));
                found.then(|| (next, at + expected.len()))
            }
            Step::Set(set) => {
                let set = &self.program.sets[*set];
                letter_at(self.text, at)
                    .filter(|letter| set.contains(*letter))
                    .map(|letter| (next, at + letter.len_utf8()))
            }
            Step::Run { set, least, most, kind } => {
                let set = &self.program.sets[*set];
                return self.take_run(set, *least, *most, *kind, number, at);
            }
            Step::Split(first, second) => {
                self.keep(Way::Step { step: *second, at })?;
                Some((*first, at))
            }
            Step::Jump(to) => Some((*to, at)),
            Step::Note(slot) => {
                self.put(*slot, at)?;
                Some((next, at))
            }
            Step::GroupEnd { group, began } => {
                let began = self.slots[*began];
                self.put(2 * group, began)?;
                self.put(2 * group + 1, at)?;
                Some((next, at))
            }
            Step::IfEmpty { noted, to } => Some((if self.slots[*noted] == at { *to } else { next }, at)),
            Step::Mark(slot) => {
                let ways = self.ways.len();
                self.put(*slot, ways)?;
                // The slot itself is put back with what lies below the mark.
                self.slots[*slot] = self.ways.len();
                Some((next, at))
            }
            Step::Cut(mark) => {
                self.cut(self.slots[*mark]);
                Some((next, at))
            }
            Step::CutAndFail(mark) => {
                let ways = self.slots[*mark];
                while self.ways.len() > ways {
                    if let Some(Way::Slot { slot, held }) = self.ways.pop() {
                        self.slots[slot] = held;
                    }
                }
                None
            }
            Step::Return(slot) => Some((next, self.slots[*slot])),
            Step::Back(letters) => self.back(at, *letters)?.map(|at| (next, at)),
            Step::Reference { groups, any_case } => self.refer(groups, *any_case, at)?.map(|at| (next, at)),
            Step::Unless { groups, to } => {
                let took_part = groups.iter().any(|group| self.slots[2 * *group as usize + 1] != NOTHING);
                Some((if took_part { next } else { *to }, at))
            }
            Step::Place(place) => self.is_at(*place, at).then_some((next, at)),
            Step::Keep => {
                self.put(0, at)?;
                Some((next, at))
            }
            Step::Found => None,
        })
    }

    fn keep(&mut self, way: Way) -> Result<(), GivenUp> {
        if self.ways.len() >= MOST_WAYS {
            return Err(GivenUp::Steps);
        }
        self.ways.push(way);
        Ok(())
    }

    fn put(&mut self, slot: usize, value: usize) -> Result<(), GivenUp> {
        let held = std::mem::replace(&mut self.slots[slot], value);
        self.keep(Way::Slot { slot, held })
    }

    /// Forgets the ways from there on, but not what slots held: one may go back further.
    fn cut(&mut self, ways: usize) {
        let mut kept = ways;
        for number in ways..self.ways.len() {
            if matches!(self.ways[number], Way::Slot { .. }) {
                self.ways.swap(kept, number);
                kept += 1;
            }
        }
        self.ways.truncate(kept);
    }

    fn go_back(&mut self) -> Result<Option<(usize, usize)>, GivenUp> {
        loop {
            match self.ways.pop() {
                None => return Ok(None),
                Some(Way::Step { step, at }) => return Ok(Some((step, at))),
                Some(Way::Slot { slot, held }) => self.slots[slot] = held,
                Some(Way::Shorter { step, least, at }) => {
                    let Some(letter) = self.text.get(..at).and_then(|text| text.chars().next_back()) else {
                        continue;
                    };
                    let at = at - letter.len_utf8();
                    if at > least {
                        self.ways.push(Way::Shorter { step, least, at });
                    }
                    return Ok(Some((step + 1, at)));
                }
                Some(Way::Longer { step, at, more }) => {
                    let Step::Run { set, .. } = &self.program.steps[step] else { continue };
                    let set = &self.program.sets[*set];
                    let Some(letter) = letter_at(self.text, at).filter(|letter| set.contains(*letter)) else {
                        continue;
                    };
                    let at = at + letter.len_utf8();
                    if more > 1 {
                        self.ways.push(Way::Longer { step, at, more: more - 1 });
                    }
                    return Ok(Some((step + 1, at)));
                }
            }
            self.budget.take(1)?;
        }
    }

    fn take_run(
        &mut self,
        set: &Set,
        least: usize,
        most: usize,
        kind: RepeatKind,
        step: usize,
        at: usize,
    ) -> Result<Option<(usize, usize)>, GivenUp> {
        let most_now = if kind == RepeatKind::Lazy { least } else { most };
        let (mut end, mut count, mut shortest) = (at, 0, at);
        while count < most_now {
            let Some(letter) = letter_at(self.text, end).filter(|letter| set.contains(*letter)) else {
                break;
            };
            end += letter.len_utf8();
            count += 1;
            if count == least {
                shortest = end;
            }
        }
        self.budget.take((end - at) as u64 / 16)?;
        if count < least {
            return Ok(None);
        }
        match kind {
            RepeatKind::Greedy if end > shortest => {
                self.keep(Way::Shorter { step, least: shortest, at: end })?
            }
            RepeatKind::Lazy if most > least => {
                self.keep(Way::Longer { step, at: end, more: most - least })?
            }
            _ => {}
        }
        Ok(Some((step + 1, end)))
    }

    fn back(&mut self, at: usize, letters: usize) -> Result<Option<usize>, GivenUp> {
        self.budget.take(letters as u64 / 16)?;
        let before = self.text.get(..at).unwrap_or_default();
        Ok(before.char_indices().rev().nth(letters.saturating_sub(1)).map(|(at, _)| at))
    }

    /// Where the text of the first of the groups that took part ends, if it stands here again.
    fn refer(&mut self, groups: &[u32], any_case: bool, at: usize) -> Result<Option<usize>, GivenUp> {
        for group in groups {
            let (begin, end) = (self.slots[2 * *group as usize], self.slots[2 * *group as usize + 1]);
            let Some(held) = (end != NOTHING).then(|| self.text.get(begin..end)).flatten() else { continue };
            self.budget.take(held.len() as u64 / 16)?;
            let rest = self.text.get(at..).unwrap_or_default();
            if rest.starts_with(held) {
                return Ok(Some(at + held.len()));
            }
            if any_case {
                let mut letters = rest.chars();
                let mut length = 0;
                let same = held.chars().all(|held| {
                    letters.next().is_some_and(|letter| {
                        length += letter.len_utf8();
                        letter == held || letter.to_lowercase().eq(held.to_lowercase())
                    })
                });
                if same {
                    return Ok(Some(at + length));
                }
            }
        }
        Ok(None)
    }

    fn is_at(&self, place: Place, at: usize) -> bool {
        let bytes = self.text.as_bytes();
        let (before, after) = (at.checked_sub(1).and_then(|before| bytes.get(before)), bytes.get(at));
        match place {
            Place::LineStart => at == 0 || before == Some(&b'\n') && after.is_some(),
            Place::LineEnd => matches!(after, None | Some(b'\n')),
            Place::TextStart => at == 0,
            Place::TextEnd => after.is_none(),
            Place::LastLineEnd => after.is_none() || after == Some(&b'\n') && at + 1 == bytes.len(),
            Place::SearchStart => at == self.from,
            Place::WordEdge { ascii, negative } => {
                let before = self.text.get(..at).and_then(|text| text.chars().next_back());
                let is_word = |letter: Option<char>| letter.is_some_and(|letter| is_word(letter, ascii));
                (is_word(before) != is_word(letter_at(self.text, at))) != negative
            }
        }
    }
}

fn is_word(letter: char, ascii: bool) -> bool {
    if letter.is_ascii() {
        return letter.is_ascii_alphanumeric() || letter == '_';
    }
    static WORD: std::sync::LazyLock<Option<Set>> = std::sync::LazyLock::new(|| {
        super::sets::of_bracket("word", super::sets::Extent::Default).map(|set| Set::new(&set))
    });
    !ascii && WORD.as_ref().is_some_and(|word| word.contains(letter))
}

#[inline]
fn letter_at(text: &str, at: usize) -> Option<char> {
    match text.as_bytes().get(at) {
        Some(byte) if byte.is_ascii() => Some(char::from(*byte)),
        _ => text.get(at..).and_then(|rest| rest.chars().next()),
    }
}
