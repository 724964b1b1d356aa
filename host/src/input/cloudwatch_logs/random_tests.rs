//! A reader under random events (some late, many of equal times), random faults and crashes at random points.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use weir_test_support::cloudwatch::{Fault, Outcome, Visible};

use super::tests::{LIMIT, MINUTE, NOW, Setting};
use crate::input::{Read, testing};

/// In the end every event is there, and none that was acknowledged came again.
#[tokio::test]
async fn random_schedules() {
    let seed: u64 =
        std::env::var("WEIR_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random);
    println!("WEIR_SEED={seed}");
    let mut random = Random(seed);
    let mut setting = Setting::following("log_group = [\"/a\", \"/b\", \"/c\"]\nlookback = \"10m\"");
    setting.batch_size = 4;
    for group in ["/a", "/b", "/c"] {
        setting.fake.create_group(group);
    }
    setting.fake.faults().short_pages = Some(3);
    let mut now = NOW;
    let mut put = HashMap::new();
    let mut delivered: HashMap<String, u128> = HashMap::new();
    let mut acknowledged: HashSet<String> = HashSet::new();
    let mut number = 0;
    for round in 0..12 {
        let is_last = round == 11;
        let mut line = setting.start().await;
        let mut waiting: VecDeque<(Vec<String>, Read)> = VecDeque::new();
        let mut steps = random.below(40);
        let begun = Instant::now();
        while steps > 0 || is_last {
            if begun.elapsed() > LIMIT {
                let missing: Vec<_> =
                    put.iter().filter(|(message, _)| !delivered.contains_key(*message)).collect();
                panic!("events are missing (seed {seed}, the clock is {now}): {missing:?}");
            }
            steps = steps.saturating_sub(1);
            now += random.below(20_000) as i64;
            setting.set_clock(now);
            for _ in 0..random.below(4) * u64::from(!is_last) {
                number += 1;
                let group = ["/a", "/b", "/c"][random.below(3) as usize];
                // An event is visible at most nine minutes after its time, which is less than the lookback.
                let age = random.below(9) as i64 * MINUTE;
                let time = now - age;
                let message = format!("event {number}");
                let visible = match random.below(2) {
                    0 => Visible::Now,
                    _ => Visible::At(now + random.below((9 * MINUTE - age).unsigned_abs() + 1) as i64),
                };
                let stream = format!("s{}", random.below(3));
                setting.fake.put_visible(group, &stream, time, &message, visible);
                put.insert(message, (group, time, visible));
            }
            if random.below(4) == 0 {
                let faults =
                    [Fault::Throttling, Fault::Reset, Fault::InvalidParameter, Fault::InternalFailure];
                let fault = faults[random.below(4) as usize].clone();
                // Not more often than every fourth request, however few there are.
                let mut faults = setting.fake.faults();
                if faults.script.len() < 4 {
                    faults.script.extend([Some(fault), None, None, None]);
                }
            }
            let read = tokio::time::timeout(Duration::from_millis(3), line.reads.recv()).await;
            if let Ok(read) = read {
                let read = read.expect("it does not end");
                let mut messages = Vec::new();
                for event in testing::seen(&read.events) {
                    let message = event.message().to_owned();
                    assert!(
                        !acknowledged.contains(&message),
                        "{message} was acknowledged before (seed {seed})"
                    );
                    let before = delivered.insert(message.clone(), event.identity);
                    assert!(before.is_none_or(|before| before == event.identity), "seed {seed}");
                    messages.push(message);
                }
                waiting.push_back((messages, read));
            }
            while waiting.len() as u64 > random.below(4) {
                let Some((messages, read)) = waiting.pop_front() else { break };
                setting.ledger.commit(&[("test", &read.position)]).unwrap();
                acknowledged.extend(messages);
            }
            if is_last && put.keys().all(|message| delivered.contains_key(message)) {
                break;
            }
        }
    }
    assert_eq!(delivered.len(), put.len(), "seed {seed}");
    assert_eq!(
        delivered.values().collect::<HashSet<_>>().len(),
        put.len(),
        "identities differ (seed {seed})"
    );
    assert!(setting.fake.calls().iter().any(|call| matches!(call.outcome, Outcome::Events(3, true))));
}

struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}
