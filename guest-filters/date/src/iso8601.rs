//! The ISO8601 format: Joda's `dateTimeParser`, which knows dates, ordinal dates and weeks, each with or without a time,
//! and four forms with a space. The usual form is read at fixed places first; zones are left to the caller.

use crate::calendar::{DAY, YEARS, days_from_date, days_in_month, is_leap, week_year_start, weeks_in_year};
use crate::reader::{fraction, number, offset, two_digits};

/// What a text says: a local time in milliseconds, and its offset from UTC if it names one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LocalTime {
    /// Milliseconds since 1970-01-01T00:00, as if the zone were UTC.
    pub(crate) millis: i64,
    /// Milliseconds ahead of UTC.
    pub(crate) offset: Option<i64>,
}

/// The date that was read last: the texts of a log name the same one thousands of times.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LastDate {
    /// As it is written: `2020-02-23`.
    written: [u8; 10],
    /// Days since 1970-01-01.
    days: i64,
}

/// Any date will do at first.
impl Default for LastDate {
    fn default() -> Self {
        LastDate { written: *b"1970-01-01", days: 0 }
    }
}

/// Reads a text in ISO 8601's extended form.
pub(crate) fn read(text: &str, last: &mut LastDate) -> Option<LocalTime> {
    let text = text.as_bytes();
    read_usual(text, last).or_else(|| read_any(text))
}

/// `2020-02-23T17:08:41`, with a fraction and a `Z` or not. `None` says nothing: the text may have another form.
fn read_usual(text: &[u8], last: &mut LastDate) -> Option<LocalTime> {
    let (date, rest) = text.split_first_chunk::<10>()?;
    let (time_of_day, rest) = rest.split_first_chunk::<9>()?;
    if *date != last.written {
        let days = usual_date(date)?;
        *last = LastDate { written: *date, days };
    }
    if [time_of_day[0], time_of_day[3], time_of_day[6]] != *b"T::" {
        return None;
    }
    let hour = two_digits(time_of_day, 1)?;
    let minute = two_digits(time_of_day, 4)?;
    let second = two_digits(time_of_day, 7)?;
    let mut millis = last.days * DAY + time(hour, minute, second)?;
    let rest = match rest {
        b"Z" => return Some(LocalTime { millis, offset: Some(0) }),
        [b'.' | b',', b'0'..=b'9', ..] => {
            let (thousandths, at) = fraction(rest, 1, 9, 1_000)?;
            millis += thousandths;
            rest.get(at..)?
        }
        _ => rest,
    };
    match rest {
        b"Z" | b"z" => Some(LocalTime { millis, offset: Some(0) }),
        b"" => Some(LocalTime { millis, offset: None }),
        _ => None,
    }
}

/// Days since 1970-01-01 of `2020-02-23`.
#[cold]
fn usual_date(date: &[u8; 10]) -> Option<i64> {
    if (date[4], date[7]) != (b'-', b'-') {
        return None;
    }
    let year = two_digits(date, 0)? * 100 + two_digits(date, 2)?;
    days_of_date(year, two_digits(date, 5)?, two_digits(date, 8)?)
}

fn read_any(text: &[u8]) -> Option<LocalTime> {
    let is_t = |at: usize| matches!(text.get(at), Some(b'T' | b't'));
    let (mut millis, mut at);
    if is_t(0) {
        (millis, at) = read_time(text, 1)?;
    } else {
        let (days, end) = read_date(text)?;
        millis = days * DAY;
        at = end;
        if !is_t(at) {
            return (at == text.len()).then_some(LocalTime { millis, offset: None });
        }
        at += 1;
        if let Some((time, end)) = read_time(text, at) {
            millis += time;
            at = end;
        } else if number(text, at, 2, false).is_some() {
            // An hour that does not exist.
            return None;
        }
    }
    let mut ahead = None;
    if let Some((offset, end)) = offset(text, at, true) {
        ahead = Some(offset);
        at = end;
    }
    (at == text.len()).then_some(LocalTime { millis, offset: ahead })
}

/// Days since 1970-01-01 of the date at the beginning. Of its three forms, the one that reads most counts, and of
/// equals the first.
fn read_date(text: &[u8]) -> Option<(i64, usize)> {
    let (year, year_end) = number(text, 0, 9, true)?;
    if !YEARS.contains(&year) {
        return None;
    }
    let part = |at: usize, max: usize| match text.get(at) {
        Some(b'-') => number(text, at + 1, max, false),
        _ => None,
    };
    let month = part(year_end, 2);
    let day = month.and_then(|(_, end)| part(end, 2));
    let date_end = day.or(month).map_or(year_end, |(_, end)| end);
    if let Some(b"-W" | b"-w") = text.get(year_end..year_end + 2) {
        let (week, week_end) = number(text, year_end + 2, 2, false)?;
        let (weekday, end) = part(week_end, 1).unwrap_or((1, week_end));
        if !(1..=weeks_in_year(year)).contains(&week) || !(1..=7).contains(&weekday) {
            return None;
        }
        return Some((week_year_start(year) + (week - 1) * 7 + weekday - 1, end));
    }
    if let Some((day, end)) = part(year_end, 3)
        && end > date_end
    {
        let last = 365 + i64::from(is_leap(year));
        return (1..=last).contains(&day).then(|| (days_from_date(year, 1, 1) + day - 1, end));
    }
    let value = |read: Option<(i64, usize)>| read.map_or(1, |(value, _)| value);
    Some((days_of_date(year, value(month), value(day))?, date_end))
}

/// Milliseconds of the day: an hour, a minute and a second, each with a fraction if it is the last.
fn read_time(text: &[u8], at: usize) -> Option<(i64, usize)> {
    let mut read = [0_i64; 3];
    let mut end = at;
    let mut part = 0_i64;
    for (index, unit) in [3_600_000, 60_000, 1_000].into_iter().enumerate() {
        let start = if index == 0 {
            at
        } else if let Some(b':') = text.get(end) {
            end + 1
        } else {
            break;
        };
        let Some((value, after)) = number(text, start, 2, false) else { break };
        read[index] = value;
        end = after;
        if let Some(b'.' | b',') = text.get(end)
            && let Some((value, after)) = fraction(text, end + 1, 9, unit)
        {
            part = value;
            end = after;
            break;
        }
    }
    if end == at {
        return None;
    }
    let [hour, minute, second] = read;
    Some((time(hour, minute, second)? + part, end))
}

fn days_of_date(year: i64, month: i64, day: i64) -> Option<i64> {
    let exists = (1..=12).contains(&month) && day >= 1 && (day <= 28 || day <= days_in_month(year, month));
    exists.then(|| days_from_date(year, month, day))
}

fn time(hour: i64, minute: i64, second: i64) -> Option<i64> {
    let exists = hour <= 23 && minute <= 59 && second <= 59;
    exists.then_some(hour * 3_600_000 + minute * 60_000 + second * 1_000)
}

/// Reads `yyyy-MM-dd HH:mm:ss` with a dot or comma, a fraction of one to three digits, and an offset directly after it
/// or none: the forms with a space that Logstash tries when [`read`] finds nothing.
pub(crate) fn read_with_space(text: &str) -> Option<LocalTime> {
    let text = text.as_bytes();
    let (year, mut at) = number(text, 0, 9, true)?;
    if !YEARS.contains(&year) {
        return None;
    }
    let mut parts = [0_i64; 5];
    for (part, separator) in parts.iter_mut().zip(b"-- ::") {
        if text.get(at) != Some(separator) {
            return None;
        }
        (*part, at) = number(text, at + 1, 2, false)?;
    }
    let [month, day, hour, minute, second] = parts;
    let millis = days_of_date(year, month, day)? * DAY + time(hour, minute, second)?;
    if !matches!(text.get(at), Some(b'.' | b',')) {
        return None;
    }
    let (thousandths, end) = fraction(text, at + 1, 3, 1_000)?;
    let millis = millis + thousandths;
    if end == text.len() {
        return Some(LocalTime { millis, offset: None });
    }
    let (ahead, end) = offset(text, end, true)?;
    (end == text.len()).then_some(LocalTime { millis, offset: Some(ahead) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{DateTime, NaiveDateTime, SecondsFormat};

    fn next(state: &mut u64) -> u64 {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        *state >> 24
    }

    #[test]
    fn agrees_with_chrono() {
        let seed = 0x00c0_ffee_u64;
        println!("seed {seed:#x}");
        let mut state = seed;
        let mut last = LastDate::default();
        for _ in 0..50_000 {
            // The years 1 to 9999, to the millisecond.
            let millis = (next(&mut state) % 315_537_897_600_000) as i64 - 62_135_596_800_000;
            let moment = DateTime::from_timestamp_millis(millis).unwrap();
            for text in [
                moment.to_rfc3339_opts(SecondsFormat::Millis, true),
                moment.to_rfc3339_opts(SecondsFormat::Nanos, true).replace('T', "t"),
            ] {
                assert_eq!(read(&text, &mut last), Some(LocalTime { millis, offset: Some(0) }), "{text}");
            }
            let local = moment.format("%Y-%m-%dT%H:%M:%S").to_string();
            let whole = millis - millis.rem_euclid(1_000);
            assert_eq!(read(&local, &mut last), Some(LocalTime { millis: whole, offset: None }), "{local}");
        }
    }

    #[test]
    fn the_short_way_is_the_long_way() {
        let seed = 0x0dec_0de5_u64;
        println!("seed {seed:#x}");
        let mut state = seed;
        let letters = b"0123456789-:TtZz.,+ W";
        let mut last = LastDate::default();
        for _ in 0..100_000 {
            let mut text = *b"2020-02-23T17:08:41.123Z";
            for _ in 0..1 + next(&mut state) % 3 {
                let place = next(&mut state) as usize % text.len();
                text[place] = letters[next(&mut state) as usize % letters.len()];
            }
            let text = &text[..text.len() - next(&mut state) as usize % 6];
            let (short, long) = (read_usual(text, &mut last), read_any(text));
            let name = String::from_utf8_lossy(text);
            assert!(short.is_none() || short == long, "{name}: {short:?} {long:?}");
            // Where chrono takes a text too, but for its blanks, signs and leap seconds, both mean the same.
            if let Ok(expected) = NaiveDateTime::parse_from_str(&name, "%Y-%m-%dT%H:%M:%S")
                && !(name.contains(' ') || name.contains('+') || name.ends_with(":60"))
            {
                assert_eq!(
                    long.map(|long| long.millis),
                    Some(expected.and_utc().timestamp_millis()),
                    "{name}"
                );
            }
        }
    }
}
