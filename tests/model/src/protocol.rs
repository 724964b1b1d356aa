//! The protocol by which CloudWatch Logs is read, as a state machine: events that become visible early or late, runs that
//! page through windows, batches on the line, the ledger, crashes. Which windows are open, settling and closed is decided
//! by the program's own code (`windows::Windows`); the rest is the protocol as ARCHITECTURE.md describes it, a step an
//! action, so that a crash may come between any two.
//!
//! Two things are decided no earlier than somebody can tell, which leaves out no run of the world and most of its states.
//! Whether an event has become visible is decided when a page reads its window; one that no page can miss any longer and
//! that was not on it never was. And whether the output has stored a batch is decided when it is committed (it has) or
//! when the process crashes (any of those on the line may have been).

use stateright::{Model, Property};

use crate::windows::{GRACE, WINDOW, WindowState, Windows};

/// Windows of lateness that the reader waits for: the `lookback`.
const LOOKBACK: i64 = 1;
/// Batches on the line at the same time.
const IN_FLIGHT: usize = 2;
/// The most windows and events of a window that a state has room for.
const ROOM: usize = 3;

/// How large the world is, and what is broken in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Protocol {
    /// Windows that have events.
    pub(crate) windows: usize,
    /// Events of each.
    pub(crate) events: usize,
    /// Crashes, at most.
    pub(crate) crashes: u8,
    /// A re-reading run may be under way beside the front run.
    pub(crate) side_by_side: bool,
    /// A rule that the reader does not keep.
    pub(crate) broken: Option<Broken>,
}

/// Ways to read wrong, each of which some product has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// Positions are written down before the output has the events.
    CommitBeforeAcknowledgement,
    /// Windows are closed as soon as they were read, without a wait for late events.
    ClosedTooEarly,
    /// What counts for closing is when a run ended, not when it began.
    ClosedByTheEndOfTheRun,
    /// The ids of events are not written down with their position.
    SeenIdsForgotten,
    /// A run that ends in an error counts as one that has read all of its range.
    ErrorsCountAsRead,
    /// Windows are written down as soon as they are read, past the batches that are on the line.
    WindowsOvertakeBatches,
}

/// An event as bits; 0: there is none, or nothing can happen to it any longer.
type Event = u8;
/// No page has shown it yet.
const HIDDEN: Event = 1;
/// Readers can see it.
const VISIBLE: Event = 2;
/// The output has it.
const STORED: Event = 4;
/// Its id is in the ledger.
const SEEN: Event = 8;
/// Its acknowledgement was committed at some time: what an observer knows, not the reader.
const COMMITTED: Event = 16;
/// It was handed on again after that.
const DOUBLED: Event = 32;
/// The batch that it is in, as a number from one on.
const BATCH: Event = 64;

/// A moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    /// Minutes since the beginning of the first window.
    now: u8,
    /// The events of each window. Those of one window are alike, so they are sorted.
    events: [[Event; ROOM]; ROOM],
    /// The windows as the reader and as the ledger know them.
    reader: Windows,
    ledger: Windows,
    front: Option<Run>,
    again: Option<Run>,
    line: Vec<Batch>,
    crashes: u8,
}

/// A paging run; windows by their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Run {
    from: u8,
    /// The window that the next page has.
    at: u8,
    /// The window behind the last one.
    to: u8,
    began: u8,
}

/// Events on their way. Which ones is noted in the events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Batch {
    /// It is in the ledger though it was not delivered, in a broken world.
    is_committed: bool,
    /// The windows that are committed with it.
    windows: Option<Windows>,
}

/// What may happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// A minute passes.
    Tick,
    /// A run over the open windows begins.
    BeginFront,
    /// A run over all windows that are not closed begins.
    BeginWhole,
    /// A run over the settling windows begins.
    BeginAgain,
    /// A page of the front run, or of the re-reading one, which shows so many events that no page has shown before.
    Page(Slot, u8),
    /// The run's token is refused, or it is long: it is cut where it is and goes on as a new one.
    Cut(Slot),
    /// The token is refused and the order of events says nothing: the run begins anew.
    Restart(Slot),
    /// The output has the first batch and it goes to the ledger; in a broken world perhaps the other way round.
    Commit,
    /// In a broken world: the output has stored the first batch, which is in the ledger.
    Deliver,
    /// The process ends and another one begins. The output has stored those batches whose bits are set.
    Crash(u8),
}

/// Which of the two runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    /// The one over the open windows.
    Front,
    /// The one over the settling windows.
    Again,
}

impl Protocol {
    /// When nothing more happens by itself: the last window may be closed.
    fn end(&self) -> u8 {
        self.windows as u8 + (LOOKBACK + GRACE / WINDOW) as u8
    }

    /// Whether an event of a window may still become visible after a page that is read now: not later than the reader
    /// waits for.
    fn may_appear(&self, state: &State, window: usize) -> bool {
        state.now <= window as u8 + (LOOKBACK + GRACE / WINDOW) as u8
    }

    fn has_read(&self, windows: &mut Windows, from: u8, to: u8, began: u8) {
        let lookback = if self.broken == Some(Broken::ClosedTooEarly) { -GRACE } else { LOOKBACK * WINDOW };
        windows.read(minutes(from), minutes(to), minutes(began), lookback);
    }

    fn page(&self, state: &mut State, slot: Slot, appear: u8) -> Option<()> {
        let mut run = (*state.run(slot))?;
        let number = state.line.len() as u8 + 1;
        let may_appear_later = self.may_appear(state, run.at as usize);
        let mut appear = appear;
        let mut has_new = false;
        for event in state.events.get_mut(run.at as usize)?.iter_mut() {
            if *event == HIDDEN && appear > 0 {
                *event = VISIBLE;
                appear -= 1;
            } else if *event == HIDDEN && !may_appear_later {
                *event = 0;
            }
            if *event & VISIBLE != 0 && *event & SEEN == 0 && *event / BATCH == 0 {
                *event |= if *event & COMMITTED != 0 { DOUBLED } else { 0 };
                *event += number * BATCH;
                has_new = true;
            }
        }
        if appear > 0 {
            return None;
        }
        if has_new {
            state.line.push(Batch { is_committed: false, windows: None });
        }
        run.at += 1;
        *state.run(slot) = Some(run);
        if run.at == run.to {
            let began =
                if self.broken == Some(Broken::ClosedByTheEndOfTheRun) { state.now } else { run.began };
            // Beyond the last page there are only windows whose time has not come.
            let to = if slot == Slot::Front { u8::MAX } else { run.to };
            *state.run(slot) = None;
            self.note(state, run.from, to, began);
        }
        Some(())
    }

    /// What was read goes to the ledger with the batch that was read last.
    fn note(&self, state: &mut State, from: u8, to: u8, began: u8) {
        let before = state.reader;
        self.has_read(&mut state.reader, from, to, began);
        if state.reader == before {
            return;
        }
        if self.broken == Some(Broken::WindowsOvertakeBatches) {
            state.ledger = state.reader;
            return;
        }
        if state.line.is_empty() {
            state.line.push(Batch { is_committed: false, windows: None });
        }
        if let Some(batch) = state.line.last_mut() {
            batch.windows = Some(state.reader);
        }
    }

    fn commit(&self, state: &mut State) -> Option<()> {
        let is_early = self.broken == Some(Broken::CommitBeforeAcknowledgement);
        let batch = state.line.first_mut().filter(|batch| !batch.is_committed)?;
        batch.is_committed = true;
        let windows = batch.windows.unwrap_or(state.ledger);
        for event in state.events.iter_mut().flatten().filter(|event| **event / BATCH == 1) {
            *event |= COMMITTED;
            *event |= if self.broken == Some(Broken::SeenIdsForgotten) { 0 } else { SEEN };
        }
        if !is_early {
            state.deliver();
        }
        state.ledger = windows;
        for (window, events) in state.events.iter_mut().enumerate() {
            if windows.state(minutes(window as u8)) == WindowState::Closed {
                events.iter_mut().for_each(|event| *event &= !SEEN);
            }
        }
        Some(())
    }

    fn crash(&self, state: &mut State, delivered: u8) -> Option<()> {
        if state.crashes == self.crashes || usize::from(delivered) >= 1 << state.line.len() {
            return None;
        }
        state.crashes += 1;
        state.line.clear();
        for event in state.events.iter_mut().flatten() {
            let batch = *event / BATCH;
            let is_delivered = batch > 0 && delivered >> (batch - 1) & 1 == 1;
            *event = (*event % BATCH) | if is_delivered { STORED } else { 0 };
        }
        (state.front, state.again) = (None, None);
        state.reader = state.ledger;
        Some(())
    }

    fn begin(&self, state: &State, from: i64, to: Option<i64>) -> Option<Run> {
        let from = u8::try_from(from / WINDOW).ok()?;
        let last = (state.now + 1).min(self.windows as u8);
        let to = to.map_or(last, |to| u8::try_from(to / WINDOW).unwrap_or(last).min(last));
        (from < to).then_some(Run { from, at: from, to, began: state.now })
    }
}

impl State {
    fn run(&mut self, slot: Slot) -> &mut Option<Run> {
        match slot {
            Slot::Front => &mut self.front,
            Slot::Again => &mut self.again,
        }
    }

    /// The output has stored the first batch, which leaves the line.
    fn deliver(&mut self) {
        self.line.remove(0);
        for event in self.events.iter_mut().flatten().filter(|event| **event >= BATCH) {
            *event -= BATCH;
            *event |= if *event < BATCH { STORED } else { 0 };
        }
    }

    /// States that differ in nothing that matters are one.
    fn normalize(&mut self, protocol: &Protocol) {
        for window in 0..protocol.windows {
            let is_closed = self.ledger.state(minutes(window as u8)) == WindowState::Closed;
            let events = &mut self.events[window];
            // Nobody looks at a closed window again: only what is wrong with it is kept.
            let is_wrong = |event: &Event| is_lost(*event) || *event & DOUBLED != 0;
            for event in events.iter_mut().filter(|event| is_closed && !is_wrong(event) && **event < BATCH) {
                *event = 0;
            }
            events.sort_unstable();
        }
        // Windows without events are alike.
        let end = minutes(protocol.windows as u8);
        let in_line = self.line.iter_mut().filter_map(|batch| batch.windows.as_mut());
        for windows in [&mut self.reader, &mut self.ledger].into_iter().chain(in_line) {
            windows.closed_to = windows.closed_to.min(end);
            windows.settling_to = windows.settling_to.min(end);
        }
        // A run whose end can change nothing any longer may have begun at any time.
        let reader = self.reader;
        for run in [&mut self.front, &mut self.again].into_iter().flatten() {
            let mut after = reader;
            protocol.has_read(&mut after, run.from, u8::MAX, run.began);
            after.closed_to = after.closed_to.min(end);
            after.settling_to = after.settling_to.min(end);
            if after == reader {
                run.began = 0;
            }
        }
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let mut events = [[0; ROOM]; ROOM];
        for window in events.iter_mut().take(self.windows) {
            window.iter_mut().take(self.events).for_each(|event| *event = HIDDEN);
        }
        vec![State {
            now: 0,
            events,
            reader: Windows::starting_at(0),
            ledger: Windows::starting_at(0),
            front: None,
            again: None,
            line: Vec::new(),
            crashes: 0,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        actions.extend((state.now < self.end()).then_some(Action::Tick));
        actions.extend([Action::BeginFront, Action::BeginWhole, Action::BeginAgain]);
        for slot in [Slot::Front, Slot::Again] {
            actions.extend((0..=self.events as u8).map(|appear| Action::Page(slot, appear)));
            actions.extend([Action::Cut(slot), Action::Restart(slot)]);
        }
        actions.extend([Action::Commit, Action::Deliver]);
        actions.extend((0..1 << state.line.len()).map(Action::Crash));
    }

    /// `None`: this cannot happen now.
    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Tick => state.now += 1,
            Action::BeginFront | Action::BeginWhole => {
                let whole = action == Action::BeginWhole;
                let from = if whole { last.reader.closed_to } else { last.reader.settling_to };
                let is_same = whole && last.reader.closed_to == last.reader.settling_to;
                let run = self.begin(last, from, None).filter(|_| !is_same && last.front.is_none())?;
                if !self.side_by_side && last.again.is_some() {
                    return None;
                }
                state.front = Some(run);
            }
            Action::BeginAgain => {
                let run = self.begin(last, last.reader.closed_to, Some(last.reader.settling_to));
                let may_begin = last.again.is_none() && (self.side_by_side || last.front.is_none());
                state.again = Some(run.filter(|_| may_begin)?);
            }
            Action::Page(slot, appear) => {
                if state.line.len() == IN_FLIGHT {
                    return None;
                }
                self.page(&mut state, slot, appear)?;
            }
            Action::Cut(slot) => {
                let run = (*state.run(slot)).filter(|run| run.at > run.from)?;
                let is_error = self.broken == Some(Broken::ErrorsCountAsRead);
                let read_to = if is_error { run.to } else { run.at };
                *state.run(slot) = Some(Run { from: run.at, began: state.now, ..run });
                if state.line.len() == IN_FLIGHT {
                    return None;
                }
                self.note(&mut state, run.from, read_to, run.began);
            }
            Action::Restart(slot) => {
                let run = (*state.run(slot)).filter(|run| run.at > run.from)?;
                *state.run(slot) = Some(Run { at: run.from, ..run });
            }
            Action::Commit => self.commit(&mut state)?,
            Action::Deliver => {
                state.line.first().filter(|batch| batch.is_committed)?;
                state.deliver();
            }
            Action::Crash(delivered) => self.crash(&mut state, delivered)?,
        }
        state.normalize(self);
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            // Every event that became visible in time and whose window is closed is stored.
            Property::always("nothing_lost", |protocol: &Protocol, state: &State| {
                (0..protocol.windows).all(|window| {
                    let is_closed = state.ledger.state(minutes(window as u8)) == WindowState::Closed;
                    !is_closed || !state.events[window].iter().any(|event| is_lost(*event))
                })
            }),
            // No event is handed on again after its acknowledgement was committed.
            Property::always("nothing_doubled", |_, state: &State| {
                state.events.iter().flatten().all(|event| event & DOUBLED == 0)
            }),
            // The ledger knows of no event that the output does not have.
            Property::always("nothing_ahead", |_, state: &State| {
                state.events.iter().flatten().all(|event| event & SEEN == 0 || event & STORED != 0)
            }),
            // Windows are closed after they have settled, and the ledger is never ahead of the reader.
            Property::always("closed_in_order", |_, state: &State| {
                let (reader, ledger) = (state.reader, state.ledger);
                reader.closed_to <= reader.settling_to
                    && ledger.closed_to <= ledger.settling_to
                    && ledger.closed_to <= reader.closed_to
                    && ledger.settling_to <= reader.settling_to
            }),
            // And it comes to its end, through as many crashes as there are.
            Property::sometimes("everything_arrives", |protocol: &Protocol, state: &State| {
                state.ledger.closed_to == minutes(protocol.windows as u8) && state.crashes == protocol.crashes
            }),
        ]
    }
}

/// Of a closed window: it is not stored, or may have become visible since a page was there.
fn is_lost(event: Event) -> bool {
    event & HIDDEN != 0 || event & (VISIBLE | STORED) == VISIBLE
}

fn minutes(number: u8) -> i64 {
    i64::from(number) * WINDOW
}
