//! Exact decimals, as dissect's `float` and some JSON make them: kept as digits and a scale, never as a double.

/// Digits with a sign and the place of the point: `unscaled × 10^-scale`, as in Java's `BigDecimal`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decimal {
    negative: bool,
    /// No leading zeros, but at least one digit.
    digits: String,
    scale: i64,
}

/// An exponent beyond this is refused: a whole number of it would have too many digits to be written out.
const LARGEST_EXPONENT: i64 = 10_000;

impl Decimal {
    /// Reads what Java's `BigDecimal` reads: a sign, digits with at most one point (digits on at least one side), an
    /// exponent; nothing around it. `None` for all else, and for exponents beyond 10,000.
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, unsigned) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
            None => (unsigned, 0),
            Some(at) => {
                let exponent = &unsigned[at + 1..];
                let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
                if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                    return None;
                }
                (&unsigned[..at], exponent.parse::<i64>().ok()?)
            }
        };
        if exponent.abs() > LARGEST_EXPONENT {
            return None;
        }
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() && fraction.is_empty() || !all_digits(whole) || !all_digits(fraction) {
            return None;
        }
        let mut digits = String::with_capacity(whole.len() + fraction.len());
        digits.push_str(whole);
        digits.push_str(fraction);
        let zeros = digits.bytes().take_while(|byte| *byte == b'0').count().min(digits.len() - 1);
        digits.drain(..zeros);
        let negative = negative && digits != "0";
        Some(Decimal { negative, digits, scale: fraction.len() as i64 - exponent })
    }

    /// Java's `BigDecimal.toString`: `12.50`, `1E+3`.
    pub fn java_text(&self) -> String {
        let mut text = String::with_capacity(self.digits.len() + 8);
        if self.negative {
            text.push('-');
        }
        let count = self.digits.len() as i64;
        let adjusted = count - 1 - self.scale;
        if self.scale == 0 {
            text.push_str(&self.digits);
        } else if self.scale > 0 && adjusted >= -6 {
            if count > self.scale {
                let (whole, fraction) = self.digits.split_at((count - self.scale) as usize);
                text.push_str(whole);
                text.push('.');
                text.push_str(fraction);
            } else {
                text.push_str("0.");
                text.extend(std::iter::repeat_n('0', (self.scale - count) as usize));
                text.push_str(&self.digits);
            }
        } else {
            let (first, rest) = self.digits.split_at(1);
            text.push_str(first);
            if !rest.is_empty() {
                text.push('.');
                text.push_str(rest);
            }
            if adjusted != 0 {
                text.push_str(&format!("E{adjusted:+}"));
            }
        }
        text
    }

    /// Ruby's `BigDecimal#to_s`: `0.9543e2`.
    pub fn ruby_text(&self) -> String {
        let sign = if self.negative { "-" } else { "" };
        let digits = self.digits.trim_end_matches('0');
        if digits.is_empty() {
            return format!("{sign}0.0");
        }
        format!("{sign}0.{digits}e{}", self.digits.len() as i64 - self.scale)
    }

    /// The whole part, cut toward zero, written out.
    pub fn whole_text(&self) -> String {
        let count = self.digits.len() as i64;
        let kept = count - self.scale;
        if kept <= 0 || self.digits == "0" {
            return "0".to_owned();
        }
        let mut text = String::new();
        if self.negative {
            text.push('-');
        }
        if kept <= count {
            text.push_str(&self.digits[..kept as usize]);
        } else {
            text.push_str(&self.digits);
            text.extend(std::iter::repeat_n('0', (kept - count) as usize));
        }
        text
    }

    /// Whether both are the same number, however many zeros they end in.
    pub fn same_number(&self, other: &Decimal) -> bool {
        let bare = |decimal: &Decimal| {
            let digits = decimal.digits.trim_end_matches('0').to_owned();
            let scale = decimal.scale - (decimal.digits.len() - digits.len()) as i64;
            let scale = if digits.is_empty() { 0 } else { scale };
            (decimal.negative, digits, scale)
        };
        bare(self) == bare(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, java: &str, ruby: &str, whole: &str) {
        let decimal = Decimal::parse(text).expect("a decimal");
        assert_eq!(
            (&*decimal.java_text(), &*decimal.ruby_text(), &*decimal.whole_text()),
            (java, ruby, whole),
            "{text}"
        );
    }

    #[test]
    fn texts() {
        check("95.43", "95.43", "0.9543e2", "95");
        check("12.50", "12.50", "0.125e2", "12");
        check("1e3", "1E+3", "0.1e4", "1000");
        check("1.5E3", "1.5E+3", "0.15e4", "1500");
        check("-7.9", "-7.9", "-0.79e1", "-7");
        check(".5", "0.5", "0.5e0", "0");
        check("5.", "5", "0.5e1", "5");
        check("-0", "0", "0.0", "0");
        check("0.00", "0.00", "0.0", "0");
        check("0.0000001", "1E-7", "0.1e-6", "0");
        check("0.000001", "0.000001", "0.1e-5", "0");
        check("007", "7", "0.7e1", "7");
        check(
            "439474042575071862892",
            "439474042575071862892",
            "0.439474042575071862892e21",
            "439474042575071862892",
        );
    }

    #[test]
    fn refused() {
        for text in
            ["", ".", "-", "+", "1e", "e3", " 1", "1 ", "1,0", "0x1", "1.2.3", "NaN", "1e99999", "--1"]
        {
            assert_eq!(Decimal::parse(text), None, "{text:?}");
        }
    }
}
