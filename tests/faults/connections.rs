//! Faults of connections to Elasticsearch: the server that is not there or goes away, networks that cut, stall and slow
//! down, TLS and names that fail.

use std::time::Duration;

use weir_test_support::Random;
use weir_test_support::fault_proxy::ConnectionFault;

use crate::Kind;
use crate::delivery::{Outcome, World, kind};

/// About as long as the bulk requests of a run, together.
const SENT: usize = 60_000;
/// About as long as the answers.
const ANSWERED: usize = 6_000;

/// Makes a connection's fault.
type Cut = fn(&mut Random) -> ConnectionFault;

pub(crate) fn kinds() -> Vec<Kind> {
    let mut kinds = vec![
        stored("connection: refused at first", "the port is closed until the line waits for it", |world| {
            world.with_proxy(false).refuse(true);
            world.happens_surely = true;
        }),
        stored(
            "connection: all servers down in the middle",
            "port and connections are closed while a request is under way, until the line waits",
            |world| {
                let proxy = world.with_proxy(false);
                let mut left = 1 + world.random.below(150);
                world.happens_surely = true;
                world.fake.faults().items = Some(Box::new(move |_| {
                    if left == 1 {
                        proxy.refuse(true);
                    }
                    left = left.saturating_sub(1);
                    None
                }));
            },
        ),
        stored(
            "connection: one of two servers down",
            "nobody listens on the port of the first host",
            |world| {
                world.hosts.insert(0, format!("http://127.0.0.1:{}", closed_port()));
                world.happens_surely = true;
            },
        ),
        stored(
            "connection: one host's name unknown",
            "the first host's name is none that a resolver takes",
            |world| {
                world.hosts.insert(0, format!("http://{}.invalid:9200", "x".repeat(70)));
                world.happens_surely = true;
            },
        ),
        stored("connection: no answer", "connections are accepted and never read from", |world| {
            world.options.push_str("timeout = \"200ms\"\n");
            world.break_connections(3, |_| ConnectionFault::Silent);
        }),
        stored("connection: slow answers", "answers trickle in, longer than `timeout`", |world| {
            world.options.push_str("timeout = \"200ms\"\n");
            world.break_connections(3, |_| ConnectionFault::SlowAnswer(Duration::from_millis(120)));
        }),
        stored("connection: slow requests", "requests are read slowly, longer than `timeout`", |world| {
            world.options.push_str("timeout = \"200ms\"\n");
            world.break_connections(3, |_| ConnectionFault::SlowRequest(Duration::from_millis(60)));
        }),
        stored(
            "connection: TLS with a stranger's certificate",
            "of an authority that nobody knows",
            |world| {
                world.with_proxy(true);
                world.break_connections(6, |_| ConnectionFault::UnknownAuthority);
            },
        ),
        stored("connection: TLS that is no TLS", "the handshake is answered with other bytes", |world| {
            world.with_proxy(true);
            world.break_connections(6, |_| ConnectionFault::Garbage);
        }),
        stored(
            "connection: TLS cut in the middle",
            "reset after a random number of bytes under TLS",
            |world| {
                world.with_proxy(true);
                world.break_connections(12, |random| ConnectionFault::ResetAfterSent(random.below(SENT)));
            },
        ),
        stored(
            "connection: plain HTTP where TLS is asked for",
            "the first host's port speaks no TLS",
            |world| {
                let plain = world.hosts[0].replace("http://", "https://");
                world.with_proxy(true);
                world.hosts.insert(0, plain);
                world.happens_surely = true;
            },
        ),
    ];
    let cut: [(&str, &'static str, Cut); 8] = [
        ("closed at once", "connections are closed as soon as they are there", |_| ConnectionFault::Close),
        ("reset at once", "connections are reset as soon as they are there", |_| ConnectionFault::Reset),
        ("no HTTP", "requests are answered with bytes that are no HTTP", |_| ConnectionFault::Garbage),
        ("reset in a request", "reset after a random number of bytes of requests", |random| {
            ConnectionFault::ResetAfterSent(random.below(SENT))
        }),
        ("reset in a request's head", "reset within the first bytes of a request", |random| {
            ConnectionFault::ResetAfterSent(1 + random.below(150))
        }),
        ("reset in an answer", "reset after a random number of bytes of answers", |random| {
            ConnectionFault::ResetAfterAnswered(1 + random.below(ANSWERED))
        }),
        ("closed in an answer", "closed in good order after a random number of bytes of answers", |random| {
            ConnectionFault::CloseAfterAnswered(1 + random.below(ANSWERED))
        }),
        ("closed while idle", "closed by the server as soon as nothing moves", |_| {
            ConnectionFault::CloseIdle(Duration::from_millis(1))
        }),
    ];
    for (what, how, fault) in cut {
        kinds.push(stored(&format!("connection: {what}"), how, move |world| {
            world.options.push_str("timeout = \"2s\"\n");
            world.break_connections(12, fault);
        }));
    }
    kinds
}

fn stored(name: &str, how: &'static str, set_up: impl Fn(&mut World) + Send + Sync + 'static) -> Kind {
    kind(name, how, Outcome::Stored, set_up)
}

/// A port that nobody listens on.
fn closed_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port on loopback");
    listener.local_addr().expect("it is bound").port()
}
