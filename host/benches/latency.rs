//! How long an event takes at a low rate: from the page of CloudWatch Logs that has it to the bulk request that has it. The
//! services are the fakes of the tests, in this process.

use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use chrono::Utc;
use weir_test_support::cloudwatch::Outcome;
use weir_test_support::{FakeCloudWatch, FakeElasticsearch};

use crate::table::{self, Spread};
use crate::weir_process::Pipeline;
use crate::{Setting, pipeline_file};

const GROUP: &str = "/aws/route53/example.name";

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Measures and prints.
pub(crate) fn run(setting: &Setting) -> Result<()> {
    // The fakes say when they were asked since their own starts.
    let logs = (Instant::now(), FakeCloudWatch::start());
    let search = (Instant::now(), FakeElasticsearch::start());
    logs.1.create_group(GROUP);
    let input = format!(
        "[input]\ntype = \"cloudwatch_logs\"\nlog_group = [\"{GROUP}\"]\nregion = \"us-east-1\"\ninterval = \"300ms\"\n\
         access_key_id = \"AKIDTEST\"\nsecret_access_key = \"secret\"\nendpoint_url = \"{}\"\n",
        logs.1.url()
    );
    let filters = pipeline_file::route53_filters(&setting.database()?).concat();
    let sections = [&*input, &filters, &pipeline_file::output(Some(&search.1.url()))];
    let pipeline = Pipeline::new(&setting.program, &setting.folder.join("latency"), "", &sections)?;
    pipeline.forget(false)?;
    let text = std::fs::read_to_string(setting.lines_file(1000)?)?;
    let mut process = pipeline.command()?.stdout(Stdio::null()).spawn()?;
    let measured = measure(&logs, &search, text.lines().take(5 + setting.rounds * 4));
    let _ = process.kill();
    process.wait()?;
    // The first events wait for the start.
    let times = measured?.split_off(5);
    let row = |name: &str, figure: &dyn Fn(&Times) -> Duration| {
        let spread = Spread::of(times.iter().map(|times| figure(times).as_secs_f64() * 1000.0));
        vec![name.to_owned(), spread.text(1.0, 1)]
    };
    let rows = [
        vec!["one event at a time".to_owned(), "ms".to_owned()],
        row("from the request of its page to its bulk request", &|times| times.bulk - times.page),
        row("from being put to its bulk request, with interval = \"300ms\"", &|times| times.bulk - times.put),
    ];
    table::print("Latency of the whole job", &rows);
    Ok(())
}

/// When an event was put, its page was asked for, and the bulk request with it came.
struct Times {
    put: Instant,
    page: Instant,
    bulk: Instant,
}

fn measure<'l>(
    (logs_start, logs): &(Instant, FakeCloudWatch),
    (search_start, search): &(Instant, FakeElasticsearch),
    lines: impl Iterator<Item = &'l str>,
) -> Result<Vec<Times>> {
    let mut times = Vec::new();
    for (number, line) in lines.enumerate() {
        let put = Instant::now();
        // Equal lines would be one document.
        logs.put(GROUP, "stream", Utc::now().timestamp_millis(), &format!("{line} {number}"));
        if !search.wait_for(PATIENCE, |_| search.count() > number) {
            bail!("an event does not arrive: see the log in the folder latency");
        }
        // All events are young enough to be in every page, so the first page with one more is that of the new one. Each was
        // stored before the next was put, so each has a bulk request of its own.
        let has_it = |outcome: &Outcome| matches!(outcome, Outcome::Events(count, _) if *count > number);
        let page = logs.calls().into_iter().find(|call| has_it(&call.outcome)).map(|call| call.at);
        let bulks = search.requests().into_iter().filter(|seen| seen.request.path.ends_with("/_bulk"));
        let bulk = bulks.map(|seen| seen.at).nth(number);
        let (page, bulk) = page.zip(bulk).context("an event has no page or no bulk request")?;
        times.push(Times { put, page: *logs_start + page, bulk: *search_start + bulk });
    }
    if times.len() < 6 {
        bail!("too few events");
    }
    Ok(times)
}
