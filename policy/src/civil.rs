//! The Gregorian calendar over days since 1970, for dates beyond what calendar libraries hold: nothing here fails.

/// A day of the proleptic Gregorian calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Civil {
    /// The year; 0 is the year before 1.
    pub(crate) year: i64,
    /// 1 to 12.
    pub(crate) month: i64,
    /// 1 to 31.
    pub(crate) day: i64,
}

// Both directions follow Howard Hinnant's "chrono-Compatible Low-Level Date Algorithms": eras of 400 years, each of
// 146,097 days, and years that begin in March, so that a leap day is a year's last.
impl Civil {
    /// The date of a day, counted from 1970-01-01; for every count that a date or timestamp column can hold.
    pub(crate) fn of_days(days: i64) -> Self {
        let since = days + 719_468;
        let (era, day_of_era) = (since.div_euclid(146_097), since.rem_euclid(146_097));
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * day_of_year + 2) / 153;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        let day = day_of_year - (153 * from_march + 2) / 5 + 1;
        Self { year: year_of_era + era * 400 + i64::from(month <= 2), month, day }
    }

    /// The day, counted from 1970-01-01.
    pub(crate) fn to_days(self) -> i64 {
        let year = self.year - i64::from(self.month <= 2);
        let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
        let day_of_year = (153 * ((self.month + 9) % 12) + 2) / 5 + self.day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        era * 146_097 + day_of_era - 719_468
    }
}

#[cfg(test)]
mod tests {
    use chrono::{Datelike, NaiveDate};

    use super::*;

    #[test]
    fn agrees_with_a_calendar_library_where_that_reaches() {
        for days in (-400_000..1_200_000).step_by(7) {
            let date = NaiveDate::from_num_days_from_ce_opt(days + 719_163).unwrap();
            let expect = Civil { year: date.year().into(), month: date.month().into(), day: date.day().into() };
            assert_eq!(Civil::of_days(days.into()), expect);
            assert_eq!(expect.to_days(), i64::from(days));
        }
    }

    #[test]
    fn extremes_go_there_and_back() {
        for days in [i64::from(i32::MIN), i64::from(i32::MAX), i64::MIN / 86_400 - 1, i64::MAX / 86_400] {
            assert_eq!(Civil::of_days(days).to_days(), days);
        }
    }
}
