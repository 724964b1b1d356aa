//! Timestamps as text, in Logstash's form, and the calendar behind it (proleptic Gregorian, UTC). Zones and other
//! formats are left to the filters that know them.

/// Nanoseconds of a second.
pub const SECOND: i64 = 1_000_000_000;
/// Seconds of a day.
const DAY: i64 = 86_400;

/// A point in time by its parts, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Civil {
    /// The year; 0 is 1 BC.
    pub year: i64,
    /// 1 to 12.
    pub month: u32,
    /// 1 to 31.
    pub day: u32,
    /// 0 to 23.
    pub hour: u32,
    /// 0 to 59.
    pub minute: u32,
    /// 0 to 59.
    pub second: u32,
    /// 0 to 999,999,999.
    pub nanosecond: u32,
}

impl Civil {
    /// The parts of a point in time, given in nanoseconds since 1970-01-01T00:00:00Z.
    pub fn from_nanoseconds(nanoseconds: i64) -> Self {
        let seconds = nanoseconds.div_euclid(SECOND);
        let (year, month, day) = date_of_day(seconds.div_euclid(DAY));
        let second_of_day = seconds.rem_euclid(DAY) as u32;
        Civil {
            year,
            month,
            day,
            hour: second_of_day / 3600,
            minute: second_of_day / 60 % 60,
            second: second_of_day % 60,
            nanosecond: nanoseconds.rem_euclid(SECOND) as u32,
        }
    }

    /// Nanoseconds since 1970-01-01T00:00:00Z; `None` where 64 bits cannot hold them (before 1677, after 2262).
    pub fn to_nanoseconds(self) -> Option<i64> {
        let day = day_of_date(self.year, self.month, self.day);
        let second_of_day =
            i64::from(self.hour) * 3600 + i64::from(self.minute) * 60 + i64::from(self.second);
        let seconds = day.checked_mul(DAY)?.checked_add(second_of_day)?;
        // The sum may fit where the product does not.
        i64::try_from(i128::from(seconds) * i128::from(SECOND) + i128::from(self.nanosecond)).ok()
    }
}

/// Days since 1970-01-01 of a date. (Howard Hinnant, "chrono-compatible low-level date algorithms".)
pub fn day_of_date(year: i64, month: u32, day: u32) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month = i64::from(month);
    let day_of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + i64::from(day) - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// Year, month and day of a number of days since 1970-01-01.
pub fn date_of_day(day: i64) -> (i64, u32, u32) {
    let day = day + 719_468;
    let era = day.div_euclid(146_097);
    let day_of_era = day.rem_euclid(146_097) as u32;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (i64::from(year_of_era) + era * 400 + i64::from(month <= 2), month, day)
}

/// How many days a month has; 0 if there is no such month.
pub fn days_of_month(year: i64, month: u32) -> u32 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    }
}

/// The text form: `2014-09-23T08:00:00.123Z`, with 3, 6 or 9 digits of a fraction, the fewest that are exact.
pub fn to_text(nanoseconds: i64) -> String {
    let mut text = String::with_capacity(30);
    write_text(nanoseconds, &mut text);
    text
}

/// Writes the text form at the end of `text`.
pub fn write_text(nanoseconds: i64, text: &mut String) {
    let civil = Civil::from_nanoseconds(nanoseconds);
    let mut buffer = *b"0000-00-00T00:00:00.000000000Z";
    // 64 bits of nanoseconds reach from 1677 to 2262: a year has four digits.
    put_digits(&mut buffer[0..4], civil.year as u32);
    put_digits(&mut buffer[5..7], civil.month);
    put_digits(&mut buffer[8..10], civil.day);
    put_digits(&mut buffer[11..13], civil.hour);
    put_digits(&mut buffer[14..16], civil.minute);
    put_digits(&mut buffer[17..19], civil.second);
    let digits = match civil.nanosecond {
        0 => 3,
        fraction if fraction % 1_000_000 == 0 => 3,
        fraction if fraction % 1000 == 0 => 6,
        _ => 9,
    };
    if civil.nanosecond != 0 {
        put_digits(&mut buffer[20..29], civil.nanosecond);
    }
    buffer[20 + digits] = b'Z';
    text.extend(buffer[..=20 + digits].iter().map(|byte| char::from(*byte)));
}

/// Fills `place` with the last digits of `number`.
fn put_digits(place: &mut [u8], mut number: u32) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// Reads the text form as Logstash does: a date, or a date and a time (`T`; seconds and a fraction of up to nine digits
/// may be missing), with `Z` or an offset (`-0800`, `-08:00`, `-08`); UTC where there is none.
pub fn parse(text: &str) -> Option<i64> {
    let mut reader = Reader { rest: text.as_bytes() };
    let negative = match reader.rest.first()? {
        b'-' => {
            reader.rest = &reader.rest[1..];
            true
        }
        b'+' => {
            reader.rest = &reader.rest[1..];
            false
        }
        _ => false,
    };
    let year = i64::from(reader.digits(4)?);
    let mut civil = Civil {
        year: if negative { -year } else { year },
        month: reader.after(b"-")?.digits(2)?,
        day: reader.after(b"-")?.digits(2)?,
        hour: 0,
        minute: 0,
        second: 0,
        nanosecond: 0,
    };
    let mut offset = 0;
    if !reader.rest.is_empty() {
        civil.hour = reader.after(b"Tt")?.digits(2)?;
        civil.minute = reader.after(b":")?.digits(2)?;
        if reader.after(b":").is_some() {
            civil.second = reader.digits(2)?;
            if reader.after(b".,").is_some() {
                civil.nanosecond = reader.fraction()?;
            }
        }
        offset = reader.offset()?;
    }
    let Civil { year, month, day, hour, minute, second, .. } = civil;
    if day == 0 || day > days_of_month(year, month) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    civil.to_nanoseconds()?.checked_sub(offset * SECOND)
}

struct Reader<'t> {
    rest: &'t [u8],
}

impl Reader<'_> {
    /// Steps over one of these letters.
    fn after(&mut self, letters: &[u8]) -> Option<&mut Self> {
        let first = self.rest.first().filter(|letter| letters.contains(letter))?;
        let _ = first;
        self.rest = &self.rest[1..];
        Some(self)
    }

    fn digits(&mut self, count: usize) -> Option<u32> {
        let mut number = 0;
        for digit in self.rest.get(..count)? {
            number = number * 10 + char::from(*digit).to_digit(10)?;
        }
        self.rest = &self.rest[count..];
        Some(number)
    }

    /// One to nine digits, as nanoseconds.
    fn fraction(&mut self) -> Option<u32> {
        let count = self.rest.iter().take_while(|letter| letter.is_ascii_digit()).count();
        if count == 0 || count > 9 {
            return None;
        }
        Some(self.digits(count)? * 10_u32.pow(9 - count as u32))
    }

    /// Seconds east of UTC; nothing may follow.
    fn offset(&mut self) -> Option<i64> {
        if self.rest.is_empty() || self.after(b"Zz").is_some() {
            return self.rest.is_empty().then_some(0);
        }
        let sign = if self.rest.first() == Some(&b'-') { -1 } else { 1 };
        let mut seconds = i64::from(self.after(b"+-")?.digits(2)?) * 3600;
        for unit in [60, 1] {
            if self.rest.is_empty() {
                break;
            }
            let _ = self.after(b":");
            let part = self.digits(2)?;
            if part > 59 {
                return None;
            }
            seconds += i64::from(part) * unit;
        }
        (self.rest.is_empty() && seconds <= 18 * 3600).then_some(sign * seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<&str>) {
        let parsed = parse(text).map(to_text);
        assert_eq!(parsed.as_deref(), expected, "{text:?}");
    }

    #[test]
    fn text_form() {
        check("2015-10-01", Some("2015-10-01T00:00:00.000Z"));
        check("2015-10-01T00:00:00.5Z", Some("2015-10-01T00:00:00.500Z"));
        check("2015-10-01T00:00Z", Some("2015-10-01T00:00:00.000Z"));
        check("2015-10-01T00:00:00,123456", Some("2015-10-01T00:00:00.123456Z"));
        check("2014-09-23T12:34:56.789012345-0800", Some("2014-09-23T20:34:56.789012345Z"));
        check("2014-09-23t12:34:56+05:30", Some("2014-09-23T07:04:56.000Z"));
        check("1969-12-31T23:59:59.999z", Some("1969-12-31T23:59:59.999Z"));
        check("2000-02-29T00:00:00-08", Some("2000-02-29T08:00:00.000Z"));
        check("1677-09-21T00:12:43.145224193Z", Some("1677-09-21T00:12:43.145224193Z"));
    }

    #[test]
    fn refused() {
        for text in [
            "",
            "x",
            "2015",
            "2015-13-01",
            "2015-02-29",
            "2015-10-01T",
            "2015-10-01T24:00",
            "2015-10-01T00:00:00.",
            "2015-10-01T00:00:00.1234567890Z",
            "2015-10-01 00:00:00",
            "2015-10-01T00:00:00Zx",
            "9999-01-01",
            "2015-10-01Z",
            "2015-10-01T00:00:00+19",
            "é015-10-01",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn every_day_of_600_years() {
        let mut day = day_of_date(1677, 9, 22);
        let (mut year, mut month, mut date) = (1677, 9, 22);
        while year < 2262 {
            assert_eq!(date_of_day(day), (year, month, date));
            assert_eq!(day_of_date(year, month, date), day);
            date += 1;
            if date > days_of_month(year, month) {
                (month, date) = (month + 1, 1);
            }
            if month > 12 {
                (year, month) = (year + 1, 1);
            }
            day += 1;
        }
    }
}
