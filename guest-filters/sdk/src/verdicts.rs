//! What a filter says of a batch's rows, gathered by what is said. That all rows matched costs nothing a row.

use std::collections::HashMap;

use crate::boundary::columns::{Outcome as BoundaryOutcome, Verdict};
use crate::filter::{Failure, Outcome};
use crate::row_mask::RowMask;

/// The longest tag or reason, in bytes, and the most tags of an event.
const LONGEST_WORD: usize = 1024;
const MOST_TAGS: usize = 64;

/// Different things said of one batch; what is beyond is counted under one reason.
const MOST_VERDICTS: usize = 256;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Said {
    failed: bool,
    tags: Vec<String>,
    reason: String,
}

/// The verdicts of a batch while it is worked on.
#[derive(Debug, Default)]
pub(crate) struct Verdicts {
    /// Rows that have been settled, as long as all of them matched.
    all_matched: usize,
    /// The rows that matched, once one did not.
    matched: Option<RowMask>,
    said: Vec<(Said, RowMask)>,
    numbers: HashMap<Said, usize>,
}

impl Verdicts {
    /// Notes what became of `row`, with the tags that were put on it.
    #[inline]
    pub(crate) fn settle(
        &mut self,
        row: usize,
        result: Result<Outcome, Failure>,
        tags: &mut Vec<String>,
        failure_tags: &[String],
    ) {
        if matches!(result, Ok(Outcome::Matched)) {
            match &mut self.matched {
                None if row == self.all_matched => self.all_matched += 1,
                _ => self.matched_rows().insert(row),
            }
        } else {
            self.matched_rows();
        }
        if tags.is_empty() && result.is_ok() {
            return;
        }
        let tags = std::mem::take(tags);
        match result {
            Ok(_) => self.say(row, Said { failed: false, tags, reason: String::new() }),
            Err(failure) => {
                let mut tags = tags;
                for tag in failure.own_tags().unwrap_or(failure_tags) {
                    if !tags.contains(tag) {
                        tags.push(tag.clone());
                    }
                }
                self.say(row, Said { failed: true, tags, reason: failure.reason().to_owned() });
            }
        }
    }

    /// The mask of the rows that matched, made if it was not needed so far.
    #[cold]
    fn matched_rows(&mut self) -> &mut RowMask {
        let rows = self.all_matched;
        self.matched.get_or_insert_with(|| RowMask::all(rows))
    }

    /// Notes that rows matched.
    pub(crate) fn matched(&mut self, rows: &RowMask) {
        self.matched_rows().union(rows);
    }

    /// Notes that rows get tags, or failed.
    pub(crate) fn say_of(&mut self, rows: &RowMask, failed: bool, tags: &[String], reason: &str) {
        if rows.is_empty() {
            return;
        }
        self.matched_rows();
        let number = self.number_of(Said { failed, tags: tags.to_vec(), reason: reason.to_owned() });
        self.said[number].1.union(rows);
    }

    fn say(&mut self, row: usize, said: Said) {
        // Rows that fail mostly fail alike.
        let number = match self.said.last() {
            Some((last, _)) if *last == said => self.said.len() - 1,
            _ => self.number_of(said),
        };
        self.said[number].1.insert(row);
    }

    fn number_of(&mut self, mut said: Said) -> usize {
        said.tags.truncate(MOST_TAGS);
        for word in said.tags.iter_mut().chain([&mut said.reason]) {
            word.truncate(word.floor_char_boundary(LONGEST_WORD));
        }
        if self.said.len() >= MOST_VERDICTS && !self.numbers.contains_key(&said) {
            said.reason = "another of too many different reasons in one batch".to_owned();
            said.tags.truncate(1);
        }
        *self.numbers.entry(said).or_insert_with_key(|said| {
            self.said.push((said.clone(), RowMask::default()));
            self.said.len() - 1
        })
    }

    /// The verdicts to answer, about `rows` rows; they are taken out.
    pub(crate) fn finish(&mut self, rows: usize) -> Vec<Verdict> {
        let mut verdicts = Vec::new();
        let mut matched = self.matched.take().unwrap_or_else(|| RowMask::all(self.all_matched));
        self.all_matched = 0;
        if !matched.is_empty() {
            matched.grow(rows);
            verdicts.push(Verdict {
                outcome: BoundaryOutcome::Matched,
                rows: matched.into_bytes(),
                tags: Vec::new(),
                reason: String::new(),
            });
        }
        self.numbers.clear();
        for (said, mut mask) in self.said.drain(..) {
            mask.grow(rows);
            verdicts.push(Verdict {
                outcome: if said.failed { BoundaryOutcome::Failed } else { BoundaryOutcome::Tagged },
                rows: mask.into_bytes(),
                tags: said.tags,
                reason: said.reason,
            });
        }
        verdicts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(results: &[Result<Outcome, &str>], expected: &[(BoundaryOutcome, u8, &[&str], &str)]) {
        let mut verdicts = Verdicts::default();
        for (row, result) in results.iter().enumerate() {
            let mut tags = Vec::new();
            if matches!(result, Ok(Outcome::Tagged)) {
                tags.push("seen".to_owned());
            }
            let result = result.map_err(Failure::new);
            verdicts.settle(row, result, &mut tags, &["_failed".to_owned()]);
        }
        let found = verdicts.finish(results.len());
        let found: Vec<_> = found
            .iter()
            .map(|verdict| {
                let tags: Vec<&str> = verdict.tags.iter().map(String::as_str).collect();
                (verdict.outcome, verdict.rows[0], tags, verdict.reason.as_str())
            })
            .collect();
        let expected: Vec<_> =
            expected.iter().map(|(o, rows, tags, why)| (*o, *rows, tags.to_vec(), *why)).collect();
        assert_eq!(found, expected, "{results:?}");
    }

    #[test]
    fn rows_are_grouped_by_what_is_said() {
        use BoundaryOutcome::{Failed, Matched, Tagged};
        check(&[Ok(Outcome::Matched); 3], &[(Matched, 0b111, &[], "")]);
        check(&[Ok(Outcome::Ignored); 3], &[]);
        check(
            &[
                Ok(Outcome::Matched),
                Err("no"),
                Ok(Outcome::Ignored),
                Err("no"),
                Ok(Outcome::Tagged),
                Err("never"),
            ],
            &[
                (Matched, 0b1, &[], ""),
                (Failed, 0b1010, &["_failed"], "no"),
                (Tagged, 0b1_0000, &["seen"], ""),
                (Failed, 0b10_0000, &["_failed"], "never"),
            ],
        );
    }

    #[test]
    fn reasons_are_bounded() {
        let mut verdicts = Verdicts::default();
        for row in 0..1000 {
            verdicts.settle(row, Err(Failure::new(format!("reason {row}"))), &mut Vec::new(), &[]);
        }
        let found = verdicts.finish(1000);
        assert_eq!(found.len(), MOST_VERDICTS + 1);
        let rows: u32 = found.iter().flat_map(|verdict| &verdict.rows).map(|byte| byte.count_ones()).sum();
        assert_eq!(rows, 1000);
    }
}
