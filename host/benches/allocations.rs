//! How often memory is asked for, for an event of the whole job to a bulk server: Weir's line and the native reference, both
//! in this process. Counting is off, and costs nothing that could be seen, while other things are measured.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::{Result, anyhow, bail};
use weir::assembly::{self, RunOptions};
use weir::config::{self, Secrets, Variables};
use weir::filter::{Compilation, Engine};
use weir::pipeline;

use crate::null_server::NullServer;
use crate::table;
use crate::{Setting, native, pipeline_file};

/// Lines that are counted over, so that what is done once does not show.
const LINES: u64 = 300_000;

/// The system's allocator, which counts when it is told to.
pub(crate) struct Counting;

static COUNTS: AtomicBool = AtomicBool::new(false);
static CALLS: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);

impl Counting {
    fn count(bytes: usize) {
        if COUNTS.load(Ordering::Relaxed) {
            CALLS.fetch_add(1, Ordering::Relaxed);
            BYTES.fetch_add(bytes as u64, Ordering::Relaxed);
        }
    }
}

// SAFETY: every method hands its arguments on to the system's allocator as they came, and answers what that answers; counting
// touches no memory but two statics.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Counting::count(layout.size());
        // SAFETY: the caller's promises are the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Counting::count(layout.size());
        // SAFETY: the caller's promises are the same.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Counting::count(size);
        // SAFETY: the caller's promises are the same.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are the same.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Counts and prints.
pub(crate) fn run(setting: &Setting) -> Result<()> {
    let server = NullServer::start()?;
    let lines = setting.lines_file(LINES)?;
    let database = setting.database()?;
    let ours = counted(|| {
        let text = [
            "[pipeline]\nworkers = 2".to_owned(),
            pipeline_file::file_input(&lines),
            pipeline_file::route53_filters(&database).concat(),
            pipeline_file::output(Some(&server.url)),
        ]
        .join("\n");
        let file = setting.folder.join("allocations.toml");
        std::fs::write(&file, &text)?;
        let reading = config::read(&file, text, &Variables::from_environment(), &Secrets::default());
        let Some(config) = reading.config else { bail!("{}", reading.problems.render(false)) };
        let engine = Engine::new(Some(&setting.folder.join("engine")), Compilation::Thorough)?;
        let environment = assembly::environment(&config);
        let prepared = assembly::prepare(config, &engine, &environment)
            .map_err(|problems| anyhow!("{}", problems.render(false)))?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(async {
            let line = assembly::open(&prepared, RunOptions::default()).await?;
            pipeline::drive(line).await
        })
    })?;
    let job = native::Job { lines, database, workers: 2, bulk: Some(server.url.clone()) };
    let natives = counted(|| native::run(&job).map(drop))?;
    let row = |name: &str, (calls, bytes): (u64, u64)| {
        let each = |count: u64| count as f64 / LINES as f64;
        vec![name.to_owned(), format!("{:.2}", each(calls)), format!("{:.0}", each(bytes))]
    };
    let rows = [
        vec![String::new(), "allocations an event".to_owned(), "bytes an event".to_owned()],
        row("Weir", ours),
        row("native", natives),
    ];
    table::print("Memory asked for in the whole job to a bulk server, its start included", &rows);
    Ok(())
}

/// Calls of the allocator, and bytes, while `work` runs. Once before, for what is done once and kept.
fn counted(work: impl Fn() -> Result<()>) -> Result<(u64, u64)> {
    work()?;
    let (calls, bytes) = (CALLS.load(Ordering::Relaxed), BYTES.load(Ordering::Relaxed));
    COUNTS.store(true, Ordering::Relaxed);
    let done = work();
    COUNTS.store(false, Ordering::Relaxed);
    done?;
    Ok((CALLS.load(Ordering::Relaxed) - calls, BYTES.load(Ordering::Relaxed) - bytes))
}
