//! The whole job: lines of a file through the six filters into bulk requests, or to /dev/null; Weir and the native reference
//! in turn, in one run.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Seek};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::Setting;
use crate::measure::{self, Usage};
use crate::null_server::NullServer;
use crate::pipeline_file;
use crate::table::{self, Spread};
use crate::weir_process::Pipeline;

/// Measures and prints.
pub(crate) fn run(setting: &Setting) -> Result<()> {
    check_equal(setting)?;
    let server = NullServer::start()?;
    measure::pin()?;
    println!("{} lines, {} rounds, Weir and the native reference in turn", setting.lines, setting.rounds);
    for (name, bulk) in [("bulk requests", Some(server.url.as_str())), ("/dev/null", None)] {
        let lines = setting.lines_file(setting.lines)?;
        let pipeline = pipeline(setting, "whole", &lines, bulk, 2)?;
        // The first run compiles, and brings the file into memory.
        pipeline.run(dev_null()?)?;
        let (mut ours, mut natives) = (Vec::new(), Vec::new());
        for _ in 0..setting.rounds {
            natives.push(native(setting, &lines, bulk, 2, dev_null()?)?);
            ours.push(pipeline.run(dev_null()?)?);
        }
        print(setting, name, &ours, &natives);
    }
    Ok(())
}

fn print(setting: &Setting, name: &str, ours: &[Usage], natives: &[Usage]) {
    let per_second = |usage: &Usage| setting.lines as f64 / usage.processor.as_secs_f64();
    let row = |name: &str, usages: &[Usage]| {
        let spread = |figure: &dyn Fn(&Usage) -> f64| Spread::of(usages.iter().map(figure));
        vec![
            name.to_owned(),
            spread(&per_second).text(1000.0, 0),
            spread(&|usage| setting.lines as f64 / usage.elapsed.as_secs_f64()).text(1000.0, 0),
            spread(&|usage| usage.memory as f64).text(1e6, 0),
            spread(&|usage| usage.anonymous as f64).text(1e6, 0),
        ]
    };
    let heading =
        ["", "thousand lines per CPU-second", "thousand lines a second", "memory, MB", "of it anonymous, MB"];
    let rows = [heading.map(str::to_owned).to_vec(), row("Weir", ours), row("native", natives)];
    table::print(&format!("The whole job to {name}: median (least to greatest)"), &rows);
    let ratios = ours.iter().zip(natives).map(|(ours, native)| per_second(ours) / per_second(native));
    println!("\nWeir / native, lines per CPU-second: {}", Spread::of(ratios).text(1.0, 3));
}

/// Weir's pipeline for the job.
pub(crate) fn pipeline(
    setting: &Setting,
    folder: &str,
    lines: &Path,
    bulk: Option<&str>,
    workers: usize,
) -> Result<Pipeline> {
    let (input, filters) =
        (pipeline_file::file_input(lines), pipeline_file::route53_filters(&setting.database()?).concat());
    let options = format!("workers = {workers}");
    Pipeline::new(
        &setting.program,
        &setting.folder.join(folder),
        &options,
        &[&input, &filters, &pipeline_file::output(bulk)],
    )
}

/// The reference as a process.
fn native(
    setting: &Setting,
    lines: &Path,
    bulk: Option<&str>,
    workers: usize,
    stdout: File,
) -> Result<Usage> {
    measure::run(
        Command::new(std::env::current_exe()?)
            .arg("native")
            .args([lines, &setting.database()?])
            .args([&workers.to_string(), bulk.unwrap_or("-")])
            .stdin(Stdio::null())
            .stdout(stdout),
    )
}

/// Both write the same documents, or what is measured is not one job.
fn check_equal(setting: &Setting) -> Result<()> {
    let lines = setting.lines_file(20_000)?;
    let file = |name: &str| -> Result<File> {
        let path = setting.folder.join(name);
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path);
        options.with_context(|| path.display().to_string())
    };
    let (mut ours, mut natives) = (file("weir.ndjson")?, file("native.ndjson")?);
    pipeline(setting, "equal", &lines, None, 2)?.run(ours.try_clone()?)?;
    native(setting, &lines, None, 1, natives.try_clone()?)?;
    ours.rewind()?;
    natives.rewind()?;
    let (mut ours, mut natives) = (BufReader::new(ours).lines(), BufReader::new(natives).lines());
    let parsed = |text: &str| serde_json::from_str::<serde_json::Value>(text);
    let mut number = 0;
    loop {
        let (ours, native) = match (ours.next().transpose()?, natives.next().transpose()?) {
            (Some(ours), Some(native)) => (ours, native),
            (None, None) if number > 0 => break,
            _ => bail!("after {number} documents one of the two has no more"),
        };
        number += 1;
        if parsed(&ours)? != parsed(&native)? {
            bail!("document {number}: Weir writes\n{ours}\nand the native reference\n{native}");
        }
    }
    println!("Weir and the native reference write the same {number} documents");
    Ok(())
}

fn dev_null() -> Result<File> {
    Ok(OpenOptions::new().write(true).open("/dev/null")?)
}
