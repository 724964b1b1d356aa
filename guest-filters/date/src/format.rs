//! One entry of `match`: how a value becomes an instant by ISO8601, UNIX, UNIX_MS, TAI64N or a pattern. Which zone holds
//! and what happens with the instant is left to the filter.

use weir_filter::Value;

use crate::calendar::{DAY, date_from_days};
use crate::fields::with_year;
use crate::iso8601::LastDate;
use crate::pattern::Pattern;
use crate::zone::Zone;
use crate::{iso8601, numeric, pattern_reader};

/// A format.
#[derive(Debug)]
pub(crate) enum Format {
    Iso8601(LastDate),
    Unix,
    UnixMs,
    Tai64n,
    Pattern(Box<Pattern>),
}

/// What came of trying a format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    Instant(i64),
    /// The value does not have this format: the next one is tried.
    Next,
    /// Where Logstash would stop: no further format is tried.
    Stop,
}

impl From<Option<i64>> for Attempt {
    fn from(instant: Option<i64>) -> Self {
        instant.map_or(Attempt::Next, Attempt::Instant)
    }
}

/// The clock that texts without a year are compared with.
pub(crate) struct Clock<'a> {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub(crate) now: &'a dyn Fn() -> i64,
    /// The zone in which it tells month and year: the pipeline's.
    pub(crate) zone: &'a Zone,
}

impl Format {
    /// Whether it reads texts, in a zone.
    pub(crate) fn needs_zone(&self) -> bool {
        matches!(self, Format::Iso8601(_) | Format::Pattern(_))
    }

    /// Tries a value of any kind. `zone` holds where a text names none; without one, no text has a time.
    pub(crate) fn instant_of(&mut self, value: Value<'_>, zone: Option<&Zone>, clock: &Clock<'_>) -> Attempt {
        match (self, value) {
            (Format::Iso8601(last), Value::Text(text)) => {
                zone.and_then(|zone| iso8601_instant(text, last, zone)).into()
            }
            (Format::Pattern(pattern), Value::Text(text)) => {
                zone.and_then(|zone| pattern_instant(pattern, text, zone, clock)).into()
            }
            (Format::Unix, Value::Text(text)) => numeric::unix_text(text).into(),
            (Format::Unix, Value::Integer(seconds)) => numeric::unix_integer(seconds).into(),
            (Format::Unix, Value::Float(seconds)) => numeric::unix_float(seconds).into(),
            (Format::Unix, Value::Json(text)) if is_number(text) => numeric::unix_decimal(text).into(),
            (Format::UnixMs, Value::Text(text)) => numeric::unix_ms_text(text).into(),
            (Format::UnixMs, Value::Integer(millis)) => Attempt::Instant(millis),
            (Format::UnixMs, Value::Float(millis)) => Attempt::Instant(numeric::unix_ms_float(millis)),
            (Format::UnixMs, Value::Json(text)) if is_number(text) => numeric::unix_ms_decimal(text).into(),
            (Format::Tai64n, Value::Text(text)) => match numeric::tai64n(text) {
                None if numeric::is_short_tai64n(text) => Attempt::Stop,
                instant => instant.into(),
            },
            _ => Attempt::Next,
        }
    }
}

/// Whether a JSON value is a number and no list or map.
fn is_number(text: &str) -> bool {
    text.starts_with(|letter: char| letter == '-' || letter.is_ascii_digit())
}

/// The instant of a text in ISO 8601; `zone` holds where it names none.
#[inline]
pub(crate) fn iso8601_instant(text: &str, last: &mut LastDate, zone: &Zone) -> Option<i64> {
    let time = iso8601::read(text, last).or_else(|| iso8601::read_with_space(text))?;
    match time.offset {
        Some(offset) => time.millis.checked_sub(offset),
        None => zone.instant_of(time.millis),
    }
}

fn pattern_instant(pattern: &mut Pattern, text: &str, zone: &Zone, clock: &Clock<'_>) -> Option<i64> {
    let reading = pattern_reader::read(pattern, text)?;
    let in_own_zone = match (reading.offset, &reading.zone) {
        (Some(offset), _) => reading.local.checked_sub(offset),
        (None, Some(named)) => named.instant_of(reading.local),
        (None, None) => zone.instant_of(reading.local),
    };
    let instant = in_own_zone?;
    if !pattern.yearless {
        return Some(instant);
    }
    // An abbreviation (`z`) is no zone here: the local time is taken as the filter's own.
    let instant = if pattern.zoned { instant } else { zone.instant_of(reading.local)? };
    let local = instant + zone.offset_at(instant);
    let (_, month, _) = date_from_days(local.div_euclid(DAY));
    let now = (clock.now)();
    let (year, now_month, _) = date_from_days((now + clock.zone.offset_at(now)).div_euclid(DAY));
    let year = match (month, now_month) {
        (12, 1) => year - 1,
        (1, 12) => year + 1,
        _ => year,
    };
    let changed = with_year(local, year)?;
    Some(zone.instant_near(changed, instant))
}
