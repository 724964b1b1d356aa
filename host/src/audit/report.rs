//! What an audit finds, as data.

use serde::Serialize;

use crate::input::cloudwatch_logs::recorded::RecordedWindows;
use crate::input::cloudwatch_logs::windows::{WINDOW, window_of};
use crate::output::elasticsearch::lookup::Comparison;

/// What is told as it is found.
#[derive(Clone, Debug)]
pub enum Told {
    /// An event is missing.
    Missing(MissingEvent),
    /// An hour of a log group was compared.
    Hour(Hour),
}

/// An event of CloudWatch Logs that is not where it belongs.
#[derive(Clone, Debug, Serialize)]
pub struct MissingEvent {
    /// The input's name.
    pub input: String,
    /// The log group.
    pub log_group: String,
    /// The event's time in milliseconds since 1970.
    pub time: i64,
    /// The service's own id of it.
    pub event_id: String,
    /// The id of its document.
    pub document_id: String,
    /// The outputs that lack it; none where a filter sets it aside and its dead letter is gone.
    pub outputs: Vec<String>,
    /// Whether it was delivered now.
    pub fetched: bool,
}

/// Numbers of events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// In CloudWatch Logs.
    pub events: u64,
    /// In every output that takes them.
    pub stored: u64,
    /// In the dead letters.
    pub set_aside: u64,
    /// Taken out by a filter, or taken by no output.
    pub dropped_by_rule: u64,
    /// Read, and nowhere.
    pub missing: u64,
    /// Not there, and not read yet (or older than where reading began).
    pub not_read: u64,
    /// For outputs that cannot be compared by id.
    pub uncompared: u64,
    /// Of those that are missing, delivered now.
    pub fetched: u64,
}

/// An hour, or the part of it that was asked for, of a log group.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Hour {
    /// The input's name.
    pub input: String,
    /// The log group.
    pub log_group: String,
    /// In milliseconds since 1970.
    pub from: i64,
    /// Its end.
    pub to: i64,
    /// What the ledger says.
    pub ledger: LedgerHour,
    /// What was compared.
    #[serde(flatten)]
    pub counts: Counts,
    /// What each output has.
    pub outputs: Vec<OutputHour>,
}

/// What an output has of an hour.
#[derive(Clone, Debug, Default, Serialize)]
pub struct OutputHour {
    /// Its name.
    pub output: String,
    /// Whether ids are compared, or only numbers.
    pub by_id: bool,
    /// Whether it can be asked at all.
    pub compared: bool,
    /// By id: events of the group that are there. By number: documents of that hour, of all inputs.
    pub documents: u64,
    /// By number: the events that should be there.
    pub expected: u64,
}

/// How far the windows (minutes) of an hour are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LedgerHour {
    /// Windows that are read for good.
    pub closed: u64,
    /// Windows that are read again for late events.
    pub settling: u64,
    /// Windows that are still read.
    pub open: u64,
    /// Windows of groups that are not read yet, or before the beginning of reading.
    pub not_begun: u64,
    /// Ids that the ledger has; those of closed windows are forgotten.
    pub ids: u64,
}

/// All hours together.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Audited {
    /// The sums.
    #[serde(flatten)]
    pub counts: Counts,
    /// The sums of each output.
    pub outputs: Vec<OutputHour>,
}

impl OutputHour {
    pub(super) fn new(name: &str, kind: Comparison) -> Self {
        OutputHour {
            output: name.to_owned(),
            by_id: kind == Comparison::ById,
            compared: kind != Comparison::No,
            ..OutputHour::default()
        }
    }

    /// Documents fewer than there should be, where only numbers are compared.
    pub fn fewer(&self) -> u64 {
        if self.by_id || !self.compared { 0 } else { self.expected.saturating_sub(self.documents) }
    }
}

impl LedgerHour {
    pub(super) fn new(windows: Option<RecordedWindows>, ids: u64, from: i64, to: i64) -> Self {
        let mut hour = LedgerHour { ids, ..LedgerHour::default() };
        let mut window = window_of(from);
        while window < to {
            let end = window.saturating_add(WINDOW);
            let count = match windows {
                None => &mut hour.not_begun,
                Some(windows) if windows.from.is_some_and(|from| end <= from) => &mut hour.not_begun,
                Some(windows) if end <= windows.closed_to => &mut hour.closed,
                Some(windows) if end <= windows.settling_to => &mut hour.settling,
                Some(_) => &mut hour.open,
            };
            *count += 1;
            window = end;
        }
        hour
    }
}

impl Audited {
    pub(super) fn add(&mut self, hour: &Hour) {
        let (sum, counts) = (&mut self.counts, &hour.counts);
        sum.events += counts.events;
        sum.stored += counts.stored;
        sum.set_aside += counts.set_aside;
        sum.dropped_by_rule += counts.dropped_by_rule;
        sum.missing += counts.missing;
        sum.not_read += counts.not_read;
        sum.uncompared += counts.uncompared;
        sum.fetched += counts.fetched;
        if self.outputs.is_empty() {
            self.outputs = hour
                .outputs
                .iter()
                .map(|of| OutputHour { documents: 0, expected: 0, ..of.clone() })
                .collect();
        }
        for (sum, of_hour) in self.outputs.iter_mut().zip(&hour.outputs) {
            sum.documents += of_hour.documents;
            sum.expected += of_hour.expected;
        }
    }

    /// Whether nothing is missing, as far as that can be told, or all of it was delivered now.
    pub fn is_whole(&self) -> bool {
        self.counts.missing == self.counts.fetched && self.outputs.iter().all(|output| output.fewer() == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_of_an_hour() {
        let windows = RecordedWindows { from: Some(60_000), closed_to: 150_000, settling_to: 240_000 };
        let hour = LedgerHour::new(Some(windows), 3, 0, 360_000);
        assert_eq!(hour, LedgerHour { closed: 1, settling: 2, open: 2, not_begun: 1, ids: 3 });
        let hour = LedgerHour::new(None, 0, 30_000, 90_000);
        assert_eq!(hour, LedgerHour { not_begun: 2, ..LedgerHour::default() });
    }
}
