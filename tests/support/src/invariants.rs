//! What must hold of every run, by the names that the model of the protocol (`tests/model`) and the counters of a running
//! process (`CloudwatchCounters::invariants`) have too; and one name more, for what only an oracle can see that knows what the
//! events were.

use std::fmt;

/// How often each invariant was found broken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Broken {
    /// Events that are stored nowhere.
    pub nothing_lost: usize,
    /// Events that are stored twice, written over, or delivered again after their acknowledgement was committed.
    pub nothing_doubled: usize,
    /// Ids in the ledger whose events are not stored.
    pub nothing_ahead: usize,
    /// Windows that were closed before they settled, or went back.
    pub closed_in_order: usize,
    /// Events that are not stored as they were, or not where they belong.
    pub nothing_altered: usize,
}

impl Broken {
    /// Whether all hold.
    pub fn is_nothing(&self) -> bool {
        *self == Broken::default()
    }

    /// The sum of two runs.
    pub fn add(&mut self, other: Broken) {
        for ((_, sum), (_, count)) in self.by_name_mut().into_iter().zip(other.by_name()) {
            *sum += count;
        }
    }

    /// Each invariant and how often it was broken.
    pub fn by_name(&self) -> [(&'static str, usize); 5] {
        let mut copy = *self;
        copy.by_name_mut().map(|(name, count)| (name, *count))
    }

    fn by_name_mut(&mut self) -> [(&'static str, &mut usize); 5] {
        [
            ("nothing_lost", &mut self.nothing_lost),
            ("nothing_doubled", &mut self.nothing_doubled),
            ("nothing_ahead", &mut self.nothing_ahead),
            ("closed_in_order", &mut self.closed_in_order),
            ("nothing_altered", &mut self.nothing_altered),
        ]
    }
}

/// Each invariant with `holds`, or how often it was broken.
impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (name, count)) in self.by_name().into_iter().enumerate() {
            f.write_str(if number == 0 { "" } else { ", " })?;
            match count {
                0 => write!(f, "{name} holds")?,
                count => write!(f, "{name} BROKEN {count} times")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_named() {
        let mut sum = Broken { nothing_ahead: 2, ..Broken::default() };
        sum.add(Broken { nothing_ahead: 1, nothing_altered: 4, ..Broken::default() });
        assert!(!sum.is_nothing() && Broken::default().is_nothing());
        assert_eq!(
            sum.to_string(),
            "nothing_lost holds, nothing_doubled holds, nothing_ahead BROKEN 3 times, closed_in_order holds, \
             nothing_altered BROKEN 4 times"
        );
    }
}
