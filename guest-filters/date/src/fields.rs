//! Joda's fields of a local time, and how a set of them becomes one. Fields are applied from the largest to the
//! smallest, twice, so that those which contradict each other end as they do in Logstash: a weekday that does not fit
//! its date moves the date within its week. Reading the numbers out of a text is left to `pattern` and `iso8601`.

use crate::calendar::{
    self, DAY, YEARS, date_from_days, days_from_date, days_in_month, week_of_days, week_year_start, weekday,
};

/// A field of a local time, in the order in which Joda applies them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    /// 0 before, 1 from the year 1 on.
    Era,
    /// The year over 100, signless.
    CenturyOfEra,
    /// The year, with its sign; 0 exists.
    Year,
    /// The year counted from 1 in either era.
    YearOfEra,
    /// The year of ISO weeks.
    WeekYear,
    /// 1 to 12.
    Month,
    /// 1 to 53.
    WeekOfYear,
    /// 1 to 366.
    DayOfYear,
    /// 1 to 31.
    DayOfMonth,
    /// 1 (Monday) to 7.
    DayOfWeek,
    /// 0 morning, 1 afternoon.
    HalfDay,
    /// 0 to 23.
    HourOfDay,
    /// 1 to 24.
    ClockHourOfDay,
    /// 0 to 11.
    HourOfHalfDay,
    /// 1 to 12.
    ClockHourOfHalfDay,
    /// 0 to 59.
    Minute,
    /// 0 to 59.
    Second,
    /// Milliseconds of a second.
    Fraction,
}

const HOUR: i64 = 3_600_000;
const MINUTE: i64 = 60_000;
const SECOND: i64 = 1_000;

impl Field {
    /// The place in the order of application. Fields of one rank keep the order of the pattern.
    pub(crate) fn rank(self) -> u8 {
        match self {
            Field::Era => 0,
            Field::CenturyOfEra => 1,
            Field::Year | Field::YearOfEra | Field::WeekYear => 2,
            Field::Month => 3,
            Field::WeekOfYear => 4,
            Field::DayOfYear => 5,
            Field::DayOfMonth => 6,
            Field::DayOfWeek => 7,
            Field::HalfDay => 8,
            Field::HourOfDay | Field::ClockHourOfDay => 9,
            Field::HourOfHalfDay | Field::ClockHourOfHalfDay => 10,
            Field::Minute => 11,
            Field::Second => 12,
            Field::Fraction => 13,
        }
    }

    /// Whether a pattern that begins (in order of application) with this field takes the default year.
    pub(crate) fn needs_year(self) -> bool {
        (Field::Month.rank()..=Field::DayOfWeek.rank()).contains(&self.rank())
    }

    /// The local time with this field set; `None` where Joda refuses the value.
    fn set(self, local: i64, value: i64) -> Option<i64> {
        let days = local.div_euclid(DAY);
        match self {
            Field::Era => {
                let year = calendar::year_of(local);
                if value == i64::from(year > 0) { Some(local) } else { with_year(local, -year) }
            }
            Field::CenturyOfEra => {
                within(value, 0, 2_922_789)?;
                let year = calendar::year_of(local);
                let changed = value * 100 + year.abs() % 100;
                with_year(local, if year < 0 { -changed } else { changed })
            }
            Field::Year => with_year(local, value),
            Field::YearOfEra => {
                within(value, 1, *YEARS.end())?;
                with_year(local, if calendar::year_of(local) <= 0 { 1 - value } else { value })
            }
            Field::WeekYear => {
                within(value, *YEARS.start(), *YEARS.end())?;
                let (_, week) = week_of_days(days);
                let week = week.min(calendar::weeks_in_year(value));
                let changed = week_year_start(value) + (week - 1) * 7 + weekday(days) - 1;
                Some(changed * DAY + local.rem_euclid(DAY))
            }
            Field::Month => {
                within(value, 1, 12)?;
                let (year, _, day) = date_from_days(days);
                let changed = days_from_date(year, value, day.min(days_in_month(year, value)));
                Some(changed * DAY + local.rem_euclid(DAY))
            }
            Field::WeekOfYear => {
                let (year, week) = week_of_days(days);
                within(value, 1, calendar::weeks_in_year(year))?;
                Some(local + (value - week) * 7 * DAY)
            }
            Field::DayOfYear => {
                let (year, _, _) = date_from_days(days);
                within(value, 1, 365 + i64::from(calendar::is_leap(year)))?;
                Some(local + (value - 1 - (days - days_from_date(year, 1, 1))) * DAY)
            }
            Field::DayOfMonth => {
                let (year, month, day) = date_from_days(days);
                within(value, 1, days_in_month(year, month))?;
                Some(local + (value - day) * DAY)
            }
            Field::DayOfWeek => {
                within(value, 1, 7)?;
                Some(local + (value - weekday(days)) * DAY)
            }
            Field::HalfDay => precise(local, value, 12 * HOUR, 2),
            Field::HourOfDay => precise(local, value, HOUR, 24),
            Field::ClockHourOfDay => {
                within(value, 1, 24)?;
                precise(local, value % 24, HOUR, 24)
            }
            Field::HourOfHalfDay => precise(local, value, HOUR, 12),
            Field::ClockHourOfHalfDay => {
                within(value, 1, 12)?;
                precise(local, value % 12, HOUR, 12)
            }
            Field::Minute => precise(local, value, MINUTE, 60),
            Field::Second => precise(local, value, SECOND, 60),
            Field::Fraction => precise(local, value, 1, 1_000),
        }
    }

    /// The first moment of what this field counts.
    fn floor(self, local: i64) -> i64 {
        let days = local.div_euclid(DAY);
        let (year, month, _) = date_from_days(days);
        let year_start = |year: i64| days_from_date(year, 1, 1) * DAY;
        match self {
            // Joda goes to the least of all times, out of which only a year leads; this is one of the last that it reaches.
            Field::Era => year_start(if year > 0 { 1 } else { -292_000_000 }),
            Field::CenturyOfEra => year_start(year / 100 * 100),
            Field::Year | Field::YearOfEra => year_start(year),
            Field::WeekYear => week_year_start(week_of_days(days).0) * DAY,
            Field::Month => days_from_date(year, month, 1) * DAY,
            Field::WeekOfYear => (days - weekday(days) + 1) * DAY,
            Field::DayOfYear | Field::DayOfMonth | Field::DayOfWeek => days * DAY,
            Field::HalfDay => floor_to(local, 12 * HOUR),
            Field::HourOfDay | Field::ClockHourOfDay => floor_to(local, HOUR),
            Field::HourOfHalfDay | Field::ClockHourOfHalfDay => floor_to(local, HOUR),
            Field::Minute => floor_to(local, MINUTE),
            Field::Second => floor_to(local, SECOND),
            Field::Fraction => local,
        }
    }
}

/// The local time (milliseconds, as if its zone were UTC) of fields in order of [`Field::rank`]; what none of them says
/// is that of 1970-01-01T00:00. `None` where a value does not exist.
pub(crate) fn combine(fields: impl Iterator<Item = (Field, i64)> + Clone) -> Option<i64> {
    let mut local = 0;
    for (field, value) in fields.clone() {
        local = field.floor(field.set(local, value)?);
    }
    // Joda sets everything a second time, so that a later field cannot undo an earlier one unnoticed.
    let mut last = None;
    for (field, value) in fields {
        local = field.set(local, value)?;
        last = Some(field);
    }
    Some(last.map_or(local, |field| field.floor(local)))
}

/// The same moment of another year; February 29th becomes the 28th where it has to.
pub(crate) fn with_year(local: i64, year: i64) -> Option<i64> {
    within(year, *YEARS.start(), *YEARS.end())?;
    let (_, month, day) = date_from_days(local.div_euclid(DAY));
    let days = days_from_date(year, month, day.min(days_in_month(year, month)));
    Some(days * DAY + local.rem_euclid(DAY))
}

fn within(value: i64, first: i64, last: i64) -> Option<()> {
    (first..=last).contains(&value).then_some(())
}

fn precise(local: i64, value: i64, unit: i64, count: i64) -> Option<i64> {
    within(value, 0, count - 1)?;
    Some(local + (value - local.div_euclid(unit).rem_euclid(count)) * unit)
}

fn floor_to(local: i64, unit: i64) -> i64 {
    local - local.rem_euclid(unit)
}
