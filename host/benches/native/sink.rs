//! Where the reference writes: bulk requests through the HTTP client that Weir has, uncompressed and one after the other,
//! or stdout.

use std::io::Write;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use reqwest::header::CONTENT_TYPE;
use tokio::runtime::Runtime;

/// A worker's way out.
pub(crate) struct Sink {
    bulk: Option<Bulk>,
    /// The length of the longest body so far.
    longest: usize,
}

struct Bulk {
    runtime: Runtime,
    client: reqwest::Client,
    url: String,
}

impl Sink {
    /// To a server, or to stdout.
    pub(crate) fn open(server: Option<&str>) -> Result<Self> {
        let Some(server) = server else { return Ok(Sink { bulk: None, longest: 0 }) };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let client = reqwest::Client::builder()
            .no_proxy()
            .http1_only()
            .tcp_nodelay(true)
            .timeout(Duration::from_secs(60))
            .build()?;
        Ok(Sink { bulk: Some(Bulk { runtime, client, url: format!("{server}/_bulk") }), longest: 0 })
    }

    /// An empty body with room for one.
    pub(crate) fn body(&self) -> Vec<u8> {
        Vec::with_capacity(self.longest + self.longest / 8)
    }

    /// Sends a body of so many events.
    pub(crate) fn send(&mut self, body: Vec<u8>, events: usize) -> Result<()> {
        self.longest = self.longest.max(body.len());
        let Some(bulk) = &self.bulk else {
            std::io::stdout().lock().write_all(&body).context("cannot write to stdout")?;
            return Ok(());
        };
        bulk.runtime.block_on(async {
            let request = bulk.client.post(&bulk.url).header(CONTENT_TYPE, "application/json").body(body);
            let answer = request.send().await?.error_for_status()?.bytes().await?;
            // A server that stored everything says so before the items; else each item would be looked at.
            let beginning = answer.get(..64.min(answer.len())).unwrap_or_default();
            if memchr::memmem::find(beginning, b"\"errors\":false").is_none() {
                bail!(
                    "the server did not take all of {events} events: {}",
                    String::from_utf8_lossy(beginning)
                );
            }
            Ok(())
        })
    }
}
