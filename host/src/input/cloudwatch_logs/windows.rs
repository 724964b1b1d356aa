//! The book-keeping of a log group: which windows of event time are open, settling and closed, and what a reading changes
//! of that. Nothing but arithmetic, so that the model of the protocol (`tests/model`) is explored with this very code.
//!
//! A window is a minute of event time. It is *open* until it was read by a run that began a minute after its end; from then
//! on it is *settling*: read again on a schedule, for events that become visible late; and *closed* when a run that began
//! `lookback` and a minute after its end has read it. Closed windows are never read again.

/// The length of a window in milliseconds.
pub const WINDOW: i64 = 60_000;
/// How long after the service took an event it may be before readers see it, in milliseconds.
pub const GRACE: i64 = 60_000;

/// The first millisecond of the window that a time lies in.
pub fn window_of(time: i64) -> i64 {
    time.div_euclid(WINDOW).saturating_mul(WINDOW)
}

/// How far the reading of a window has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WindowState {
    /// Events are still expected.
    Open,
    /// It was read after its end; late events are waited for.
    Settling,
    /// Nothing is waited for.
    Closed,
}

/// The states of all windows of a group: closed ones first, then those that settle, then the open ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Windows {
    /// Windows that end here or before are closed; milliseconds since 1970. Lies in the middle of a window where a long
    /// reading was cut.
    pub closed_to: i64,
    /// Windows after those, up to here, are settling. Never before `closed_to`.
    pub settling_to: i64,
}

impl Windows {
    /// A group whose reading begins at a time: all from there on is open.
    pub fn starting_at(time: i64) -> Self {
        Windows { closed_to: time, settling_to: time }
    }

    /// The state of the window that begins at a time.
    pub fn state(&self, window: i64) -> WindowState {
        let end = window.saturating_add(WINDOW);
        if end <= self.closed_to {
            WindowState::Closed
        } else if end <= self.settling_to {
            WindowState::Settling
        } else {
            WindowState::Open
        }
    }

    /// A run that began at `began` has read everything from `from` up to but not including `to`, with parameters that did
    /// not change. `lookback`: how long after its time an event may become visible. All in milliseconds.
    pub fn read(&mut self, from: i64, to: i64, began: i64, lookback: i64) {
        let settled = began.saturating_sub(GRACE);
        if from <= self.settling_to {
            self.settling_to = self.settling_to.max(to.min(window_of(settled)));
        }
        if from <= self.closed_to {
            self.closed_to = self.closed_to.max(to.min(window_of(settled.saturating_sub(lookback))));
        }
        self.settling_to = self.settling_to.max(self.closed_to);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;
    const NOW: i64 = 1_700_000_040_000;

    #[test]
    fn windows_begin_at_minutes() {
        for (time, window) in
            [(0, 0), (59_999, 0), (60_000, 60_000), (-1, -60_000), (i64::MAX, i64::MAX / WINDOW * WINDOW)]
        {
            assert_eq!(window_of(time), window);
        }
    }

    #[test]
    fn a_reading_of_everything_settles_and_closes() {
        let mut windows = Windows::starting_at(0);
        windows.read(0, NOW + HOUR, NOW, HOUR);
        let (settled, closed) = (window_of(NOW - GRACE), window_of(NOW - GRACE - HOUR));
        assert_eq!(windows, Windows { closed_to: closed, settling_to: settled });
        assert_eq!(windows.state(closed - WINDOW), WindowState::Closed);
        assert_eq!(windows.state(closed), WindowState::Settling);
        assert_eq!(windows.state(settled - WINDOW), WindowState::Settling);
        assert_eq!(windows.state(settled), WindowState::Open);
    }

    #[test]
    fn what_was_not_read_changes_nothing() {
        let before = Windows { closed_to: NOW - 2 * HOUR, settling_to: NOW - HOUR };
        let mut windows = before;
        windows.read(NOW - HOUR + 1, NOW, NOW, HOUR);
        assert_eq!(windows, before, "there is a gap");
        windows.read(NOW - HOUR, NOW - HOUR + 5, NOW, HOUR);
        assert_eq!(windows, Windows { settling_to: NOW - HOUR + 5, ..before }, "cut in a window");
        windows.read(NOW - 2 * HOUR, NOW - 90 * WINDOW, NOW, HOUR);
        assert_eq!(windows.closed_to, NOW - 90 * WINDOW, "only what was read is closed");
        windows.read(NOW - 2 * HOUR, NOW - HOUR, NOW - 3 * HOUR, HOUR);
        assert_eq!(windows.closed_to, NOW - 90 * WINDOW, "it never goes back");
    }

    #[test]
    fn without_lookback_windows_are_closed_as_they_settle() {
        let mut windows = Windows::starting_at(NOW - HOUR);
        windows.read(NOW - HOUR, NOW, NOW, 0);
        assert_eq!(windows, Windows::starting_at(window_of(NOW - GRACE)));
    }
}
