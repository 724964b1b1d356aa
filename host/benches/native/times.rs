//! Times by hand: the form that Route 53 writes, the day in a zone, and Elasticsearch's form. What is the same for all
//! times of a day or of a quarter of an hour is kept.

use chrono::{DateTime, Datelike, NaiveDate};
use chrono_tz::Tz;

/// Reads and writes times of one zone.
pub(crate) struct Times {
    zone: Tz,
    /// The date that was read last, and its first second.
    date: [u8; 10],
    date_second: i64,
    /// The quarter of an hour of `day`. No zone of our time changes its offset within one.
    quarter: i64,
    day: [u8; 10],
}

impl Times {
    pub(crate) fn new(zone: Tz) -> Self {
        Times { zone, date: *b"0000-00-00", date_second: 0, quarter: i64::MIN, day: *b"0000-00-00" }
    }

    /// Seconds since 1970 of `2020-02-23T17:08:41Z`.
    pub(crate) fn read(&mut self, text: &[u8]) -> Option<i64> {
        let text: &[u8; 20] = text.try_into().ok()?;
        if [text[10], text[13], text[16], text[19]] != *b"T::Z" {
            return None;
        }
        let (hour, minute, second) = (two(text, 11)?, two(text, 14)?, two(text, 17)?);
        if hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        let date = text.first_chunk::<10>()?;
        if *date != self.date {
            if date[4] != b'-' || date[7] != b'-' {
                return None;
            }
            let year = two(text, 0)? * 100 + two(text, 2)?;
            let day = NaiveDate::from_ymd_opt(year as i32, two(text, 5)? as u32, two(text, 8)? as u32)?;
            self.date = *date;
            self.date_second = day.and_hms_opt(0, 0, 0)?.and_utc().timestamp();
        }
        Some(self.date_second + hour * 3600 + minute * 60 + second)
    }

    /// The day in the zone at a time that was read: `2020-02-24`.
    pub(crate) fn day(&mut self, seconds: i64) -> &[u8; 10] {
        let quarter = seconds.div_euclid(900);
        if quarter != self.quarter {
            self.quarter = quarter;
            if let Some(time) = DateTime::from_timestamp(seconds, 0) {
                let local = time.with_timezone(&self.zone);
                let text = format!("{:04}-{:02}-{:02}", local.year(), local.month(), local.day());
                self.day.copy_from_slice(text.as_bytes().first_chunk::<10>().unwrap_or(b"0000-00-00"));
            }
        }
        &self.day
    }

    /// Writes the time that was read last: `2020-02-23T17:08:41.000Z`.
    pub(crate) fn write(&self, seconds: i64, out: &mut Vec<u8>) {
        let of_day = (seconds - self.date_second) as u32;
        let digits = |number: u32| [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8];
        let ([h1, h2], [m1, m2], [s1, s2]) =
            (digits(of_day / 3600), digits(of_day / 60 % 60), digits(of_day % 60));
        out.extend_from_slice(&self.date);
        out.extend_from_slice(&[b'T', h1, h2, b':', m1, m2, b':', s1, s2, b'.', b'0', b'0', b'0', b'Z']);
    }
}

/// The two digits from a place on.
fn two(text: &[u8; 20], place: usize) -> Option<i64> {
    let (tens, ones) = (text[place].wrapping_sub(b'0'), text[place + 1].wrapping_sub(b'0'));
    (tens < 10 && ones < 10).then(|| i64::from(tens) * 10 + i64::from(ones))
}
