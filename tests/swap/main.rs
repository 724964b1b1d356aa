//! Filters that are swapped while events go on: none is lost, doubled or filtered by two versions, what is wrong never gets
//! into place, and what breaks goes back. `make swap-test N=10000` swaps ten thousand times; the other tests swap a few
//! hundred times. RELIABILITY.md says what came of it.

mod bench;
mod program;
mod refused;
mod returns;

use bench::{Bench, GUESTS, mark, under_load, version};
use weir::config::Component;
use weir::filter::swap::WatchRules;
use weir_test_support::Random;

fn two_filters(first: &std::path::Path, options: &str) -> String {
    let filter = |id: &str, target: &str| {
        let path = first.display();
        format!("[[filter]]\nuse = \"{path}\"\nid = \"{id}\"\ntarget = \"{target}\"\n{options}\n")
    };
    filter("first", "mark") + &filter("second", "second_mark")
}

#[test]
fn swaps_under_full_load_lose_nothing_and_mix_nothing() {
    let swaps: u64 = std::env::var("WEIR_SWAPS").map_or(300, |swaps| swaps.parse().expect("a number"));
    let seed = std::env::var("WEIR_SEED").ok().filter(|seed| !seed.is_empty());
    let seed = seed.map_or(20200223, |seed| seed.parse().expect("a number"));
    println!("{swaps} swaps, seed {seed}");
    let mut random = Random(seed);
    let folder = tempfile::tempdir().expect("a folder");
    let paths = [version(folder.path(), 0, None), version(folder.path(), 1, None)];
    let bench = Bench::new(folder.path(), "", &two_filters(&paths[0], ""), 2);
    let loaded = paths
        .clone()
        .map(|path| GUESTS.engine.load_candidate(&Component::File(path)).expect("the version can be loaded"));
    let (environment, started) = (weir::filter::ChainEnvironment::default(), std::time::Instant::now());
    let (events, changes) = under_load(&bench, 2, 64, &["mark", "second_mark"], || {
        for number in 1..=swaps {
            let which = (number % 2) as usize;
            let mut source = bench.chain.current().definition.source().clone();
            for step in &mut source.filters {
                step.component = Component::File(paths[which].clone());
                // Now and then names that nobody knew of come with a version.
                let more = format!("more_{}", random.below(20));
                step.common.add_field = vec![(more, "x".into())];
            }
            // Now and then the order too.
            source.steps.reverse();
            let both = [(0, loaded[which].clone()), (1, loaded[which].clone())];
            let built = bench.chain.build(&GUESTS.engine, source, &environment, &both, &[]);
            let candidate = built.unwrap_or_else(|problems| panic!("{problems:?}"));
            let switched =
                bench.chain.switch(&candidate.current, &candidate.version, Some(WatchRules::default()));
            switched.expect("the version is put in place");
        }
    });
    let (swapped, returned) = bench.chain.swaps_and_returns();
    assert_eq!((swapped, returned), (swaps, 0));
    assert!(bench.chain.current().names.len() < 40, "names of the same words are the same names");
    let pauses = &bench.chain.pauses;
    println!(
        "{swaps} swaps in {:.1} s under load: {events} events, none lost, doubled or mixed; {changes} changes of version seen",
        started.elapsed().as_secs_f64()
    );
    println!("a batch waited because of a swap, {} times:", pauses.count());
    for (below, count) in pauses.histogram() {
        println!("  at most {below:>12?}  {count:>8}");
    }
    println!(
        "  50 % {:?}, 99 % {:?}, longest {:?}",
        pauses.quantile(0.5),
        pauses.quantile(0.99),
        pauses.longest()
    );
    assert!(changes > swaps / 4, "the swaps happened under load: {changes}");
    // `make swap-test` has the machine for itself; beside other tests a thread that is not scheduled is no pause of a swap.
    let share = if std::env::var_os("WEIR_SWAPS").is_some() { 0.99 } else { 0.5 };
    let (pause, most) = (pauses.quantile(share), std::time::Duration::from_millis(1));
    assert!(pause <= most, "{share} of the pauses are {pause:?} at most");
}

#[test]
fn a_counter_keeps_its_count_over_swaps_in_the_order_of_reading() {
    let folder = tempfile::tempdir().expect("a folder");
    let paths = [version(folder.path(), 0, None), version(folder.path(), 1, None)];
    let bench = Bench::new(folder.path(), "", &two_filters(&paths[0], "count = true"), 2);
    let swaps = 100;
    let ended = std::sync::atomic::AtomicBool::new(false);
    let total = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut events = 0;
                    while !ended.load(std::sync::atomic::Ordering::Relaxed) {
                        let out = bench.pass(16);
                        out.check(&["mark", "second_mark"]).unwrap_or_else(|error| panic!("{error}"));
                        for (row, event) in out.events.iter().enumerate() {
                            // Both filters count every event: the number is the event's place.
                            assert_eq!(event["number"], out.first + row as u64, "{event}");
                        }
                        events += out.entered as u64;
                    }
                    events
                })
            })
            .collect();
        for number in 1..=swaps {
            let which = (number % 2) as usize;
            let mut source = bench.chain.current().definition.source().clone();
            for step in &mut source.filters {
                step.component = Component::File(paths[which].clone());
            }
            let environment = weir::filter::ChainEnvironment::default();
            let candidate = bench.chain.build(&GUESTS.engine, source, &environment, &[], &[]);
            let candidate = candidate.unwrap_or_else(|problems| panic!("{problems:?}"));
            let rules = (number % 3 == 0).then(WatchRules::default);
            let switched =
                bench.chain.switch(&candidate.current, &candidate.version, rules).expect("it goes over");
            assert_eq!(switched.carried, ["first", "second"]);
            assert!(switched.lost.is_empty());
        }
        ended.store(true, std::sync::atomic::Ordering::Relaxed);
        workers.into_iter().map(|worker| worker.join().expect("the counts are right")).sum::<u64>()
    });
    let states = bench.chain.final_states().expect("the states are saved");
    assert_eq!(
        states.iter().map(|saved| saved.state.clone()).collect::<Vec<_>>(),
        vec![total.to_be_bytes(); 2]
    );
    println!("{swaps} swaps of a counter: {total} events, each with its number");
}

#[test]
fn the_same_component_has_the_same_mark_everywhere() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = version(folder.path(), 7, None);
    let bench = Bench::new(folder.path(), "", &two_filters(&path, ""), 2);
    assert_eq!(bench.pass(5).check(&["mark", "second_mark"]), Ok(mark(7)));
}
