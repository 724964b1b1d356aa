//! Texts and floats read as numbers, by the rules of Ruby's `BigDecimal` and `Float`: single underscores between
//! digits, hexadecimal forms, whole numbers of any size. What is a number and what is an error is decided here; when
//! to convert is left to `convert`.

use std::borrow::Cow;

use weir_filter::Decimal;

/// A whole number longer than this many digits is refused: `1e999999999` would fill the memory.
const MOST_DIGITS: usize = 4096;

/// A whole number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Whole {
    /// It fits 64 bits.
    Small(i64),
    /// It does not: its decimal digits, with a minus where it is negative.
    Big(String),
}

/// The whole number that a text says, cut toward zero. White space around it and all commas are passed over.
pub(crate) fn integer_of_text(text: &str) -> Option<Whole> {
    let text = cleaned(text);
    let Some(hexadecimal) = Hexadecimal::read(&text) else {
        // `BigDecimal` takes a `d` for the `e` of an exponent, `Float` does not.
        return integer_of_decimal(&text.replace('d', "e"));
    };
    let hexadecimal = hexadecimal?;
    match (hexadecimal.fraction, hexadecimal.exponent) {
        (None, None) => whole(&decimal_digits(hexadecimal.negative, hexadecimal.digits)?),
        (Some(_), _) => integer_of_float(hexadecimal.to_float()),
        (None, Some(_)) => None,
    }
}

/// The double nearest to what a text says, infinite where it is too large. Cleaned as [`integer_of_text`] does.
pub(crate) fn float_of_text(text: &str) -> Option<f64> {
    let text = cleaned(text);
    if let Some(hexadecimal) = Hexadecimal::read(&text) {
        return Some(hexadecimal?.to_float());
    }
    without_underscores(&text)?.parse().ok().filter(|_| text.contains(|letter: char| letter.is_ascii_digit()))
}

/// The whole number that a decimal (`12.5`, `1E+3`) says, cut toward zero.
pub(crate) fn integer_of_decimal(text: &str) -> Option<Whole> {
    whole(&read_decimal(text)?.whole_text())
}

/// A float cut toward zero; nothing for what is not a number or not finite.
pub(crate) fn integer_of_float(float: f64) -> Option<Whole> {
    if !float.is_finite() {
        return None;
    }
    let float = float.trunc();
    // 2^63 itself does not fit; every float below it does.
    if (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&float) {
        return Some(Whole::Small(float as i64));
    }
    Some(Whole::Big(format!("{float:.0}")))
}

/// `,` for `.` and `.` for `,`: the European way of writing becomes the other.
pub(crate) fn swap_separators(text: &str) -> String {
    let swap = |letter| match letter {
        ',' => '.',
        '.' => ',',
        other => other,
    };
    text.chars().map(swap).collect()
}

fn cleaned(text: &str) -> Cow<'_, str> {
    let text = crate::text::strip(text);
    if text.bytes().any(|byte| byte == b',' || byte.is_ascii_uppercase()) {
        return Cow::Owned(text.replace(',', "").to_ascii_lowercase());
    }
    Cow::Borrowed(text)
}

fn whole(digits: &str) -> Option<Whole> {
    if digits.len() > MOST_DIGITS {
        return None;
    }
    match digits.parse() {
        Ok(small) => Some(Whole::Small(small)),
        Err(_) => Some(Whole::Big(digits.to_owned())),
    }
}

fn read_decimal(text: &str) -> Option<Decimal> {
    Decimal::parse(&without_underscores(text)?)
}

/// The text without its underscores, if each stands alone between two digits.
fn without_underscores(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('_') {
        return Some(Cow::Borrowed(text));
    }
    let runs = text.split(|letter: char| letter != '_' && !letter.is_ascii_digit());
    for run in runs {
        if run.contains('_') && !is_run(run, |byte| byte.is_ascii_digit()) {
            return None;
        }
    }
    Some(Cow::Owned(text.replace('_', "")))
}

struct Hexadecimal<'a> {
    negative: bool,
    digits: &'a str,
    fraction: Option<&'a str>,
    exponent: Option<i64>,
}

impl<'a> Hexadecimal<'a> {
    /// Nothing if the text does not begin like a hexadecimal number; nothing inside if it does not go on like one:
    /// `[+-] 0x digits [. digits] [p [+-] digits]`.
    fn read(text: &'a str) -> Option<Option<Self>> {
        let (negative, text) = split_sign(text);
        let text = text.strip_prefix("0x")?;
        let (mantissa, exponent) = match text.split_once('p') {
            Some((mantissa, exponent)) => match read_exponent(exponent) {
                Some(exponent) => (mantissa, Some(exponent)),
                None => return Some(None),
            },
            None => (text, None),
        };
        let (digits, fraction) = match mantissa.split_once('.') {
            Some((digits, fraction)) => (digits, Some(fraction)),
            None => (mantissa, None),
        };
        let is_hexadecimal = |run: &str| is_run(run, |byte| byte.is_ascii_hexdigit());
        let readable = is_hexadecimal(digits) && fraction.is_none_or(is_hexadecimal);
        Some(readable.then_some(Hexadecimal { negative, digits, fraction, exponent }))
    }

    fn to_float(&self) -> f64 {
        let mut mantissa = 0_u64;
        let mut exponent = self.exponent.unwrap_or(0);
        let fraction = self.fraction.unwrap_or("");
        let digits = self
            .digits
            .chars()
            .map(|digit| (digit, false))
            .chain(fraction.chars().map(|digit| (digit, true)));
        for (digit, in_fraction) in digits {
            let Some(digit) = digit.to_digit(16) else { continue };
            let fits = mantissa < 1 << 60;
            if fits {
                mantissa = mantissa << 4 | u64::from(digit);
            } else {
                // Past 60 bits only whether something follows matters, for rounding.
                mantissa |= u64::from(digit != 0);
            }
            match (fits, in_fraction) {
                (true, true) => exponent = exponent.saturating_sub(4),
                (false, false) => exponent = exponent.saturating_add(4),
                _ => {}
            }
        }
        let mut float = mantissa as f64;
        let mut left = exponent.clamp(-4000, 4000);
        while left != 0 {
            let step = left.clamp(-1000, 1000);
            float *= 2_f64.powi(step as i32);
            left -= step;
        }
        if self.negative { -float } else { float }
    }
}

fn split_sign(text: &str) -> (bool, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}

fn read_exponent(text: &str) -> Option<i64> {
    let (negative, digits) = split_sign(text);
    if !is_run(digits, |byte| byte.is_ascii_digit()) {
        return None;
    }
    let exponent = digits.replace('_', "").parse().unwrap_or(i64::MAX / 2).min(i64::MAX / 2);
    Some(if negative { -exponent } else { exponent })
}

/// One digit or more, with single underscores between them.
fn is_run(text: &str, is_digit: impl Fn(u8) -> bool) -> bool {
    let mut before_is_digit = false;
    for byte in text.bytes() {
        match byte {
            b'_' if before_is_digit => before_is_digit = false,
            _ if is_digit(byte) => before_is_digit = true,
            _ => return false,
        }
    }
    before_is_digit
}

/// The decimal form of a run of hexadecimal digits; nothing if there are too many.
fn decimal_digits(negative: bool, hexadecimal: &str) -> Option<String> {
    const CHUNK: u64 = 1_000_000_000;
    if hexadecimal.len() > MOST_DIGITS {
        return None;
    }
    // Chunks of nine decimal digits, the lowest first.
    let mut chunks = vec![0_u64];
    for digit in hexadecimal.chars().filter_map(|digit| digit.to_digit(16)) {
        let mut carry = u64::from(digit);
        for chunk in &mut chunks {
            carry += *chunk * 16;
            *chunk = carry % CHUNK;
            carry /= CHUNK;
        }
        if carry > 0 {
            chunks.push(carry);
        }
    }
    let digits: String = chunks.iter().rev().map(|chunk| format!("{chunk:09}")).collect();
    let digits = digits.trim_start_matches('0');
    Some(match (negative, digits) {
        (_, "") => "0".to_owned(),
        (true, _) => format!("-{digits}"),
        (false, _) => digits.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_integer(text: &str, expected: Option<&str>) {
        let found = integer_of_text(text).map(|whole| match whole {
            Whole::Small(small) => small.to_string(),
            Whole::Big(digits) => digits,
        });
        assert_eq!(found.as_deref(), expected, "{text:?}");
    }

    #[test]
    fn integers() {
        for (text, expected) in [
            ("1,000", "1000"),
            (" +5\n", "5"),
            ("007", "7"),
            ("-12.99", "-12"),
            ("1_000", "1000"),
            ("1.2345e2", "123"),
            ("1E3", "1000"),
            ("5e-1", "0"),
            ("1D5", "100000"),
            ("0d10", "0"),
            ("\0 7", "7"),
            (".5", "0"),
            ("-0", "0"),
            ("9223372036854775807", "9223372036854775807"),
            ("9223372036854775808", "9223372036854775808"),
            ("-9223372036854775808.9", "-9223372036854775808"),
            ("680564693277057720000000000000000000000.0", "680564693277057720000000000000000000000"),
            ("0XFF", "255"),
            ("-0x7b", "-123"),
            ("0xffffffffffffffffff", "4722366482869645213695"),
            ("0x1.8p+1", "3"),
            ("-0x1.edcdp6", "-123"),
        ] {
            check_integer(text, Some(expected));
        }
    }

    #[test]
    fn no_integers() {
        for text in [
            "",
            "-",
            ".",
            "abc",
            "12abc",
            "1 000",
            "0b101",
            "0o17",
            "infinity",
            "nan",
            "true",
            "1e",
            "1__0",
            "_1",
            "1_",
            "0x",
            "0x1p3",
            "0xg",
            "0x1.p1",
            "1e999999999",
            "1e99999999999999999999",
            "1.2.3",
            "--1",
            "$5",
        ] {
            check_integer(text, None);
        }
    }

    #[test]
    fn floats() {
        for (text, expected) in [
            ("1,234.5", 1234.5),
            (".5", 0.5),
            ("-.5", -0.5),
            ("1_0", 10.0),
            ("1E-2", 0.01),
            ("1e400", f64::INFINITY),
            ("0x1A", 26.0),
            ("0x1.8p+1", 3.0),
            ("0x1p3", 8.0),
            ("0x1p-1074", 5e-324),
            ("0x1.edcdp6", 123.450_195_312_5),
            ("0x20000000000001", 9_007_199_254_740_993.0),
            ("0x1p99999999999999999999", f64::INFINITY),
        ] {
            assert_eq!(float_of_text(text), Some(expected), "{text:?}");
        }
        for text in ["", "abc", "infinity", "nan", "1e", "1 000", "0x", "1__0"] {
            assert_eq!(float_of_text(text), None, "{text:?}");
        }
    }

    #[test]
    fn cut_floats() {
        assert_eq!(integer_of_float(-2.7), Some(Whole::Small(-2)));
        assert_eq!(integer_of_float(1e20), Some(Whole::Big("100000000000000000000".to_owned())));
        assert_eq!(integer_of_float(-9_223_372_036_854_775_808.0), Some(Whole::Small(i64::MIN)));
        assert_eq!(integer_of_float(f64::NAN), None);
        assert_eq!(integer_of_float(f64::INFINITY), None);
    }

    #[test]
    fn european() {
        assert_eq!(integer_of_text(&swap_separators("1.234,56")), Some(Whole::Small(1234)));
        assert_eq!(float_of_text(&swap_separators("1,5,5")), None);
    }
}
