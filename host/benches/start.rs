//! Small and quick: how long it takes from the start of the program to its first event, with the compiled filters kept and
//! without, and how large the program is.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::Setting;
use crate::measure;
use crate::table::{self, Spread};
use crate::weir_process::Pipeline;
use crate::whole;

/// Measures and prints.
pub(crate) fn run(setting: &Setting) -> Result<()> {
    measure::pin()?;
    let lines = setting.lines_file(1)?;
    let pipeline = whole::pipeline(setting, "start", &lines, None, 2)?;
    let (mut cold, mut warm) = (Vec::new(), Vec::new());
    for _ in 0..setting.rounds.max(3) {
        pipeline.forget(true)?;
        cold.push(first_event(&pipeline)?);
        for _ in 0..4 {
            pipeline.forget(false)?;
            warm.push(first_event(&pipeline)?);
        }
    }
    let row = |name: &str, times: &[(Duration, Duration)]| {
        let spread = Spread::of(times.iter().map(|(elapsed, _)| elapsed.as_secs_f64() * 1000.0));
        let processor = Spread::of(times.iter().map(|(_, processor)| processor.as_secs_f64() * 1000.0));
        vec![name.to_owned(), spread.text(1.0, 0), processor.text(1.0, 0)]
    };
    let rows = [
        vec![
            String::new(),
            "from the start to the first event, ms".to_owned(),
            "processor time of the whole run of one line, ms".to_owned(),
        ],
        row("compiled filters kept", &warm),
        row("nothing kept", &cold),
    ];
    table::print("The whole job's start, with its database", &rows);
    let size = setting.program.metadata()?.len();
    println!("\nthe program has {:.1} MB", size as f64 / 1e6);
    Ok(())
}

/// The time to the first event, and the processor time to the end.
fn first_event(pipeline: &Pipeline) -> Result<(Duration, Duration)> {
    let mut command: Command = pipeline.command()?;
    let began = Instant::now();
    let mut process = command.stdout(Stdio::piped()).spawn()?;
    let mut stdout = process.stdout.take().context("a process with a pipe")?;
    let read = stdout.read(&mut [0])?;
    let elapsed = began.elapsed();
    std::io::copy(&mut stdout, &mut std::io::sink())?;
    let (status, processor) = measure::wait(process.id())?;
    if status != 0 || read == 0 {
        bail!("no event came");
    }
    Ok((elapsed, processor))
}
