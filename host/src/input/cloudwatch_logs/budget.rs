//! How often the service may be asked: one budget for each account and region in the process, whatever inputs and
//! pipelines ask. Requests are evenly spaced; those that wait go in the order of their shares, which their group's lag
//! decides. The service's own word that it is asked too often halves the rate, which then recovers.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// The rate is never halved below this part of the configured one.
const LEAST_PART: f64 = 1.0 / 64.0;
/// What a request that was answered adds to a lowered rate, as a part of the configured one.
const RECOVERY: f64 = 0.01;
/// The most that a group's lag makes of its share.
const LARGEST_SHARE: f64 = 16.0;

/// What requests are counted together: the endpoint, the account or whatever stands for it, and the region.
pub(super) type BudgetKey = (String, String, String);

static BUDGETS: LazyLock<Mutex<HashMap<BudgetKey, Weak<RateBudget>>>> = LazyLock::new(Mutex::default);

/// A budget that everything with the same key shares.
pub(super) struct RateBudget {
    state: Mutex<State>,
    changed: Notify,
}

struct State {
    /// Requests a second.
    configured: f64,
    rate: f64,
    next: Instant,
    lowered: Instant,
    /// Requests that wait, by their place: a number that grows less for a group with a larger share. The second number
    /// keeps those of one place apart.
    waiting: BTreeMap<(u64, u64), ()>,
    place: u64,
    count: u64,
}

/// The budget of a key. Inputs that name different rates get the lowest: it is the account's quota that they share.
pub(super) fn shared(key: BudgetKey, requests_per_second: f64) -> Arc<RateBudget> {
    let mut budgets = BUDGETS.lock().unwrap_or_else(PoisonError::into_inner);
    budgets.retain(|_, budget| budget.strong_count() > 0);
    if let Some(budget) = budgets.get(&key).and_then(Weak::upgrade) {
        budget.lower_to(requests_per_second);
        return budget;
    }
    let budget = Arc::new(RateBudget::new(requests_per_second));
    budgets.insert(key, Arc::downgrade(&budget));
    budget
}

/// A group's share of the requests by its lag in milliseconds: one that is behind gets more, though never all.
pub(super) fn share(lag: Option<i64>) -> f64 {
    let minutes = lag.unwrap_or(i64::MAX).max(0) as f64 / 60_000.0;
    (1.0 + (1.0 + minutes).log2()).min(LARGEST_SHARE)
}

impl RateBudget {
    fn new(requests_per_second: f64) -> Self {
        let now = Instant::now();
        let state = State {
            configured: requests_per_second,
            rate: requests_per_second,
            next: now,
            lowered: now,
            waiting: BTreeMap::new(),
            place: 0,
            count: 0,
        };
        RateBudget { state: Mutex::new(state), changed: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lower_to(&self, requests_per_second: f64) {
        let mut state = self.state();
        state.configured = state.configured.min(requests_per_second);
        state.rate = state.rate.min(requests_per_second);
    }

    /// Waits until a request may be made; answers when that was. A wait that is dropped leaves no trace.
    pub(super) async fn take(&self, share: f64) -> Instant {
        let waiting = self.wait_in_line(share);
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            match waiting.try_go() {
                Turn::Now(now) => return now,
                Turn::At(time) => {
                    tokio::select! {
                        () = tokio::time::sleep_until(time.into()) => {}
                        () = changed => {}
                    }
                }
                Turn::AfterOthers => changed.await,
            }
        }
    }

    fn wait_in_line(&self, share: f64) -> Waiting<'_> {
        let mut state = self.state();
        state.count += 1;
        // A share of one waits for a thousand places, one of 16 for 62.
        let place = state.place + (1000.0 / share.max(1.0)) as u64;
        let key = (place, state.count);
        state.waiting.insert(key, ());
        drop(state);
        self.changed.notify_waiters();
        Waiting { budget: self, key }
    }

    /// The service refused a request that was allowed at this time for the number of requests.
    pub(super) fn throttled(&self, allowed: Instant) {
        let mut state = self.state();
        if allowed < state.lowered {
            // One of those that were under way when the rate was lowered.
            return;
        }
        let now = Instant::now();
        state.rate = (state.rate / 2.0).max(state.configured * LEAST_PART);
        state.lowered = now;
        state.next = state.next.max(now + spacing(state.rate));
    }

    /// The service answered.
    pub(super) fn answered(&self) {
        let mut state = self.state();
        state.rate = (state.rate + state.configured * RECOVERY).min(state.configured);
    }

    /// Requests a second at present.
    pub(super) fn rate(&self) -> f64 {
        self.state().rate
    }
}

enum Turn {
    Now(Instant),
    At(Instant),
    AfterOthers,
}

/// A place in the line, given up when dropped.
struct Waiting<'b> {
    budget: &'b RateBudget,
    key: (u64, u64),
}

impl Waiting<'_> {
    fn try_go(&self) -> Turn {
        let mut state = self.budget.state();
        if state.waiting.first_key_value().is_some_and(|(key, ())| *key != self.key) {
            return Turn::AfterOthers;
        }
        let now = Instant::now();
        if state.next > now {
            return Turn::At(state.next);
        }
        state.next = now + spacing(state.rate);
        state.place = state.place.max(self.key.0);
        Turn::Now(now)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.budget.state().waiting.remove(&self.key);
        self.budget.changed.notify_waiters();
    }
}

fn spacing(rate: f64) -> Duration {
    Duration::from_secs_f64(1.0 / rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(account: &str) -> BudgetKey {
        ("endpoint".to_owned(), account.to_owned(), "us-east-1".to_owned())
    }

    #[test]
    fn inputs_of_one_key_have_one_budget() {
        let one = shared(key("spaced"), 5.0);
        let two = shared(key("spaced"), 10.0);
        assert!(Arc::ptr_eq(&one, &two) && two.rate() == 5.0, "the lower rate holds");
        let other = shared(key("another"), 5.0);
        assert!(!Arc::ptr_eq(&one, &other));
        drop((one, two));
        assert_eq!(shared(key("spaced"), 7.0).rate(), 7.0, "a budget lasts as long as its inputs");
    }

    #[test]
    fn throttling_halves_the_rate_once_for_what_was_under_way_and_it_recovers() {
        let budget = RateBudget::new(8.0);
        let under_way = Instant::now();
        budget.throttled(Instant::now());
        assert_eq!(budget.rate(), 4.0);
        budget.throttled(under_way);
        assert_eq!(budget.rate(), 4.0);
        for _ in 0..20 {
            budget.throttled(Instant::now());
        }
        assert_eq!(budget.rate(), 0.125);
        for _ in 0..99 {
            budget.answered();
        }
        assert_eq!(budget.rate(), 8.0);
    }

    #[test]
    fn shares_by_lag() {
        assert_eq!(share(Some(0)), 1.0);
        assert_eq!(share(Some(-5)), 1.0);
        assert_eq!(share(Some(60_000)), 2.0);
        assert!((6.0..8.0).contains(&share(Some(3_600_000))));
        assert_eq!(share(None), LARGEST_SHARE);
    }

    /// Of a line that is always full, who goes how often.
    #[test]
    fn who_is_behind_goes_more_often_and_nobody_starves() {
        let budget = RateBudget::new(1e9);
        let shares = [1.0, 4.0, 16.0];
        let mut line: Vec<_> = shares.iter().map(|share| Some(budget.wait_in_line(*share))).collect();
        let mut went = [0_u32; 3];
        for _ in 0..2100 {
            let first = budget.state().waiting.keys().next().copied();
            let who = line.iter().position(|waiting| waiting.as_ref().map(|waiting| waiting.key) == first);
            let who = who.unwrap();
            budget.state().place = first.unwrap().0;
            line[who] = None;
            line[who] = Some(budget.wait_in_line(shares[who]));
            went[who] += 1;
        }
        assert!((90..110).contains(&went[0]) && (380..420).contains(&went[1]), "{went:?}");
        drop(line);
        assert!(budget.state().waiting.is_empty());
    }
}
