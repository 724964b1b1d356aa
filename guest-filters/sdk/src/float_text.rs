//! Doubles as Java and as Ruby write them. Both use the shortest digits that read back as the same double.

use std::fmt::Write;

/// Java's `Double.toString`: `1.5`, `1.0E-4`, `1.23456789E7`.
pub fn write_java(value: f64, text: &mut String) {
    match parts(value, "Infinity", text) {
        // 0.001 <= value < 10^7
        Some((digits, exponent @ -3..7)) => write_plain(&digits, exponent, text),
        Some((digits, exponent)) => {
            write_scientific(&digits, text);
            let _ = write!(text, "E{exponent}");
        }
        None => {}
    }
}

/// Ruby's `Float#to_s`: `1.5`, `1.0e-05`, `1.0e+20`.
pub fn write_ruby(value: f64, text: &mut String) {
    match parts(value, "Infinity", text) {
        // 0.0001 <= value < 10^16
        Some((digits, exponent @ -4..16)) => write_plain(&digits, exponent, text),
        Some((digits, exponent)) => {
            write_scientific(&digits, text);
            let sign = if exponent < 0 { '-' } else { '+' };
            let _ = write!(text, "e{sign}{:02}", exponent.unsigned_abs());
        }
        None => {}
    }
}

/// Writes the sign, and answers the digits and the power of ten of the first one; or writes what has none.
fn parts(value: f64, infinity: &str, text: &mut String) -> Option<(String, i32)> {
    if value.is_nan() {
        text.push_str("NaN");
        return None;
    }
    if value.is_sign_negative() {
        text.push('-');
    }
    if value.is_infinite() {
        text.push_str(infinity);
        return None;
    }
    let written = format!("{:e}", value.abs());
    let (mantissa, exponent) = written.split_once('e')?;
    Some((mantissa.replace('.', ""), exponent.parse().ok()?))
}

fn write_plain(digits: &str, exponent: i32, text: &mut String) {
    if exponent < 0 {
        text.push_str("0.");
        text.extend(std::iter::repeat_n('0', (-exponent - 1) as usize));
        text.push_str(digits);
        return;
    }
    let whole = exponent as usize + 1;
    if digits.len() <= whole {
        text.push_str(digits);
        text.extend(std::iter::repeat_n('0', whole - digits.len()));
        text.push_str(".0");
    } else {
        text.push_str(&digits[..whole]);
        text.push('.');
        text.push_str(&digits[whole..]);
    }
}

fn write_scientific(digits: &str, text: &mut String) {
    text.push_str(&digits[..1]);
    text.push('.');
    text.push_str(if digits.len() > 1 { &digits[1..] } else { "0" });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: f64, java: &str, ruby: &str) {
        let (mut in_java, mut in_ruby) = (String::new(), String::new());
        write_java(value, &mut in_java);
        write_ruby(value, &mut in_ruby);
        assert_eq!((in_java.as_str(), in_ruby.as_str()), (java, ruby), "{value:?}");
    }

    #[test]
    fn texts() {
        check(1.0, "1.0", "1.0");
        check(0.0, "0.0", "0.0");
        check(-0.0, "-0.0", "-0.0");
        check(1_234_567.5, "1234567.5", "1234567.5");
        check(12_345_678.9, "1.23456789E7", "12345678.9");
        check(1e7, "1.0E7", "10000000.0");
        check(0.001, "0.001", "0.001");
        check(0.0001, "1.0E-4", "0.0001");
        check(0.00001, "1.0E-5", "1.0e-05");
        check(1e20, "1.0E20", "1.0e+20");
        check(-1.5e-300, "-1.5E-300", "-1.5e-300");
        check(f64::NAN, "NaN", "NaN");
        check(f64::NEG_INFINITY, "-Infinity", "-Infinity");
    }
}
