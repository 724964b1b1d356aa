//! How the cost of an event grows: with the number of filters, the size of batches, the number of workers, the fields of an
//! event and the length of its line. The filters alone, in this process; figures are the processor time of their threads.

use std::sync::Barrier;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use weir::event::{Batch, Documents};
use weir::filter::Chain;

use crate::chain::{self, Filters};
use crate::measure::{self, thread_time};
use crate::table::{self, Spread};
use crate::{Setting, pipeline_file};

const BATCH: usize = 1024;

/// Events that are passed in a round.
const EVENTS: usize = 65_536;

/// Each added filter that does next to nothing.
pub(crate) fn filters(setting: &Setting) -> Result<()> {
    measure::pin()?;
    let text = lines(setting)?;
    let lines: Vec<&str> = text.lines().collect();
    let kinds = [
        ("nothing", "use = \"mutate\""),
        ("sets one field", "use = \"mutate\"\nreplace = { mark = \"x\" }"),
        (
            "the same when a condition holds",
            "use = \"mutate\"\nwhen = '[path] != \"x\"'\nreplace = { mark = \"x\" }",
        ),
    ];
    let counts = [0, 1, 2, 4, 8, 16];
    let mut chains = Vec::new();
    for count in counts {
        let mut of_count = Vec::new();
        for (_, filter) in kinds {
            let sections: String = (0..count)
                .map(|number| format!("[[filter]]\nid = \"filter-{number}\"\n{filter}\n"))
                .collect();
            let filters = Filters::new(setting, &sections, 0)?;
            let batches = batches_of(&filters, &lines, BATCH);
            of_count.push((filters.start()?, batches));
        }
        chains.push(of_count);
    }
    let names: Vec<String> = counts.iter().map(ToString::to_string).collect();
    let heading =
        ["filters".to_owned()].into_iter().chain(kinds.iter().map(|(name, _)| format!("each {name}")));
    let medians = compare(setting, "Trivial filters: ns an event at batch 1024", heading, &names, |row| {
        let cost = |(chain, batches): &mut (Chain, Vec<Batch>)| cost_of(chain, batches);
        chains[row].iter_mut().map(cost).collect()
    })?;
    let first = &medians[1];
    let last = &medians[medians.len() - 1];
    for (kind, (name, _)) in kinds.iter().enumerate() {
        println!("each filter more that does {name}: {:.1} ns an event", (last[kind] - first[kind]) / 15.0);
    }
    Ok(())
}

/// The six filters by the size of batches.
pub(crate) fn batch(setting: &Setting) -> Result<()> {
    measure::pin()?;
    let text = lines(setting)?;
    let lines: Vec<&str> = text.lines().take(EVENTS / 4).collect();
    let filters = six(setting)?;
    let mut chain = filters.start()?;
    let sizes = [1, 4, 16, 64, 256, 1024, 4096];
    let batches: Vec<Vec<Batch>> = sizes.iter().map(|size| batches_of(&filters, &lines, *size)).collect();
    let names: Vec<String> = sizes.iter().map(ToString::to_string).collect();
    let heading = ["batch size", "ns an event"].map(str::to_owned);
    compare(setting, "The six filters by batch size", heading, &names, |row| {
        Ok(vec![cost_of(&mut chain, &batches[row])?])
    })?;
    Ok(())
}

/// The six filters on one thread, and on two.
pub(crate) fn workers(setting: &Setting) -> Result<()> {
    let processors = measure::pin()?;
    let text = lines(setting)?;
    let lines: Vec<&str> = text.lines().collect();
    let filters = six(setting)?;
    let batches = batches_of(&filters, &lines, BATCH);
    let mut chains = [filters.start()?, filters.start()?];
    let heading = ["workers", "thousand events a second", "ns of processor time an event"].map(str::to_owned);
    let names = ["1", "2"].map(str::to_owned);
    let title = format!("The six filters by workers, on {processors} processors");
    let medians = compare(setting, &title, heading, &names, |row| {
        let (elapsed, processor) = side_by_side(&mut chains[..=row], &batches)?;
        let events = ((row + 1) * EVENTS) as f64;
        Ok(vec![events / elapsed.as_secs_f64() / 1000.0, processor.as_nanos() as f64 / events])
    })?;
    println!("two workers / one, events a second: {:.2}", medians[1][0] / medians[0][0]);
    println!(
        "the same by processor time, whatever else the machine did: {:.2}",
        2.0 * medians[0][1] / medians[1][1]
    );
    Ok(())
}

/// Dissect and JSON by the number of fields that a line is cut into.
pub(crate) fn fields(setting: &Setting) -> Result<()> {
    measure::pin()?;
    let counts = [5, 10, 20, 50, 100, 200];
    let mut chains = Vec::new();
    for count in counts {
        let mapping: Vec<String> = (0..count).map(|number| format!("%{{field_{number}}}")).collect();
        let section = format!("[[filter]]\nuse = \"dissect\"\nmapping.message = \"{}\"\n", mapping.join(" "));
        let filters = Filters::new(setting, &section, 0)?;
        let line = (0..count).map(|number| format!("word{number:04}")).collect::<Vec<_>>().join(" ");
        let batches = batches_of(&filters, &vec![&*line; EVENTS / 4], BATCH);
        chains.push((filters.start()?, batches));
    }
    let names: Vec<String> = counts.iter().map(ToString::to_string).collect();
    let heading =
        ["fields", "dissect, ns an event", "JSON, ns an event", "both, ns a field"].map(str::to_owned);
    compare(setting, "dissect and JSON by fields of 8 letters", heading, &names, |row| {
        let (chain, batches) = &mut chains[row];
        let (dissect, json) = cost_with_json(chain, batches)?;
        Ok(vec![dissect, json, (dissect + json) / counts[row] as f64])
    })?;
    Ok(())
}

/// The six filters and JSON by the length of lines.
pub(crate) fn length(setting: &Setting) -> Result<()> {
    measure::pin()?;
    let text = lines(setting)?;
    let filters = six(setting)?;
    let mut chain = filters.start()?;
    let lengths = [100, 1 << 10, 4 << 10, 16 << 10, 64 << 10];
    let mut batches = Vec::new();
    for length in lengths {
        let count = ((64 << 20) / length).min(EVENTS / 4);
        let lines: Vec<String> = text
            .lines()
            .take(count)
            .map(|line| {
                let missing = length.saturating_sub(line.len());
                format!(
                    "{line}{}",
                    "abcdefghij klmnop".repeat(missing / 17 + 1).get(..missing).unwrap_or_default()
                )
            })
            .collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        batches.push(batches_of(&filters, &lines, BATCH));
    }
    let names: Vec<String> = lengths.iter().map(ToString::to_string).collect();
    let heading =
        ["bytes", "filters, ns an event", "JSON, ns an event", "both, ns a byte"].map(str::to_owned);
    compare(setting, "The six filters and JSON by the length of lines", heading, &names, |row| {
        let (filters, json) = cost_with_json(&mut chain, &batches[row])?;
        Ok(vec![filters, json, (filters + json) / lengths[row] as f64])
    })?;
    Ok(())
}

/// Measures each row in every round, prints the table and answers the medians.
fn compare(
    setting: &Setting,
    title: &str,
    heading: impl IntoIterator<Item = String>,
    names: &[String],
    mut measure: impl FnMut(usize) -> Result<Vec<f64>>,
) -> Result<Vec<Vec<f64>>> {
    let mut figures: Vec<Vec<Vec<f64>>> = vec![Vec::new(); names.len()];
    for round in 0..=setting.rounds {
        for (row, figures) in figures.iter_mut().enumerate() {
            let measured = measure(row)?;
            // The first round is for caches to be filled.
            if round > 0 {
                figures.push(measured);
            }
        }
    }
    let mut rows = vec![heading.into_iter().collect::<Vec<_>>()];
    let mut medians = Vec::new();
    for (name, figures) in names.iter().zip(&figures) {
        let columns = figures.first().map_or(0, Vec::len);
        let spreads: Vec<Spread> =
            (0..columns).map(|column| Spread::of(figures.iter().map(|all| all[column]))).collect();
        let decimals = |spread: &Spread| usize::from(spread.median < 100.0);
        rows.push(
            std::iter::once(name.clone())
                .chain(spreads.iter().map(|spread| spread.text(1.0, decimals(spread))))
                .collect(),
        );
        medians.push(spreads.iter().map(|spread| spread.median).collect());
    }
    table::print(title, &rows);
    Ok(medians)
}

fn lines(setting: &Setting) -> Result<String> {
    let path = setting.lines_file(EVENTS as u64)?;
    std::fs::read_to_string(&path).with_context(|| path.display().to_string())
}

fn six(setting: &Setting) -> Result<Filters> {
    Filters::new(setting, &pipeline_file::route53_filters(&setting.database()?).concat(), 0)
}

fn batches_of(filters: &Filters, lines: &[&str], size: usize) -> Vec<Batch> {
    lines.chunks(size).map(|lines| filters.batch(lines)).collect()
}

fn cost_of(chain: &mut Chain, batches: &[Batch]) -> Result<f64> {
    let (time, _) = chain::pass(chain, batches)?;
    Ok(chain::for_each(time, batches))
}

/// Nanoseconds an event of the filters, and of writing what comes out as JSON.
fn cost_with_json(chain: &mut Chain, batches: &[Batch]) -> Result<(f64, f64)> {
    let filters = cost_of(chain, batches)?;
    let (_, last) = chain::pass(chain, &batches[batches.len() - 1..])?;
    let last = last.context("a batch comes out")?;
    let repeats = (EVENTS / 4 / last.rows().max(1)).clamp(1, 16);
    let mut out = Vec::new();
    let began = thread_time();
    for _ in 0..repeats {
        out.clear();
        let mut documents = Documents::new(&last);
        for row in 0..last.rows() {
            documents.write(row, &mut out);
            out.push(b'\n');
        }
    }
    let json = thread_time() - began;
    Ok((filters, json.as_nanos() as f64 / (repeats * last.rows()) as f64))
}

/// A thread for each chain, which all begin at once; answers the time until the last is done and the processor time of all.
fn side_by_side(chains: &mut [Chain], batches: &[Batch]) -> Result<(Duration, Duration)> {
    let start = Barrier::new(chains.len());
    std::thread::scope(|scope| {
        let mut threads = Vec::new();
        for chain in chains {
            let start = &start;
            threads.push(scope.spawn(move || -> Result<(Instant, Instant, Duration)> {
                let copies = batches.to_vec();
                start.wait();
                let (began, began_processor) = (Instant::now(), thread_time());
                for batch in copies {
                    chain.process(batch)?;
                }
                Ok((began, Instant::now(), thread_time() - began_processor))
            }));
        }
        let (mut first, mut last, mut processor) = (None, None, Duration::ZERO);
        for thread in threads {
            let (began, ended, used) = thread.join().ok().context("a worker panicked")??;
            first = Some(first.map_or(began, |first: Instant| first.min(began)));
            last = Some(last.map_or(ended, |last: Instant| last.max(ended)));
            processor += used;
        }
        let (first, last) = (first.context("a worker")?, last.context("a worker")?);
        Ok((last - first, processor))
    })
}
