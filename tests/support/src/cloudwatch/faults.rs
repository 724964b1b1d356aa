//! The ways in which the fake service misbehaves on demand.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use crate::sigv4::Verifier;

/// What a call gets instead of its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// `ThrottlingException`, HTTP 400.
    Throttling,
    /// `ServiceUnavailableException`, HTTP 503.
    ServiceUnavailable,
    /// `InternalFailure`, HTTP 500.
    InternalFailure,
    /// `AccessDeniedException`, HTTP 400.
    AccessDenied,
    /// `ResourceNotFoundException`, HTTP 400.
    ResourceNotFound,
    /// `InvalidParameterException`, HTTP 400: what an expired token gets. A call without a token is answered.
    InvalidParameter,
    /// `ExpiredTokenException`, HTTP 400: the credentials have expired.
    ExpiredCredentials,
    /// The connection is reset before the answer.
    Reset,
    /// The answer's body ends in the middle.
    Cut,
    /// A page of HTML with status 502, as a load balancer makes one.
    BadGateway,
    /// Status 200 with this in place of the answer.
    Text(&'static str),
    /// The answer comes after this time.
    Slow(Duration),
}

/// How the service misbehaves. The default is not at all.
#[derive(Default)]
pub struct Faults {
    /// What the next calls get, one entry a call; `None` is a right answer. When it is used up, calls are answered.
    pub script: VecDeque<Option<Fault>>,
    /// What every call for a group gets.
    pub groups: HashMap<String, Fault>,
    /// Calls beyond this rate get `ThrottlingException`.
    pub throttle: Option<TokenBucket>,
    /// At most so many events a page, though more would fit.
    pub short_pages: Option<usize>,
    /// So many empty pages with a token before each page with events.
    pub empty_pages: usize,
    /// Each event stands so many times more in its page.
    pub repeats: usize,
    /// The last page has a token too, which leads to an empty page without one.
    pub trailing_token: bool,
    /// A token is refused when it is older.
    pub token_life: Option<Duration>,
    /// A token is refused when more calls than this came since.
    pub token_life_calls: Option<u64>,
    /// Signatures are checked with this.
    pub signature: Option<Verifier>,
}

/// A rate limit: so many calls a second, after a burst of so many.
#[derive(Clone, Debug)]
pub struct TokenBucket {
    rate: f64,
    burst: f64,
    left: f64,
    at: Instant,
}

impl TokenBucket {
    /// A full bucket.
    pub fn new(calls_a_second: f64, burst: f64) -> Self {
        Self { rate: calls_a_second, burst, left: burst, at: Instant::now() }
    }

    /// Whether one call more is allowed now.
    pub(super) fn take(&mut self) -> bool {
        let now = Instant::now();
        self.left = (self.left + now.duration_since(self.at).as_secs_f64() * self.rate).min(self.burst);
        self.at = now;
        let allowed = self.left >= 1.0;
        if allowed {
            self.left -= 1.0;
        }
        allowed
    }
}
