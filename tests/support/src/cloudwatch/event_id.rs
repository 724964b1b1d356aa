//! Event ids as CloudWatch Logs forms them: 56 decimal digits of a number whose bits above the 144th are the event's
//! time in milliseconds. The service does not document this and readers must not rely on it.

use sha2::{Digest, Sha256};

/// The id of the `number`th event put into a stream of a group.
pub(super) fn event_id(timestamp: i64, group: &str, stream: &str, number: u64) -> String {
    let mut hash = Sha256::new();
    for part in [group.as_bytes(), b"\0", stream.as_bytes(), b"\0", &number.to_be_bytes()] {
        hash.update(part);
    }
    let below: [u8; 18] = hash.finalize()[..18].try_into().expect("18 of 32 bytes");
    let mut bytes = [0; 26];
    bytes[..8].copy_from_slice(&timestamp.max(0).to_be_bytes());
    bytes[8..].copy_from_slice(&below);
    format!("{:0>56}", decimal(&bytes))
}

/// A number, highest byte first, in decimal digits: divided by ten until nothing is left.
fn decimal(bytes: &[u8]) -> String {
    let mut rest = bytes.to_vec();
    let mut digits = Vec::new();
    while rest.iter().any(|byte| *byte != 0) {
        let mut remainder = 0_u16;
        for byte in &mut rest {
            let part = remainder << 8 | u16::from(*byte);
            *byte = (part / 10) as u8; // below 256, because the remainder is below ten
            remainder = part % 10;
        }
        digits.push(char::from(b'0' + remainder as u8));
    }
    digits.iter().rev().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_stands_above_144_bits() {
        // An id of the real service and its event's time: 2020-02-23T17:08:41Z is 1582477721000.
        let real: &str = "35290432438372433059640402101280473034952869042615484416";
        let low = decimal(&[&1_582_477_721_000_i64.to_be_bytes()[..], &[0; 18]].concat());
        let high = decimal(&[&1_582_477_721_000_i64.to_be_bytes()[..], &[0xff; 18]].concat());
        assert_eq!(low.len(), real.len());
        assert!(low.as_str() <= real && real <= high.as_str(), "{low} {high}");
        let made = event_id(1_582_477_721_000, "/g", "s", 1);
        assert!(low <= made && made <= high, "{made}");
        assert_ne!(made, event_id(1_582_477_721_000, "/g", "s", 2));
        assert_eq!(event_id(0, "/g", "s", 2).len(), 56);
    }
}
