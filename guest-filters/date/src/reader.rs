//! The smallest parts of a text that both the ISO reader and the patterns read: numbers, fractions and offsets, by the
//! rules of Joda-Time. Each answers what it read and where it stopped, or nothing.

/// A whole number of up to `max` digits, at least one; with `signed`, a sign before them that does not count, unless
/// there is room for one digit only.
pub(crate) fn number(text: &[u8], at: usize, max: usize, signed: bool) -> Option<(i64, usize)> {
    let mut at = at;
    let mut negative = false;
    if signed
        && max > 1
        && let Some(sign @ (b'-' | b'+')) = text.get(at)
    {
        negative = *sign == b'-';
        at += 1;
    }
    let start = at;
    let mut value = 0_i64;
    while let Some(digit @ b'0'..=b'9') = text.get(at)
        && at - start < max
    {
        value = value.saturating_mul(10).saturating_add(i64::from(digit - b'0'));
        at += 1;
    }
    if at == start {
        return None;
    }
    let value = if negative { -value } else { value };
    // Joda's fields are of 32 bits.
    i32::try_from(value).ok()?;
    Some((value, at))
}

/// Two digits exactly, as a number.
pub(crate) fn two_digits(text: &[u8], at: usize) -> Option<i64> {
    match (text.get(at)?, text.get(at + 1)?) {
        (tens @ b'0'..=b'9', ones @ b'0'..=b'9') => {
            Some(i64::from(tens - b'0') * 10 + i64::from(ones - b'0'))
        }
        _ => None,
    }
}

/// One to `max` digits as a fraction of `unit` milliseconds, cut to whole ones.
pub(crate) fn fraction(text: &[u8], at: usize, max: usize, unit: i64) -> Option<(i64, usize)> {
    let start = at;
    let mut at = at;
    // The sum has one decimal more than is answered, as Joda keeps it.
    let mut weight = unit;
    let mut value = 0;
    while let Some(digit @ b'0'..=b'9') = text.get(at)
        && at - start < max
    {
        value += i64::from(digit - b'0') * weight;
        weight /= 10;
        at += 1;
    }
    if at == start { None } else { Some((value / 10, at)) }
}

/// An offset from UTC in milliseconds: `±hh`, `±hhmm`, `±hh:mm`, each with seconds and thousandths too; with `zulu` also
/// a `Z` or `z`.
pub(crate) fn offset(text: &[u8], at: usize, zulu: bool) -> Option<(i64, usize)> {
    let negative = match text.get(at)? {
        b'Z' | b'z' if zulu => return Some((0, at + 1)),
        b'-' => true,
        b'+' => false,
        _ => return None,
    };
    let (value, at) = offset_size(text, at + 1)?;
    Some((if negative { -value } else { value }, at))
}

fn offset_size(text: &[u8], at: usize) -> Option<(i64, usize)> {
    let hours = two_digits(text, at).filter(|&hours| hours <= 23)?;
    let mut value = hours * 3_600_000;
    let mut at = at + 2;
    let separated = match text.get(at) {
        Some(b':') => true,
        Some(b'0'..=b'9') => false,
        _ => return Some((value, at)),
    };
    for unit in [60_000, 1_000] {
        match text.get(at) {
            Some(b':') if separated => at += 1,
            Some(b'0'..=b'9') if !separated => {}
            _ => return Some((value, at)),
        }
        value += two_digits(text, at).filter(|&part| part <= 59)? * unit;
        at += 2;
    }
    match text.get(at) {
        Some(b'.' | b',') if separated => at += 1,
        Some(b'0'..=b'9') if !separated => {}
        _ => return Some((value, at)),
    }
    let (thousandths, at) = fraction(text, at, 3, 1_000)?;
    Some((value + thousandths, at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_offset(text: &str, expected: Option<(i64, usize)>) {
        assert_eq!(offset(text.as_bytes(), 0, true), expected, "{text:?}");
    }

    #[test]
    fn offsets() {
        let hour = 3_600_000;
        check_offset("Z", Some((0, 1)));
        check_offset("+01", Some((hour, 3)));
        check_offset("-0130", Some((-hour * 3 / 2, 5)));
        check_offset("+01:30x", Some((hour * 3 / 2, 6)));
        check_offset("+01:02:03.5", Some((hour + 123_500, 11)));
        check_offset("+0102035", Some((hour + 123_500, 8)));
        check_offset("+01x", Some((hour, 3)));
        for text in ["", "01", "+1", "+24", "+01:", "+01:6", "+0160", "+011", "+01:02:03.", "x"] {
            check_offset(text, None);
        }
    }

    #[test]
    fn numbers() {
        assert_eq!(number(b"0123", 0, 2, false), Some((1, 2)));
        assert_eq!(number(b"-12x", 0, 9, true), Some((-12, 3)));
        assert_eq!(number(b"-12", 0, 9, false), None);
        assert_eq!(number(b"9999999999", 0, 10, false), None);
        assert_eq!(fraction(b"1239", 0, 9, 1_000), Some((123, 4)));
        assert_eq!(fraction(b"5", 0, 9, 60_000), Some((30_000, 1)));
        assert_eq!(fraction(b".", 0, 9, 1_000), None);
    }
}
