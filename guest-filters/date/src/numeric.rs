//! The formats of numbers: UNIX, UNIX_MS and TAI64N. Each answers milliseconds since 1970-01-01T00:00:00Z; what Logstash
//! refuses is `None`. Texts are read and numbers multiplied as Java does it: what does not fit 64 bits wraps around.

use weir_filter::java_text;

/// Seconds may not be more than this (2038-01-19T03:14:07Z).
const LAST_SECOND: i64 = 2_147_483_647;

/// A text of seconds, with a fraction of which three characters count. The fraction is added to negative seconds too, as
/// in Logstash.
pub(crate) fn unix_text(text: &str) -> Option<i64> {
    let Some((seconds, rest)) = text.split_once('.') else { return unix_integer(java_integer(text, 10)?) };
    let millis = unix_integer(java_integer(seconds, 10)?)?;
    // Java counts units of UTF-16; a character of two of them is no digit in any case.
    let end = rest.char_indices().nth(3).map_or(rest.len(), |(end, _)| end);
    let digits = rest.get(..end)?;
    let fraction = java_integer(digits, 10)?;
    let unit = match digits.chars().count() {
        1 => 100,
        2 => 10,
        _ => 1,
    };
    Some(millis.wrapping_add(fraction * unit))
}

/// Whole seconds.
pub(crate) fn unix_integer(seconds: i64) -> Option<i64> {
    (seconds <= LAST_SECOND).then(|| seconds.wrapping_mul(1_000))
}

/// Seconds as a double: multiplied as one, and cut.
#[expect(clippy::cast_possible_truncation, reason = "cut and bounded, as Java casts a double to a long")]
pub(crate) fn unix_float(seconds: f64) -> Option<i64> {
    if seconds as i64 > LAST_SECOND { None } else { Some((seconds * 1_000.0) as i64) }
}

/// Seconds as an exact decimal (JSON text).
pub(crate) fn unix_decimal(text: &str) -> Option<i64> {
    if decimal(text, 0)? > LAST_SECOND { None } else { decimal(text, 3) }
}

/// A text of whole milliseconds.
pub(crate) fn unix_ms_text(text: &str) -> Option<i64> {
    java_integer(text, 10)
}

/// Milliseconds as a double, cut.
#[expect(clippy::cast_possible_truncation, reason = "cut and bounded, as Java casts a double to a long")]
pub(crate) fn unix_ms_float(millis: f64) -> i64 {
    millis as i64
}

/// Milliseconds as an exact decimal (JSON text), cut.
pub(crate) fn unix_ms_decimal(text: &str) -> Option<i64> {
    decimal(text, 0).filter(|&millis| millis <= LAST_SECOND * 1_000)
}

/// A TAI64N label: an `@` or none, 16 hexadecimal digits of seconds and 8 of nanoseconds; what follows is not looked at.
/// Ten seconds are taken off, whenever it was.
pub(crate) fn tai64n(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('@').unwrap_or(text);
    let mut ends = digits.char_indices().map(|(at, _)| at).chain([digits.len()]);
    let (half, end) = (ends.nth(16)?, ends.nth(7)?);
    let seconds = (java_integer(digits.get(..half)?, 16)? & ((1 << 62) - 1)) - 10;
    let nanoseconds = java_integer(digits.get(half..end)?, 16)?;
    i32::try_from(nanoseconds).ok()?;
    Some(seconds.wrapping_mul(1_000).wrapping_add(nanoseconds / 1_000_000))
}

/// Whether a text is too short for a TAI64N label: where Logstash stops, and no further format is tried.
pub(crate) fn is_short_tai64n(text: &str) -> bool {
    let text = text.strip_prefix('@').unwrap_or(text);
    text.encode_utf16().count() < 24
}

/// Java's `Long.parseLong`: an optional sign and digits of any script, nothing else, within 64 bits.
fn java_integer(text: &str, radix: u32) -> Option<i64> {
    i64::from_str_radix(&java_text::ascii_digits(text), radix).ok()
}

/// The whole part of a JSON number times ten to the `power`. `None` outside of 64 bits.
fn decimal(text: &str, power: i64) -> Option<i64> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
        None => (text, 0),
    };
    let (negative, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, mantissa),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    // Digits before the point; those after it are cut.
    let places = i64::try_from(whole.len()).ok()?.checked_add(exponent)?.checked_add(power)?;
    let mut value = 0_i64;
    let mut place = 0;
    for digit in whole.bytes().chain(fraction.bytes()) {
        if place >= places {
            break;
        }
        if !digit.is_ascii_digit() {
            return None;
        }
        value = value.checked_mul(10)?.checked_sub(i64::from(digit - b'0'))?;
        place += 1;
    }
    while place < places && value != 0 {
        value = value.checked_mul(10)?;
        place += 1;
    }
    if negative { Some(value) } else { value.checked_neg() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        assert_eq!(unix_text("1.123abc"), Some(1_123));
        assert_eq!(unix_text("-1.5"), Some(-500));
        assert_eq!(unix_text("1.-5"), Some(950));
        assert_eq!(unix_text("١٢.٥é"), None);
        assert_eq!(unix_text("１２.٥"), Some(12_500));
        assert_eq!(unix_text("1.٥٥٥é"), Some(1_555));
        assert_eq!(unix_text("-346800070890909422"), Some(3_688_066_509_572_058_704));
        for text in ["1.", ".5", "1.12x", "1e9", " 1", "1 ", "--1", "", "+", "2147483648"] {
            assert_eq!(unix_text(text), None, "{text:?}");
        }
        assert_eq!(unix_ms_text("-5"), Some(-5));
        assert_eq!(unix_ms_text("1.5"), None);
    }

    #[test]
    fn exact_decimals() {
        assert_eq!(unix_decimal("1.001"), Some(1_001));
        assert_eq!(unix_decimal("1E+3"), Some(1_000_000));
        assert_eq!(unix_decimal("-1.5"), Some(-1_500));
        assert_eq!(unix_decimal("1425445567.123999"), Some(1_425_445_567_123));
        assert_eq!(unix_decimal("12e-1"), Some(1_200));
        assert_eq!(unix_decimal("0e99999"), Some(0));
        assert_eq!(unix_decimal("2147483648.5"), None);
        assert_eq!(unix_decimal("1e400"), None);
        assert_eq!(unix_ms_decimal("1425445567123.9"), Some(1_425_445_567_123));
        assert_eq!(unix_ms_decimal("2147483647001"), None);
    }

    #[test]
    fn labels() {
        assert_eq!(tai64n("@4000000050d506482dbdf024 and more"), Some(1_356_138_046_767));
        for text in
            ["@zzzz000050d506482dbdf024", "8000000050d506482dbdf024", "4000000050d50648ffffffff", "@40"]
        {
            assert_eq!(tai64n(text), None, "{text:?}");
        }
        assert!(is_short_tai64n("@4000000050d506482dbdf02") && !is_short_tai64n("4000000050d506482dbdf024"));
    }
}
