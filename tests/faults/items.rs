//! Faults of single items of a bulk request: those that pass, those that never do, and the states of a cluster that
//! show in them.

use std::collections::BTreeMap;

use weir_test_support::elasticsearch::{Fault, ItemFault};

use crate::Kind;
use crate::delivery::{Outcome, World, is_chosen, kind, number_of};

pub(crate) fn kinds() -> Vec<Kind> {
    let mut kinds = Vec::new();
    for (what, fault) in passing() {
        let name = format!("item: {} {what}", fault.status);
        kinds.push(kind(
            &name,
            "on a third of the items, up to four times each",
            Outcome::Stored,
            move |world| {
                fail_some(world, vec![fault.clone()]);
            },
        ));
    }
    for (what, fault) in lasting() {
        let name = format!("item: {} {what}", fault.status);
        let reason: &'static str = match fault.status {
            400 => "status 400",
            404 => "status 404",
            422 => "status 422",
            _ => "status 410",
        };
        kinds.push(kind(&name, "on certain events, always", Outcome::SetAside(reason), move |world| {
            let fault = fault.clone();
            world.fake.faults().items =
                Some(Box::new(move |item| is_chosen(number_of(item)).then(|| fault.clone())));
        }));
    }
    kinds.extend([
        kind("item: 409, stored before", "another pipeline delivers the same events again", Outcome::Stored, |world| {
            world.deliveries = 2;
            world.happens_surely = true;
        }),
        kind(
            "item: an error type of `drop_error_types`",
            "on certain events, always; the user wrote that it is to be dropped",
            Outcome::Dropped,
            |world| {
                world.options.push_str("drop_error_types = [\"document_parsing_exception\"]\n");
                world.fake.faults().items = Some(Box::new(|item| {
                    let fault = ItemFault::new(400, "document_parsing_exception", "failed to parse");
                    is_chosen(number_of(item)).then_some(fault)
                }));
            },
        ),
        kind(
            "item: a status of `dlq_custom_codes`",
            "on certain events, always; the user wrote that it is to be set aside",
            Outcome::SetAside("status 429"),
            |world| {
                world.options.push_str("dlq_custom_codes = [429]\n");
                world.fake.faults().items =
                    Some(Box::new(|item| is_chosen(number_of(item)).then(ItemFault::rejected)));
            },
        ),
        kind(
            "item: passing and lasting faults in one answer",
            "certain events are refused for good, a third of the others for a while: each item's status is its own",
            Outcome::SetAside("mapper_parsing_exception"),
            |world| {
                fail_some(world, passing().into_iter().map(|(_, fault)| fault).collect());
                let mut passing = world.fake.faults().items.take();
                world.fake.faults().items = Some(Box::new(move |item| match is_chosen(number_of(item)) {
                    true => Some(ItemFault::mapper_parsing()),
                    false => passing.as_mut().and_then(|rule| rule(item)),
                }));
            },
        ),
        kind("item: a red index", "all items of one index fail for a while, those of others do not", Outcome::Stored, |world| {
            let mut left = 100 + world.random.below(200);
            world.fake.faults().items = Some(Box::new(move |item| {
                let fails = item.index == "logs-2020.02.22" && left > 0;
                left -= usize::from(fails);
                fails.then(ItemFault::unavailable)
            }));
        }),
        kind(
            "item: an index made read-only and released",
            "all items of one index are blocked (403) for a while",
            Outcome::Stored,
            |world| {
                let mut left = 100 + world.random.below(200);
                world.fake.faults().items = Some(Box::new(move |item| {
                    let fails = item.index == "logs-2020.02.23" && left > 0;
                    left -= usize::from(fails);
                    fails.then(ItemFault::cluster_block)
                }));
            },
        ),
        kind(
            "item: a node leaves and comes back",
            "a third of the items fail as on a node that is closing, then requests get 503",
            Outcome::Stored,
            |world| {
                let closed = ItemFault::new(500, "node_closed_exception", "node closed [{node}]");
                let gone = ItemFault::new(503, "no_shard_available_action_exception", "no shard available");
                fail_some(world, vec![closed, gone]);
                world.break_requests(20, |_| Fault::Status(503));
            },
        ),
        kind(
            "item: faults of every kind, and of requests",
            "random passing faults of items, random 429, 503 and resets of requests",
            Outcome::Stored,
            |world| {
                fail_some(world, passing().into_iter().map(|(_, fault)| fault).collect());
                world.break_requests(30, |random| match random.below(5) {
                    0 => Fault::Status(429),
                    1 => Fault::Status(503),
                    2 => Fault::StatusAfterCommit(504),
                    3 => Fault::ResetAfterCommit,
                    _ => Fault::ItemMissing,
                });
            },
        ),
    ]);
    kinds
}

/// Faults that pass.
fn passing() -> Vec<(&'static str, ItemFault)> {
    let shutting = "rejected execution of processing: the executor is shutting down";
    vec![
        ("the write queue is full", ItemFault::rejected()),
        (
            "the circuit breaker",
            ItemFault::new(
                429,
                "circuit_breaking_exception",
                "[parent] Data too large, data for [<transport_request>]",
            ),
        ),
        ("an unavailable shard", ItemFault::unavailable()),
        ("the executor shuts down", ItemFault::new(503, "es_rejected_execution_exception", shutting)),
        (
            "a master change",
            ItemFault::new(503, "process_cluster_event_timeout_exception", "failed to process cluster event"),
        ),
        ("an internal error", ItemFault::new(500, "null_pointer_exception", "")),
        ("a node that is gone", ItemFault::new(500, "node_disconnected_exception", "disconnected")),
        ("a read-only index", ItemFault::cluster_block()),
        ("not authorized", ItemFault::new(401, "security_exception", "unable to authenticate")),
        ("not allowed", ItemFault::new(403, "security_exception", "action is unauthorized")),
        ("a timeout", ItemFault::new(408, "timeout_exception", "timed out")),
        ("too large", ItemFault::new(413, "content_too_long_exception", "entity content is too long")),
        ("an unknown status", ItemFault::new(599, "unheard_of_exception", "?")),
    ]
}

/// Faults that do not.
fn lasting() -> Vec<(&'static str, ItemFault)> {
    vec![
        ("a mapping conflict", ItemFault::mapper_parsing()),
        (
            "an illegal argument",
            ItemFault::new(
                400,
                "illegal_argument_exception",
                "Limit of total fields [1000] has been exceeded",
            ),
        ),
        (
            "a strict mapping",
            ItemFault::new(
                400,
                "strict_dynamic_mapping_exception",
                "mapping set to strict, dynamic introduction not allowed",
            ),
        ),
        ("no such index", ItemFault::new(404, "index_not_found_exception", "no such index [logs]")),
        ("gone", ItemFault::new(410, "gone_exception", "gone")),
        ("unprocessable", ItemFault::new(422, "unprocessable_exception", "unprocessable")),
    ]
}

/// About a third of the events fail up to four times, each time with one of the faults.
fn fail_some(world: &mut World, faults: Vec<ItemFault>) {
    let mut random = world.random.clone();
    let mut left: BTreeMap<u64, usize> = BTreeMap::new();
    world.fake.faults().items = Some(Box::new(move |item| {
        let n = number_of(item);
        let times = if random.below(3) == 0 { 1 + random.below(4) } else { 0 };
        let left = left.entry(n).or_insert(if n == 0 { 2 } else { times });
        if *left == 0 {
            return None;
        }
        *left -= 1;
        Some(faults[random.below(faults.len())].clone())
    }));
}
