//! Writes instants by a compiled format in a zone. What says the same all day is written once a day: as long as instants
//! stay within a stretch of one local day at one offset, only hours and smaller parts are written anew.

use std::ops::Range;

use chrono::{DateTime, Offset, TimeZone};
use chrono_tz::Tz;
use weir_filter::timestamp::SECOND;

use crate::calendar::Date;
use crate::directives::{Number, Padding, Part, Word};

const DAY: i64 = 86_400;

const WEEKDAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// A format in a zone, and what it last wrote.
#[derive(Debug)]
pub(crate) struct Writer {
    zone: Tz,
    pieces: Vec<Piece>,
    stretch: Stretch,
    /// What was written last, if it holds for all of the stretch: nothing in the format is smaller than a day.
    whole_day: bool,
    text: String,
}

/// Parts of one kind, side by side.
#[derive(Debug)]
enum Piece {
    /// The same all day: as it was written for the stretch.
    OfTheDay { parts: Vec<Part>, text: String },
    /// Written for every instant.
    OfTheTime(Vec<Part>),
}

/// Seconds since 1970 from `begin` to before `end`: one local day or a part of it, at one offset.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    begin: i64,
    end: i64,
    offset: i64,
}

impl Writer {
    /// A writer of these parts.
    pub(crate) fn new(parts: Vec<Part>, zone: Tz) -> Writer {
        let mut pieces: Vec<Piece> = Vec::new();
        for part in parts {
            match (part.is_of_the_day(), pieces.last_mut()) {
                (true, Some(Piece::OfTheDay { parts, .. })) | (false, Some(Piece::OfTheTime(parts))) => {
                    parts.push(part);
                }
                (true, _) => pieces.push(Piece::OfTheDay { parts: vec![part], text: String::new() }),
                (false, _) => pieces.push(Piece::OfTheTime(vec![part])),
            }
        }
        let whole_day = pieces.iter().all(|piece| matches!(piece, Piece::OfTheDay { .. }));
        let stretch = Stretch { begin: 0, end: 0, offset: 0 };
        Writer { zone, pieces, stretch, whole_day, text: String::new() }
    }

    /// The text of an instant: seconds since 1970-01-01T00:00:00Z, and nanoseconds on top of them.
    pub(crate) fn write(&mut self, seconds: i64, nanoseconds: i64) -> &str {
        if seconds < self.stretch.begin || seconds >= self.stretch.end {
            self.begin_stretch(seconds);
        } else if self.whole_day {
            return &self.text;
        }
        self.text.clear();
        for piece in &self.pieces {
            match piece {
                Piece::OfTheDay { text, .. } => self.text.push_str(text),
                Piece::OfTheTime(parts) => {
                    let second = (seconds + self.stretch.offset).rem_euclid(DAY);
                    for part in parts {
                        write_time(&mut self.text, part, second, seconds, nanoseconds);
                    }
                }
            }
        }
        &self.text
    }

    /// The instants, in nanoseconds since 1970-01-01T00:00:00Z, that are written like the last one.
    pub(crate) fn alike(&self) -> Range<i64> {
        if !self.whole_day {
            return 0..0;
        }
        // Instants beyond what nanoseconds reach are as far as they reach.
        self.stretch.begin.saturating_mul(SECOND)..self.stretch.end.saturating_mul(SECOND)
    }

    /// Finds the stretch around an instant and writes what holds for it.
    fn begin_stretch(&mut self, seconds: i64) {
        let offset_at = |seconds: i64| {
            let moment = DateTime::from_timestamp_secs(seconds).unwrap_or_default().naive_utc();
            self.zone.offset_from_utc_datetime(&moment)
        };
        let offset = offset_at(seconds);
        let ahead = i64::from(offset.fix().local_minus_utc());
        let local = seconds + ahead;
        // A whole local day, or where the clock changes in it, the largest part that has one offset.
        for length in [DAY, 3_600, 900, 60, 1] {
            let begin = local - local.rem_euclid(length) - ahead;
            let end = begin + length;
            self.stretch = Stretch { begin, end, offset: ahead };
            let same = |seconds: i64| i64::from(offset_at(seconds).fix().local_minus_utc()) == ahead;
            if same(begin) && same(end - 1) {
                break;
            }
        }
        let date = Date::of_days(local.div_euclid(DAY));
        for piece in &mut self.pieces {
            if let Piece::OfTheDay { parts, text } = piece {
                text.clear();
                for part in parts {
                    match part {
                        Part::Word { value: Word::Zone, upper } => {
                            push_word(text, &offset.to_string(), *upper)
                        }
                        part => write_date(text, part, date, ahead),
                    }
                }
            }
        }
    }
}

/// Writes a part that says the same all day.
fn write_date(text: &mut String, part: &Part, date: Date, ahead: i64) {
    match part {
        Part::Literal(literal) => text.push_str(literal),
        Part::Number { value, width, padding } => {
            push_number(text, day_number(*value, date), *width, *padding)
        }
        Part::Word { value, upper } => push_word(text, day_word(*value, date), *upper),
        Part::Offset { colon } => {
            text.push(if ahead < 0 { '-' } else { '+' });
            let minutes = ahead.abs() / 60;
            push_number(text, minutes / 60, 2, Padding::Zeros);
            if *colon {
                text.push(':');
            }
            push_number(text, minutes % 60, 2, Padding::Zeros);
        }
        Part::Fraction { .. } => {}
    }
}

fn day_number(number: Number, date: Date) -> i64 {
    match number {
        Number::Year => date.year,
        Number::Century => date.year.div_euclid(100),
        Number::YearOfCentury => date.year.rem_euclid(100),
        Number::Month => date.month,
        Number::Day => date.day,
        Number::DayOfYear => date.day_of_year(),
        Number::WeekYear => date.week().0,
        Number::WeekYearOfCentury => date.week().0.rem_euclid(100),
        Number::Week => date.week().1,
        Number::WeekFromSunday => (date.day_of_year() + 6 - date.weekday() % 7) / 7,
        Number::WeekFromMonday => (date.day_of_year() + 7 - date.weekday()) / 7,
        Number::Weekday => date.weekday(),
        Number::WeekdayFromSunday => date.weekday() % 7,
        // These are not of the day.
        Number::Hour | Number::HourOfHalfDay | Number::Minute | Number::Second | Number::SecondsSince1970 => {
            0
        }
    }
}

fn day_word(word: Word, date: Date) -> &'static str {
    let weekday =
        WEEKDAYS.iter().zip(1..).find(|(_, number)| *number == date.weekday()).map_or("", |(name, _)| name);
    let month = MONTHS.iter().zip(1..).find(|(_, number)| *number == date.month).map_or("", |(name, _)| name);
    match word {
        Word::ShortWeekday => weekday.get(..3).unwrap_or(weekday),
        Word::Weekday => weekday,
        Word::ShortMonth => month.get(..3).unwrap_or(month),
        Word::Month => month,
        Word::HalfDay | Word::LowerHalfDay | Word::Zone => "",
    }
}

/// Writes a part that changes within a day; `second` counts from the local midnight.
fn write_time(text: &mut String, part: &Part, second: i64, seconds: i64, nanoseconds: i64) {
    let hour = second / 3_600;
    match part {
        Part::Number { value, width, padding } => {
            let number = match value {
                Number::Hour => hour,
                Number::HourOfHalfDay => (hour + 11) % 12 + 1,
                Number::Minute => second / 60 % 60,
                Number::Second => second % 60,
                _ => seconds,
            };
            push_number(text, number, *width, *padding);
        }
        Part::Word { value, upper } => {
            let lower = *value == Word::LowerHalfDay && !upper;
            text.push_str(match (hour < 12, lower) {
                (true, false) => "AM",
                (false, false) => "PM",
                (true, true) => "am",
                (false, true) => "pm",
            });
        }
        Part::Fraction { digits } => {
            let mut weight = 100_000_000;
            for _ in 0..*digits {
                text.push(digit(nanoseconds / weight % 10));
                weight /= 10;
            }
        }
        Part::Literal(literal) => text.push_str(literal),
        Part::Offset { .. } => {}
    }
}

fn push_word(text: &mut String, word: &str, upper: bool) {
    for letter in word.chars() {
        text.push(if upper { letter.to_ascii_uppercase() } else { letter });
    }
}

fn push_number(text: &mut String, number: i64, width: usize, padding: Padding) {
    if width == 2 && padding == Padding::Zeros && (0..100).contains(&number) {
        text.push(digit(number / 10));
        text.push(digit(number % 10));
        return;
    }
    let digits = number.unsigned_abs().to_string();
    let sign = if number < 0 { "-" } else { "" };
    let missing = width.saturating_sub(digits.len());
    match padding {
        Padding::None => text.push_str(sign),
        Padding::Zeros => {
            text.push_str(sign);
            text.extend(std::iter::repeat_n('0', missing));
        }
        Padding::Blanks => {
            text.extend(std::iter::repeat_n(' ', missing));
            text.push_str(sign);
        }
    }
    text.push_str(&digits);
}

fn digit(number: i64) -> char {
    char::from(b'0' + (number % 10) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directives;

    fn check(format: &str, zone: &str, seconds: i64, expected: &str) {
        let mut writer = Writer::new(directives::compile(format).unwrap(), zone.parse().unwrap());
        assert_eq!(writer.write(seconds, 123_456_789), expected, "{format} in {zone}");
        // From what was kept, and with another day between.
        assert_eq!(writer.write(seconds, 123_456_789), expected, "{format} in {zone}, again");
        writer.write(seconds + 400 * DAY, 0);
        assert_eq!(writer.write(seconds, 123_456_789), expected, "{format} in {zone}, later");
    }

    #[test]
    fn every_directive() {
        // A Sunday: 2020-02-23T17:08:41.123456789Z.
        let check = |format, expected| check(format, "UTC", 1_582_477_721, expected);
        check("%Y-%m-%d", "2020-02-23");
        check("%F %T %D %R %r", "2020-02-23 17:08:41 02/23/20 17:08 05:08:41 PM");
        check("%C %y %G %g %V %U %W %j", "20 20 2020 20 08 08 07 054");
        check("%a %A %b %h %B %u %w", "Sun Sunday Feb Feb February 7 0");
        check("%H|%k|%I|%l|%M|%S", "17|17|05| 5|08|41");
        check("%L %N %3N %6N %9N %1N", "123 123456789 123 123456 123456789 1");
        check("%p %P %s", "PM pm 1582477721");
        check("%z %:z %Z", "+0000 +00:00 UTC");
        check("%e%%%n%t", "23%\n\t");
        check("%-m/%-d %_m %0e %-j %-H %^a %^B %^P", "2/23  2 23 54 17 SUN FEBRUARY PM");
    }

    #[test]
    fn zones_and_days() {
        check("%F %T %z %Z", "Asia/Tokyo", 1_582_477_721, "2020-02-24 02:08:41 +0900 JST");
        check("%F %T %:z %Z", "America/New_York", 1_582_477_721, "2020-02-23 12:08:41 -05:00 EST");
        check("%F %Z", "Asia/Tehran", 1_582_477_721, "2020-02-23 +0330");
        // The day on which New York's clock goes from 02:00 to 03:00, before and after.
        check("%F %T %z", "America/New_York", 1_583_650_799, "2020-03-08 01:59:59 -0500");
        check("%F %T %z", "America/New_York", 1_583_650_800, "2020-03-08 03:00:00 -0400");
        check("%F %T", "UTC", -1, "1969-12-31 23:59:59");
        check("%G-W%V-%u %U %W", "UTC", 1_609_459_200, "2020-W53-5 00 00");
    }

    #[test]
    fn agrees_with_chrono() {
        let format = "%Y-%m-%dT%H:%M:%S%z %a %j %G-%V %U %W %y %e %I%p";
        let seed = 0x2020_0223_u64;
        println!("seed {seed:#x}");
        let mut state = seed;
        let zones: [Tz; 5] =
            [Tz::UTC, Tz::Asia__Tokyo, Tz::America__New_York, Tz::Australia__Lord_Howe, Tz::Pacific__Apia];
        for zone in zones {
            let mut writer = Writer::new(directives::compile(format).unwrap(), zone);
            for _ in 0..20_000 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                // Years 1970 to 2037; every other one close to the one before.
                let seconds = if state & 1 == 0 {
                    writer.stretch.begin + (state >> 44) as i64
                } else {
                    (state >> 33) as i64
                };
                let expected = zone.timestamp_opt(seconds, 0).unwrap().format(format).to_string();
                assert_eq!(writer.write(seconds, 0), expected, "{seconds} in {zone}");
            }
        }
    }
}
