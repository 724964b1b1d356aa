//! A front before a real server that lets so many bulk requests through and holds all later ones without an answer, so that
//! a test can end a process while it is in the middle of its work.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use anyhow::Result;

use crate::http_client::{authority_of, forward};
use crate::http_server::{HttpServer, Reply};

/// A running front. Dropping it closes the port.
pub struct Gate {
    server: HttpServer,
    counts: Arc<(Mutex<Counts>, Condvar)>,
    let_through: usize,
}

#[derive(Default)]
struct Counts {
    come: usize,
    answered: usize,
}

impl Gate {
    /// Starts on a free port before `upstream` (`http://HOST:PORT`). Requests that are not bulk requests always go through.
    ///
    /// # Errors
    /// When the port cannot be had.
    pub fn start(upstream: &str, let_through: usize) -> Result<Self> {
        let authority = authority_of(upstream)?;
        let counts = Arc::<(Mutex<Counts>, Condvar)>::default();
        let counting = counts.clone();
        let server = HttpServer::start(0, None, move |request| {
            let (authority, counting) = (authority.clone(), counting.clone());
            async move {
                let is_bulk = request.path.ends_with("/_bulk");
                if is_bulk && come(&counting) > let_through {
                    std::future::pending::<()>().await;
                }
                let reply = forward(&authority, request).await;
                if is_bulk {
                    counting.0.lock().expect("no thread panicked with it").answered += 1;
                    counting.1.notify_all();
                }
                reply.unwrap_or_else(|error| Reply::new(502, "text/plain", format!("{error:#}")))
            }
        })?;
        Ok(Self { server, counts, let_through })
    }

    /// Where it answers.
    pub fn url(&self) -> String {
        format!("http://{}", self.server.address())
    }

    /// Waits until all that goes through has been answered and something is held. False when that does not come in time.
    pub fn wait_until_holding(&self, timeout: Duration) -> bool {
        let (counts, changed) = &*self.counts;
        let counts = counts.lock().expect("no thread panicked with it");
        let waited = changed.wait_timeout_while(counts, timeout, |counts| {
            counts.answered < self.let_through || counts.come <= self.let_through
        });
        !waited.expect("no thread panicked with it").1.timed_out()
    }
}

/// Counts a bulk request that has come, and answers the how many-th it is.
fn come(counts: &(Mutex<Counts>, Condvar)) -> usize {
    let mut counting = counts.0.lock().expect("no thread panicked with it");
    counting.come += 1;
    counts.1.notify_all();
    counting.come
}
