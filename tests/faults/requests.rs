//! Faults of whole bulk requests: statuses, answers that are none or say something else, requests that are too large or
//! have an event in them that the server refuses them for, and what is asked before the first request.

use std::collections::VecDeque;
use std::time::Duration;

use weir_test_support::elasticsearch::Fault;

use crate::Kind;
use crate::delivery::{Outcome, World, kind};

pub(crate) fn kinds() -> Vec<Kind> {
    let mut kinds = Vec::new();
    for (status, what) in [
        (401, "wrong credentials"),
        (403, "not allowed"),
        (404, "not found"),
        (408, "request timeout"),
        (429, "too many requests"),
        (500, "internal error"),
        (502, "bad gateway, with a page of HTML"),
        (503, "cluster block: no master"),
        (504, "gateway timeout, with a page of HTML"),
    ] {
        kinds.push(scripted(&format!("request: {status}, {what}"), SCRIPT, move || Fault::Status(status)));
    }
    let after = "everything was stored, and the status says that it was not";
    for status in [500, 502, 504] {
        let name = format!("request: {status} after the commit");
        kinds.push(scripted(&name, after, move || Fault::StatusAfterCommit(status)));
    }
    for status in [400, 403] {
        let name = format!("request: {status} of a firewall");
        let how = "the status with a page of HTML that is not Elasticsearch's, on random bulk requests";
        kinds.push(scripted(&name, how, move || Fault::Gateway(status)));
    }
    for status in [301, 307] {
        let name = format!("request: {status}, sent elsewhere");
        kinds.push(scripted(&name, "a redirect to another address on random bulk requests", move || {
            Fault::Redirect(status)
        }));
    }
    let stored = "everything was stored, and the answer does not say so";
    for (what, fault) in [
        ("answer cut in its JSON", Fault::TruncatedJson),
        ("answer cut before its end", Fault::CutBody),
        ("answer with an item too few", Fault::ItemMissing),
        ("answer with an item too many", Fault::ItemTwice),
        ("answer without statuses", Fault::NoStatuses),
        ("answer is empty", Fault::Text("")),
        ("answer is another object", Fault::Text("{\"acknowledged\":true}")),
        ("answer is a page of HTML", Fault::Text("<html><body>Please log in</body></html>")),
        ("reset after the commit", Fault::ResetAfterCommit),
    ] {
        kinds.push(scripted(&format!("request: {what}"), stored, move || fault.clone()));
    }
    kinds.extend([
        scripted("request: reset before the commit", "the connection is reset, nothing is stored", || {
            Fault::ResetBeforeCommit
        }),
        scripted("request: 429 with Retry-After", "a time to wait comes along", || Fault::RetryAfter(0)),
        kind(
            "request: timeout after the commit",
            "everything is stored, the answer comes after `timeout`",
            Outcome::Stored,
            |world| {
                world.options.push_str("timeout = \"100ms\"\n");
                world.break_requests(5, |_| Fault::Slow(Duration::from_millis(300)));
            },
        ),
        kind(
            "request: 400 once",
            "one bulk request is refused by Elasticsearch, its halves are not",
            Outcome::Stored,
            |world| {
                let before = world.random.below(4);
                let mut faults = world.fake.faults();
                faults.bulk = VecDeque::from(vec![None; before]);
                faults.bulk.push_back(Some(Fault::Status(400)));
            },
        ),
        kind(
            "request: 400 for one event in it",
            "Elasticsearch refuses every request that has certain events in it",
            Outcome::SetAside("answers 400"),
            |world| refuse_poison(world, 400),
        ),
        kind(
            "request: 413, a whole batch too large",
            "requests over 5 KB are refused",
            Outcome::Stored,
            |world| world.fake.faults().body_limit = Some(5_000),
        ),
        kind(
            "request: 413 for one event alone",
            "requests with certain events in them are too large, however small",
            Outcome::SetAside("answers 413"),
            |world| refuse_poison(world, 413),
        ),
        kind(
            "request: gzip damaged on the way",
            "compressed requests are taken for no gzip, all of them: single events go uncompressed",
            Outcome::Stored,
            |world| {
                world.options.push_str("compression_level = 3\n");
                world.fake.faults().always = Some(Fault::NotGzip);
                // What is asked before has no body.
                world.fake.faults().other = VecDeque::from(vec![None; 3]);
            },
        ),
        kind(
            "request: gzip damaged now and then",
            "random compressed requests are taken for no gzip",
            Outcome::Stored,
            |world| {
                world.options.push_str("compression_level = 1\n");
                world.break_requests(20, |_| Fault::NotGzip);
            },
        ),
        kind(
            "request: the server does not say what it is",
            "the first requests of the run get 401, 503, HTML, an answer of another product, a reset",
            Outcome::Stored,
            |world| {
                let other = [
                    Fault::Status(401),
                    Fault::Status(503),
                    Fault::Status(502),
                    Fault::Text("{\"name\":\"other\"}"),
                    Fault::Text("<html>"),
                    Fault::ResetBeforeCommit,
                ];
                for _ in 0..8 {
                    let fault = other[world.random.below(other.len())].clone();
                    world.fake.faults().other.push_back(Some(fault));
                }
            },
        ),
        kind(
            "request: everything at once",
            "all of these by turns, over connections that are cut",
            Outcome::Stored,
            everything,
        ),
    ]);
    kinds
}

const SCRIPT: &str = "on random bulk requests";

fn scripted(name: &str, how: &'static str, fault: impl Fn() -> Fault + Send + Sync + 'static) -> Kind {
    kind(name, how, Outcome::Stored, move |world| {
        world.options.push_str("timeout = \"5s\"\n");
        world.break_requests(20, |_| fault());
    })
}

fn refuse_poison(world: &mut World, status: u16) {
    let is_poison = |body: &[u8]| body.windows(6).any(|window| window == b"poison");
    world.fake.faults().requests = Some(Box::new(move |body| is_poison(body).then_some(status)));
}

fn everything(world: &mut World) {
    use weir_test_support::fault_proxy::ConnectionFault;
    world.options.push_str("timeout = \"500ms\"\ncompression_level = 1\n");
    world.break_requests(60, |random| match random.below(14) {
        0 => Fault::Status(401),
        1 => Fault::Status(403),
        2 => Fault::Status(429),
        3 => Fault::Status(503),
        4 => Fault::StatusAfterCommit(504),
        5 => Fault::Gateway(400),
        6 => Fault::TruncatedJson,
        7 => Fault::CutBody,
        8 => Fault::ItemMissing,
        9 => Fault::ItemTwice,
        10 => Fault::ResetBeforeCommit,
        11 => Fault::ResetAfterCommit,
        12 => Fault::NotGzip,
        _ => Fault::RetryAfter(0),
    });
    world.break_connections(20, |random| match random.below(4) {
        0 => ConnectionFault::Reset,
        1 => ConnectionFault::ResetAfterSent(random.below(20_000)),
        2 => ConnectionFault::ResetAfterAnswered(1 + random.below(3_000)),
        _ => ConnectionFault::CloseIdle(Duration::from_millis(2)),
    });
}
