//! Candidates that must not get into place: each is refused with its reason while events go on, and the old version stays.

use std::path::{Path, PathBuf};

use weir::swapper::SwapRequest;

use crate::bench::{Bench, GUESTS, mark, under_load, version};

struct Refused<'a> {
    what: &'a str,
    component: PathBuf,
    /// The whole step, where it is another.
    options: Option<&'a str>,
    /// What the reason says.
    reason: &'a str,
}

fn filter_of(path: &Path) -> String {
    format!("[[filter]]\nuse = \"{}\"\nid = \"mark\"\n", path.display())
}

#[test]
fn bad_candidates_never_become_active() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = version(folder.path(), 1, None);
    let bench = Bench::new(folder.path(), "swap.shadow_limit = \"30s\"", &filter_of(&first), 2);
    let file = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).expect("the folder can be written");
        path
    };
    let whole = std::fs::read(&first).expect("it was just written");
    let wrong_case = "[[case]]\nname = \"the mark of another version\"\ninput.message = \"x\"\nexpect.fields.mark = \"mark-0000000003!\"\n";
    let refused = |what, component, options, reason| Refused { what, component, options, reason };
    let list = [
        refused("no file", folder.path().join("none.wasm"), None, "none.wasm"),
        refused("no WebAssembly", file("text.wasm", b"text"), None, "no WebAssembly"),
        refused("cut off", file("cut.wasm", &whole[..whole.len() / 2]), None, "is not valid"),
        refused("an empty module", file("empty.wasm", b"\0asm\x01\0\0\0"), None, ""),
        refused("another world", GUESTS.wishful.clone(), None, "it imports"),
        refused("an import that is not granted", GUESTS.hostile.clone(), None, "not granted"),
        refused(
            "a field that is not granted",
            first.clone(),
            Some("grants.fields.write = [\"message\"]"),
            "writes [mark], which it was not granted",
        ),
        refused("another filter's options", GUESTS.geoip.clone(), Some("grants = [\"addresses\"]"), "source"),
        refused("an option that is unknown", first.clone(), Some("marks = 1"), "unknown option"),
        refused("an option of the host that is wrong", first.clone(), Some("on_trap = \"no\""), "on_trap"),
        refused("it refuses its options", first.clone(), Some("misdeed = \"refuse\""), "told to refuse"),
        refused(
            "it breaks in configure",
            GUESTS.hostile.clone(),
            Some("do = \"panic in configure\"\ngrants = [\"patterns\"]"),
            "broke in configure",
        ),
        refused(
            "it fails its own cases",
            version(folder.path(), 2, Some(wrong_case)),
            None,
            "1 of its 1 cases fail",
        ),
        refused(
            "its cases cannot be read",
            version(folder.path(), 4, Some("[[case]]\nnames = 1\n")),
            None,
            "names",
        ),
        refused(
            "it traps beside the line",
            version(folder.path(), 5, None),
            Some("break_after = 0"),
            "broke in the shadow run",
        ),
        refused(
            "it traps there after some events",
            version(folder.path(), 5, None),
            Some("break_after = 100"),
            "broke in the shadow run",
        ),
        refused(
            "it does not end there",
            version(folder.path(), 5, None),
            Some("break_after = 0\nmisdeed = \"loop\"\nlimits.deadline = \"50ms\""),
            "deadline",
        ),
        refused(
            "it lies there",
            GUESTS.hostile.clone(),
            Some("do = \"place past the answer's text\"\ngrants = [\"patterns\"]"),
            "broke in the shadow run",
        ),
    ];
    let before = bench.chain.current().number;
    let (events, changes) = under_load(&bench, 2, 32, &["mark"], || {
        for candidate in &list {
            let options = candidate.options.map(|text| file("options.toml", text.as_bytes()));
            let request = SwapRequest {
                filter: "mark".to_owned(),
                component: candidate.component.display().to_string(),
                options,
                ..SwapRequest::default()
            };
            let what = candidate.what;
            let error = bench
                .swapper
                .swap(&request, &|_| {})
                .err()
                .unwrap_or_else(|| panic!("{what}: it is in place"));
            let error = format!("{error:#}");
            assert!(
                error.contains(candidate.reason),
                "{what}: {error:?} does not say {:?}",
                candidate.reason
            );
            assert_eq!(bench.chain.current().number, before, "{what}");
        }
    });
    assert_eq!(changes, 2, "both threads saw one version only");
    assert_eq!(bench.chain.swaps_and_returns(), (0, 0));
    let figures = bench.swapper.figures();
    assert_eq!((figures.refused, figures.running), (list.len() as u64, None));
    assert_eq!(figures.last.expect("the last was refused").ended, "refused");
    let counts = bench.chain.current().definition.filters()[0].counts.clone();
    // What was tried beside the line is counted nowhere.
    assert_eq!(counts.events_in.load(std::sync::atomic::Ordering::Relaxed), events);
    assert_eq!(counts.breaks.load(std::sync::atomic::Ordering::Relaxed), 0);
}

#[test]
fn a_good_candidate_gets_into_place_by_all_steps() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = version(folder.path(), 1, None);
    let bench = Bench::new(folder.path(), "", &filter_of(&first), 2);
    let case =
        "[[case]]\nname = \"it marks\"\ninput.message = \"x\"\nexpect.fields.mark = \"mark-0000000002!\"\n";
    let request = SwapRequest {
        filter: "mark".to_owned(),
        component: version(folder.path(), 2, Some(case)).display().to_string(),
        ..SwapRequest::default()
    };
    let said = std::sync::Mutex::new(Vec::new());
    let mut outcome = None;
    under_load(&bench, 2, 32, &["mark"], || {
        let say = |text: &str| said.lock().expect("nobody panicked").push(text.to_owned());
        outcome = Some(bench.swapper.swap(&request, &say).expect("it is good"));
    });
    let outcome = outcome.expect("it was swapped");
    let shadow = outcome.shadow.expect("there was a shadow run");
    assert_eq!((outcome.cases, shadow.batches, shadow.kept), (1, 8, 0));
    assert_eq!((shadow.events, shadow.differing), (256, 256));
    assert_eq!(shadow.first.len(), 5);
    assert_eq!(shadow.first[0].field, "mark");
    assert_eq!(shadow.first[0].new.as_deref(), Some("\"mark-0000000002!\""));
    assert_eq!(outcome.changed.len(), 1);
    assert!(said.into_inner().expect("nobody panicked").iter().any(|text| text.contains("beside the line")));
    assert_eq!(bench.pass(3).check(&["mark"]), Ok(mark(2)));
    // Back by hand, and forth.
    bench.swapper.back(None, &|_| {}).expect("the version before is kept");
    assert_eq!(bench.pass(3).check(&["mark"]), Ok(mark(1)));
    bench.swapper.back(Some("mark"), &|_| {}).expect("and the other one");
    assert_eq!(bench.pass(3).check(&["mark"]), Ok(mark(2)));
    let error = bench.swapper.back(Some("marks"), &|_| {}).expect_err("there is no such filter").to_string();
    assert!(error.contains("did you mean \"mark\"?"), "{error}");
}

#[test]
fn without_traffic_the_last_batches_are_tried() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = version(folder.path(), 1, None);
    let bench = Bench::new(folder.path(), "swap.shadow_limit = \"10ms\"", &filter_of(&first), 2);
    let request = |number: u64| SwapRequest {
        filter: "mark".to_owned(),
        component: version(folder.path(), number, None).display().to_string(),
        ..SwapRequest::default()
    };
    let outcome = bench.swapper.swap(&request(2), &|_| {}).expect("nothing speaks against it");
    assert_eq!(outcome.shadow.expect("it was tried for").batches, 0);
    bench.pass(10);
    let outcome = bench.swapper.swap(&request(3), &|_| {}).expect("it is good");
    let shadow = outcome.shadow.expect("it was tried");
    assert_eq!((shadow.batches, shadow.kept, shadow.differing), (1, 1, 10));
    let broken = folder.path().join("options.toml");
    std::fs::write(&broken, "break_after = 5").expect("the folder can be written");
    let error = bench.swapper.swap(&SwapRequest { options: Some(broken), ..request(4) }, &|_| {});
    assert!(error.expect_err("it breaks").to_string().contains("shadow run"));
}

#[test]
fn names_of_fields_do_not_grow_without_bound() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = version(folder.path(), 1, None);
    let bench = Bench::new(folder.path(), "", &filter_of(&first), 2);
    let request = |from: usize| {
        let options = folder.path().join("options.toml");
        let fields: Vec<String> = (from..from + 3000).map(|number| format!("f{number} = 1")).collect();
        std::fs::write(&options, format!("add_field = {{ {} }}", fields.join(", ")))
            .expect("the folder can be written");
        let component = first.display().to_string();
        SwapRequest {
            filter: "mark".to_owned(),
            component,
            options: Some(options),
            shadow: Some(0),
            ..SwapRequest::default()
        }
    };
    for from in [0, 3000, 0, 3000] {
        bench.swapper.swap(&request(from), &|_| {}).expect("there is room for these");
        assert_eq!(bench.pass(2).events[1][format!("f{from}")], "1");
    }
    let error = bench.swapper.swap(&request(6000), &|_| {}).expect_err("these are too many").to_string();
    assert!(error.contains("9001 names of fields, at most 8192 are possible (restart it"), "{error}");
    assert_eq!(bench.pass(2).check(&["mark"]), Ok(mark(1)));
}
