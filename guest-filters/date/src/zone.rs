//! Time zones as Joda knows them: ids of the tz database and fixed offsets, and the way from a local time to an instant
//! and back. The rules come from `chrono-tz`; what is remembered of them here makes the usual look-up a comparison.

use std::cell::Cell;

use chrono::{DateTime, NaiveDateTime, Offset, TimeZone};
use chrono_tz::{TZ_VARIANTS, Tz};

use weir_filter::options::did_you_mean;

use crate::calendar::{self, DAY};
use crate::reader;

/// A time zone.
#[derive(Clone, Debug)]
pub(crate) enum Zone {
    /// Always this many milliseconds ahead of UTC.
    Fixed(i64),
    /// A zone of the tz database.
    Named(NamedZone),
}

/// A zone of the tz database, and the stretch of time last asked for.
#[derive(Clone, Debug)]
pub(crate) struct NamedZone {
    zone: Tz,
    /// The first time whose rules hold; all earlier ones have them too.
    first: i64,
    stretch: Cell<Stretch>,
    /// The day (since 1970) last found to have a change of the clock near it.
    changing_day: Cell<i64>,
}

/// Instants from `begin` to before `end` are all `offset` ahead of UTC (milliseconds).
#[derive(Clone, Copy, Debug)]
struct Stretch {
    begin: i64,
    end: i64,
    offset: i64,
}

/// Longer than any change of a clock: a local time this far from both ends of a stretch belongs to no other.
const MARGIN: i64 = 26 * 3_600_000;

/// Zones whose rules were never more than an offset, in Joda's tables; later releases of the tz database made them
/// links to zones with a history.
const PLAIN: [(&str, i64); 3] = [("EST", -5), ("MST", -7), ("HST", -10)];

/// Zones that are only rules in Joda's tables and became links to cities for the same reason, with the year from which
/// the city has those rules. All earlier times are standard time here.
const RULES: [(Tz, i64); 8] = [
    (Tz::CET, 1977),
    (Tz::MET, 1977),
    (Tz::EET, 1977),
    (Tz::WET, 1977),
    (Tz::EST5EDT, 1967),
    (Tz::CST6CDT, 1967),
    (Tz::MST7MDT, 1967),
    (Tz::PST8PDT, 1967),
];

/// The abbreviations that a pattern's `z` reads, and their zones (Joda's `getDefaultTimeZoneNames`). Those that are the
/// beginning of another come after it.
const ABBREVIATIONS: [(&str, Tz); 11] = [
    ("UTC", Tz::UTC),
    ("UT", Tz::UTC),
    ("GMT", Tz::UTC),
    ("EST", Tz::America__New_York),
    ("EDT", Tz::America__New_York),
    ("CST", Tz::America__Chicago),
    ("CDT", Tz::America__Chicago),
    ("MST", Tz::America__Denver),
    ("MDT", Tz::America__Denver),
    ("PST", Tz::America__Los_Angeles),
    ("PDT", Tz::America__Los_Angeles),
];

/// `Antarctica/`.
const LONGEST_CONTINENT: usize = 11;

impl Zone {
    /// A zone by its id (`Europe/Paris`, `CET`, letter case counts) or offset (`+02:00`, `+0200`, `+02`).
    pub(crate) fn parse(id: &str) -> Option<Zone> {
        if id.starts_with(['+', '-']) {
            let (offset, end) = reader::offset(id.as_bytes(), 0, false)?;
            return (end == id.len()).then_some(Zone::Fixed(offset));
        }
        if let Some((_, hours)) = PLAIN.iter().find(|(name, _)| *name == id) {
            return Some(Zone::Fixed(hours * 3_600_000));
        }
        id.parse::<Tz>().ok().map(Zone::named)
    }

    /// The zone of an abbreviation at this place in a text, and where it ends.
    pub(crate) fn abbreviation(text: &str, at: usize) -> Option<(Zone, usize)> {
        let rest = text.as_bytes().get(at..)?;
        let (name, zone) = ABBREVIATIONS.iter().find(|(name, _)| rest.starts_with(name.as_bytes()))?;
        Some((Zone::named(*zone), at + name.len()))
    }

    /// The zone of the longest id at this place in a text, and where it ends.
    pub(crate) fn id_in_text(text: &str, at: usize) -> Option<(Zone, usize)> {
        let rest = text.get(at..)?;
        let of_id =
            |letter: u8| letter.is_ascii_alphanumeric() || matches!(letter, b'/' | b'_' | b'-' | b'+');
        let longest = rest.bytes().position(|letter| !of_id(letter)).unwrap_or(rest.len()).min(40);
        // An offset is no id here.
        if rest.starts_with(['+', '-']) {
            return None;
        }
        // Joda takes what ends with a slash, if one comes soon, for the continent, and does not look at ids without one.
        let slash = rest.char_indices().take(LONGEST_CONTINENT).find(|(_, letter)| *letter == '/');
        (1..=longest).rev().find_map(|length| {
            let id = rest.get(..length)?;
            if id.find('/') != slash.map(|(index, _)| index) {
                return None;
            }
            Some((Zone::parse(id)?, at + length))
        })
    }

    fn named(zone: Tz) -> Zone {
        // Before any time, and empty.
        let stretch = Cell::new(Stretch { begin: i64::MIN, end: i64::MIN, offset: 0 });
        let year = RULES.iter().find(|(named, _)| *named == zone).map_or(1780, |(_, year)| *year);
        let first = calendar::days_from_date(year, 1, 1) * DAY;
        if zone == Tz::UTC {
            Zone::Fixed(0)
        } else {
            Zone::Named(NamedZone { zone, first, stretch, changing_day: Cell::new(i64::MIN) })
        }
    }

    /// Milliseconds ahead of UTC at an instant.
    pub(crate) fn offset_at(&self, instant: i64) -> i64 {
        match self {
            Zone::Fixed(offset) => *offset,
            Zone::Named(named) => {
                let stretch = named.stretch.get();
                if stretch.begin <= instant && instant < stretch.end {
                    return stretch.offset;
                }
                named.look_up(instant).map_or_else(|| named.offset_at(instant), |stretch| stretch.offset)
            }
        }
    }

    /// The instant of a local time: the earlier one where the clock shows it twice, `None` where it skips it.
    pub(crate) fn instant_of(&self, local: i64) -> Option<i64> {
        match self {
            Zone::Fixed(offset) => local.checked_sub(*offset),
            Zone::Named(named) => {
                let stretch = named.stretch.get();
                let instant = local.checked_sub(stretch.offset)?;
                if stretch.begin.saturating_add(MARGIN) <= instant
                    && instant < stretch.end.saturating_sub(MARGIN)
                {
                    return Some(instant);
                }
                named.instant_of(local)
            }
        }
    }

    /// The instant that a changed local time comes to, as Joda's fields that are set on an instant do it: at the offset
    /// that the clock had before where that still holds, and moved on where the clock skips the time.
    pub(crate) fn instant_near(&self, local: i64, before: i64) -> i64 {
        let kept = local - self.offset_at(before);
        if self.offset_at(kept) == self.offset_at(before) {
            return kept;
        }
        let first = self.offset_at(local);
        let second = self.offset_at(local - first);
        if first != second && first < 0 && self.instant_of(local).is_none() {
            return local - first;
        }
        local - second
    }
}

impl NamedZone {
    /// Remembers the days around an instant, if its offset does not change in them.
    fn look_up(&self, instant: i64) -> Option<Stretch> {
        let day = instant.div_euclid(DAY);
        if self.changing_day.get() == day {
            return None;
        }
        let offset = self.offset_at(instant);
        for other in -2..=3 {
            if self.offset_at((day + other) * DAY) != offset {
                self.changing_day.set(day);
                return None;
            }
        }
        let stretch = Stretch { begin: (day - 2) * DAY, end: (day + 3) * DAY, offset };
        self.stretch.set(stretch);
        Some(stretch)
    }

    fn offset_at(&self, instant: i64) -> i64 {
        let moment = utc_moment(self.known_time(instant));
        i64::from(self.zone.offset_from_utc_datetime(&moment).fix().local_minus_utc()) * 1_000
    }

    fn instant_of(&self, local: i64) -> Option<i64> {
        // A first guess; a whole day in which nothing changes answers the next ones.
        let guess = local.checked_sub(self.offset_at(local))?;
        if let Some(stretch) = self.look_up(guess) {
            return local.checked_sub(stretch.offset);
        }
        let moment = utc_moment(self.known_time(local));
        let offset =
            self.zone.offset_from_local_datetime(&moment).map(|offset| offset.fix().local_minus_utc());
        let offset = match offset {
            chrono::MappedLocalTime::Single(offset) => offset,
            chrono::MappedLocalTime::Ambiguous(one, other) => one.max(other),
            chrono::MappedLocalTime::None => return None,
        };
        local.checked_sub(i64::from(offset) * 1_000)
    }

    /// A time with the same rules that the tables cover: they begin with a zone's first clock and end with the year
    /// 2099.
    fn known_time(&self, millis: i64) -> i64 {
        const YEAR_2100: i64 = 4_102_444_800_000;
        if millis < YEAR_2100 {
            return millis.max(self.first);
        }
        // Years that begin on the same weekday and are as long have the same rules; 2072 to 2099 has one of each kind.
        let year = calendar::year_of(millis);
        let start = calendar::days_from_date(year, 1, 1);
        let alike = |other: &i64| {
            calendar::is_leap(*other) == calendar::is_leap(year)
                && (calendar::days_from_date(*other, 1, 1) - start) % 7 == 0
        };
        let other = (2072..=2099).find(alike).unwrap_or(2099);
        millis - (start - calendar::days_from_date(other, 1, 1)) * DAY
    }
}

fn utc_moment(millis: i64) -> NaiveDateTime {
    DateTime::from_timestamp_millis(millis).unwrap_or_default().naive_utc()
}

/// The known id that is most like this text, if one is like it at all.
pub(crate) fn most_alike(id: &str) -> Option<&'static str> {
    let wanted = id.replace(' ', "_");
    let city = |name: &str| name.rsplit('/').next().unwrap_or(name).to_ascii_lowercase();
    let names = || TZ_VARIANTS.iter().map(|zone| zone.name());
    if let Some(name) = names().find(|name| name.eq_ignore_ascii_case(&wanted)) {
        return Some(name);
    }
    if let Some(name) = names().find(|name| city(name) == city(&wanted)) {
        return Some(name);
    }
    did_you_mean(&wanted, names())
}
