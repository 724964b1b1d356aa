//! A paging run over one range of event time. Its parameters never change from page to page; where it is cut, because it got
//! long or its token expired, it goes on as a new one at the last millisecond read.

/// A run that is under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// What is asked for, in milliseconds since 1970, both inclusive.
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) token: Option<String>,
    /// Everything from here to `start` was read by this run, which began at `began`.
    pub(super) from: i64,
    pub(super) began: i64,
    /// The same when it was new.
    pub(super) origin: i64,
    pub(super) first_began: i64,
    /// Pages since it was new.
    pub(super) pages: u32,
    pages_since_cut: u32,
    new_events: usize,
    /// The latest time read.
    last: i64,
    has_events: bool,
    /// All events so far came in the service's order and had ids of its form, so all up to `last` were read.
    in_order: bool,
    /// Pages since the run was begun anew without its token.
    pages_since_restart: u32,
}

/// What a page had in it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PageSummary {
    /// Times of the first and the last event, and the latest.
    pub(super) first: Option<i64>,
    pub(super) last: Option<i64>,
    /// Whether the page is in the order of time and has ids of the service's form: stand-ins have neither.
    pub(super) in_order: bool,
    /// Events that were not handed on before.
    pub(super) new_events: usize,
}

impl Run {
    pub(super) fn new(start: i64, end: i64, now: i64) -> Self {
        Run {
            start,
            end,
            token: None,
            from: start,
            began: now,
            origin: start,
            first_began: now,
            pages: 0,
            pages_since_cut: 0,
            new_events: 0,
            last: start,
            has_events: false,
            in_order: true,
            pages_since_restart: 0,
        }
    }

    /// Takes a page into account. Answers whether there is another.
    pub(super) fn page(&mut self, page: PageSummary, token: Option<String>) -> bool {
        self.pages = self.pages.saturating_add(1);
        self.pages_since_cut = self.pages_since_cut.saturating_add(1);
        self.pages_since_restart = self.pages_since_restart.saturating_add(1);
        self.new_events += page.new_events;
        self.has_events |= page.first.is_some();
        self.in_order &= page.first.is_none_or(|first| page.in_order && first >= self.last);
        self.last = page.last.map_or(self.last, |last| last.max(self.last));
        // A token that leads to itself leads nowhere.
        let goes_on = token.is_some() && (token != self.token || page.first.is_some());
        self.token = token;
        goes_on
    }

    /// The time of the latest event, if all before it were read.
    pub(super) fn last_read_time(&self) -> Option<i64> {
        (self.in_order && self.has_events).then_some(self.last)
    }

    /// Whether everything from `time` on is still to be read.
    pub(super) fn is_before(&self, time: i64) -> bool {
        self.in_order && self.last < time
    }

    /// Whether it is time to cut it, and it can be cut.
    pub(super) fn is_long(&self, events: usize, pages: u32) -> bool {
        let is_long = self.new_events >= events || self.pages_since_cut >= pages;
        is_long && self.in_order && self.last > self.start
    }

    /// Goes on as a new run at the last millisecond read. Answers what was read: from, up to but not including, and when
    /// the reading began.
    pub(super) fn cut(&mut self, now: i64) -> (i64, i64, i64) {
        let read = (self.from, self.last, self.began);
        self.restart_at_last();
        (self.from, self.began) = (self.last, now);
        (self.pages_since_cut, self.new_events) = (0, 0);
        read
    }

    /// Goes on without the token. Answers whether something was read since the last time.
    pub(super) fn token_refused(&mut self) -> bool {
        let has_progress = self.pages_since_restart > 0;
        if self.in_order {
            self.restart_at_last();
        } else {
            self.start = self.from;
            self.token = None;
            self.last = self.from;
            self.in_order = true;
            self.pages_since_restart = 0;
        }
        has_progress
    }

    fn restart_at_last(&mut self) {
        self.start = self.last;
        self.token = None;
        self.pages_since_restart = 0;
    }
}
