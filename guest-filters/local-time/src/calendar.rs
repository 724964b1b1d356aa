//! What formats say of a day beside its date: weekday, day of the year and week. The date itself comes from the SDK.

use weir_filter::timestamp::{date_of_day, day_of_date};

/// A day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Date {
    /// Days since 1970-01-01.
    pub(crate) days: i64,
    pub(crate) year: i64,
    /// 1 to 12.
    pub(crate) month: i64,
    /// 1 to 31.
    pub(crate) day: i64,
}

impl Date {
    /// The date of a number of days since 1970-01-01.
    pub(crate) fn of_days(days: i64) -> Date {
        let (year, month, day) = date_of_day(days);
        Date { days, year, month: i64::from(month), day: i64::from(day) }
    }

    /// 1 (Monday) to 7.
    pub(crate) fn weekday(self) -> i64 {
        (self.days + 3).rem_euclid(7) + 1
    }

    /// 1 to 366.
    pub(crate) fn day_of_year(self) -> i64 {
        self.days - day_of_date(self.year, 1, 1) + 1
    }

    /// The year of ISO weeks, and the week, from 1.
    pub(crate) fn week(self) -> (i64, i64) {
        let thursday = Date::of_days(self.days - (self.weekday() - 4));
        (thursday.year, (thursday.day_of_year() - 1) / 7 + 1)
    }
}
