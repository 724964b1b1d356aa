//! Lengths of time and sizes in bytes as a pipeline file writes them.

use std::time::Duration;

/// Reads `"50ms"`, `"5s"`, `"10m"`, `"1.5h"`, `"7d"`; a bare number is seconds. An error says what is expected.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split(text);
    let seconds = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "" | "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return Err("write a number and a unit: us, ms, s, m, h or d, such as \"5s\"".to_owned()),
    };
    let number: f64 = number.parse().map_err(|_| "write a number and a unit, such as \"5s\"".to_owned())?;
    Duration::try_from_secs_f64(number * seconds).map_err(|_| "it must not be negative or endless".to_owned())
}

/// Reads `"512KiB"`, `"20MiB"`, `"1GB"`; a bare number is bytes. KiB and its kin are powers of 1024, KB of 1000. An
/// error says what is expected.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text);
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1000,
        "mb" => 1000 * 1000,
        "gb" => 1000 * 1000 * 1000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        _ => {
            return Err(
                "write a number and a unit: B, KiB, MiB, GiB, KB, MB or GB, such as \"20MiB\"".to_owned()
            );
        }
    };
    let number: u64 =
        number.parse().map_err(|_| "write a whole number and a unit, such as \"20MiB\"".to_owned())?;
    number.checked_mul(factor).ok_or_else(|| "it is larger than any memory".to_owned())
}

fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    let end = text.find(|letter: char| letter.is_alphabetic()).unwrap_or(text.len());
    (text[..end].trim_end(), &text[end..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        assert_eq!(parse_duration("50ms"), Ok(Duration::from_millis(50)));
        assert_eq!(parse_duration("5"), Ok(Duration::from_secs(5)));
        assert_eq!(parse_duration("1.5 h"), Ok(Duration::from_secs(5400)));
        assert_eq!(parse_duration("7d"), Ok(Duration::from_secs(604_800)));
        for text in ["", "s", "5 weeks", "-1s", "1e400", "1h30m"] {
            assert!(parse_duration(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn sizes() {
        assert_eq!(parse_bytes("20MiB"), Ok(20 << 20));
        assert_eq!(parse_bytes("1 GB"), Ok(1_000_000_000));
        assert_eq!(parse_bytes("17"), Ok(17));
        for text in ["", "1.5MiB", "-1", "1 XB", "99999999999999GiB"] {
            assert!(parse_bytes(text).is_err(), "{text:?}");
        }
    }
}
