//! The proleptic Gregorian calendar in whole numbers: days, years, months and ISO weeks, for years of any size. Zones,
//! texts and the rules of Joda's fields are left to their own modules.

use weir_filter::timestamp;

/// Milliseconds of a day.
pub(crate) const DAY: i64 = 86_400_000;
/// The years that Joda's milliseconds reach.
pub(crate) const YEARS: std::ops::RangeInclusive<i64> = -292_275_054..=292_278_993;

/// Days since 1970-01-01 of a date; the month is 1 to 12, the day may lie past the month's end.
pub(crate) fn days_from_date(year: i64, month: i64, day: i64) -> i64 {
    timestamp::day_of_date(year, month as u32, day as u32)
}

/// The date (year, month, day) of a number of days since 1970-01-01.
pub(crate) fn date_from_days(days: i64) -> (i64, i64, i64) {
    let (year, month, day) = timestamp::date_of_day(days);
    (year, i64::from(month), i64::from(day))
}

/// The year that an instant or local time (milliseconds since 1970) lies in.
pub(crate) fn year_of(millis: i64) -> i64 {
    date_from_days(millis.div_euclid(DAY)).0
}

/// Whether a year has a February 29th.
pub(crate) fn is_leap(year: i64) -> bool {
    year & 3 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// Days of a month, 1 to 12.
pub(crate) fn days_in_month(year: i64, month: i64) -> i64 {
    i64::from(timestamp::days_of_month(year, month as u32))
}

/// Weekday of a number of days since 1970-01-01: Monday is 1, Sunday 7.
pub(crate) fn weekday(days: i64) -> i64 {
    (days + 3).rem_euclid(7) + 1
}

/// Days since 1970-01-01 of the Monday that begins a year of ISO weeks.
pub(crate) fn week_year_start(year: i64) -> i64 {
    let fourth = days_from_date(year, 1, 4);
    fourth - (weekday(fourth) - 1)
}

/// Weeks of a year of ISO weeks: 52 or 53.
pub(crate) fn weeks_in_year(year: i64) -> i64 {
    (week_year_start(year + 1) - week_year_start(year)) / 7
}

/// The year of ISO weeks and the week, from 1, of a number of days since 1970-01-01.
pub(crate) fn week_of_days(days: i64) -> (i64, i64) {
    let thursday = days - (weekday(days) - 4);
    let year = date_from_days(thursday).0;
    (year, (thursday - week_year_start(year)) / 7 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{Datelike, NaiveDate};

    #[test]
    fn agrees_with_chrono() {
        // Every 37th day of the years -2000 to 4000 meets every month, weekday and kind of year.
        for days in (-1_450_000..742_000).step_by(37) {
            let date = NaiveDate::from_epoch_days(days).unwrap();
            let days = i64::from(days);
            let expected = (i64::from(date.year()), i64::from(date.month()), i64::from(date.day()));
            assert_eq!(date_from_days(days), expected);
            assert_eq!(days_from_date(expected.0, expected.1, expected.2), days);
            assert_eq!(weekday(days), i64::from(date.weekday().number_from_monday()));
            let week = date.iso_week();
            assert_eq!(week_of_days(days), (i64::from(week.year()), i64::from(week.week())));
            assert_eq!(is_leap(expected.0), date.leap_year());
        }
        assert_eq!((weeks_in_year(2015), weeks_in_year(2016), days_in_month(2016, 2)), (53, 52, 29));
    }
}
