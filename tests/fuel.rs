//! What the filters of the main job cost in WebAssembly instructions an event, against the figures in `data/fuel.tsv`: none
//! may be 5 % dearer. The figures hold for the compiler that they were made with; with another one they are only shown.
//! `WEIR_FUEL=record make fuel` writes them anew.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use weir::assembly::environment;
use weir::config::{Secrets, Variables, read_file};
use weir::filter::{ChainEnvironment, Clock, Randomness, measure_fuel};
use weir::input::sample;

/// How much dearer a filter may become.
const ALLOWED: f64 = 1.05;

const EVENTS: usize = 8192;
const BATCH: usize = 1024;

const COMMENT: &str = "# Fuel (WebAssembly instructions) an event of the filters of config/route53-cloudwatch-elasticsearch.toml.\n\
                       # Written by: WEIR_FUEL=record make fuel\n";

#[test]
fn no_filter_became_dearer() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let measured = measure(&root.join("config/route53-cloudwatch-elasticsearch.toml"));
    let path = root.join("tests/data/fuel.tsv");
    let compiler = compiler(&root);
    if std::env::var_os("WEIR_FUEL").is_some_and(|value| value == "record") {
        let mut text = format!("{COMMENT}compiler\t{compiler}\n");
        for (filter, fuel) in &measured {
            writeln!(text, "{filter}\t{fuel:.3}").unwrap();
        }
        std::fs::write(&path, text).unwrap();
    }
    let (recorded_by, recorded) = read_recorded(&path);
    println!("{:<14} {:>12} {:>12} {:>8}", "filter", "fuel/event", "recorded", "change");
    let mut dearer = Vec::new();
    for (filter, fuel) in &measured {
        let Some(before) = recorded.get(filter) else {
            println!("{filter:<14} {fuel:>12.1} {:>12} {:>8}", "-", "-");
            continue;
        };
        println!("{filter:<14} {fuel:>12.1} {before:>12.1} {:>+7.1}%", (fuel / before - 1.0) * 100.0);
        if *fuel > before * ALLOWED {
            dearer.push(format!("{filter}: {fuel:.1} instead of {before:.1}"));
        }
    }
    let sum = |figures: &BTreeMap<String, f64>| figures.values().sum::<f64>();
    let (all, before) = (sum(&measured), sum(&recorded));
    println!("{:<14} {all:>12.1} {before:>12.1} {:>+7.1}%", "all", (all / before - 1.0) * 100.0);
    if compiler != recorded_by {
        println!("not checked: the figures are of {recorded_by}, this is {compiler}");
        return;
    }
    println!("checked: both are of {compiler}");
    assert!(dearer.is_empty(), "filters became over 5 % dearer: {}", dearer.join(", "));
}

fn measure(pipeline: &Path) -> BTreeMap<String, f64> {
    let reading =
        read_file(pipeline, &Variables::fixed([]), &Secrets::default()).expect("it is in the repository");
    assert_eq!(reading.problems.errors(), 0, "{}", reading.problems.render(false));
    let config = reading.config.expect("it has no mistakes");
    let environment = ChainEnvironment {
        clock: Clock::Fixed(1_767_225_605_000_000_000),
        randomness: Randomness::Seeded(1),
        ..environment(&config)
    };
    let lines: Vec<String> = sample::lines(1).take(EVENTS).collect();
    measure_fuel(&config.filters, &environment, &lines, BATCH).expect("the filters run")
}

/// The compiler that builds the guests.
fn compiler(root: &Path) -> String {
    let program = std::env::var_os("RUSTC").map_or_else(|| PathBuf::from("rustc"), PathBuf::from);
    match Command::new(program).arg("--version").current_dir(root).output() {
        Ok(output) => String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        Err(error) => format!("an unknown compiler ({error})"),
    }
}

/// The compiler and the figures of the file.
fn read_recorded(path: &Path) -> (String, BTreeMap<String, f64>) {
    let text = std::fs::read_to_string(path).expect("the figures are in the repository");
    let (mut compiler, mut figures) = (String::new(), BTreeMap::new());
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        match line.split_once('\t').expect("a line is a name, a tab and a value") {
            ("compiler", version) => version.clone_into(&mut compiler),
            (filter, fuel) => {
                figures.insert(filter.to_owned(), fuel.parse().expect("it is a number"));
            }
        }
    }
    (compiler, figures)
}
