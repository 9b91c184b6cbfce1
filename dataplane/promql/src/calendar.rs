//! Dates of the proleptic Gregorian calendar in UTC.

/// A date and the time of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Civil {
    pub year: i64,
    /// 1 to 12.
    pub month: u32,
    /// 1 to 31.
    pub day: u32,
    pub hour: u32,
    pub minute: u32,
    pub second: u32,
    /// 0 is Sunday.
    pub weekday: u32,
    /// 1 to 366.
    pub year_day: u32,
}

const DAY_SECONDS: i128 = 86_400;
/// The first second that Go's time can represent, below which its arithmetic wraps around.
const FIRST_SECOND: i128 = -9_223_371_966_579_724_800;

/// Returns the date of a time in seconds since the Unix epoch.
#[must_use]
pub fn civil(seconds: i64) -> Civil {
    let mut seconds = i128::from(seconds);
    if seconds < FIRST_SECOND {
        seconds += 1 << 64;
    }
    let days = seconds.div_euclid(DAY_SECONDS);
    let of_day = seconds.rem_euclid(DAY_SECONDS) as u32;
    // Eras of 400 years that begin on the first of March, so that the leap day is the last.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * march_month + 2) / 5 + 1) as u32;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    } as u32;
    let year = (year_of_era + era * 400 + i128::from(month <= 2)) as i64;
    let year_day = (1..month).map(|m| days_in_month(year, m)).sum::<u32>() + day;
    Civil {
        year,
        month,
        day,
        hour: of_day / 3_600,
        minute: of_day / 60 % 60,
        second: of_day % 60,
        weekday: (days + 4).rem_euclid(7) as u32,
        year_day,
    }
}

/// Returns the number of days of a month, 1 to 12.
#[must_use]
pub fn days_in_month(year: i64, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Returns a time in milliseconds as `2006-01-02T15:04:05Z`.
#[must_use]
pub fn rfc3339(ms: i64) -> String {
    // Go truncates towards zero here.
    let t = civil(ms / 1_000);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        t.year, t.month, t.day, t.hour, t.minute, t.second
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_dates() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(951_827_696_789), "2000-02-29T12:34:56Z");
        assert_eq!(rfc3339(-1_000), "1969-12-31T23:59:59Z");
        let leap = civil(951_827_696);
        assert_eq!((leap.weekday, leap.year_day), (2, 60));
        assert_eq!(civil(i64::MIN).year, 292_277_026_596);
        assert_eq!(days_in_month(1900, 2), 28);
        assert_eq!(days_in_month(2000, 2), 29);
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let mut last = civil(-86_400 * 1_000);
        for day in -999_i64..200_000 {
            let now = civil(day * 86_400);
            let first_of_month = now.day == 1;
            assert_eq!(
                first_of_month,
                last.day == days_in_month(last.year, last.month)
            );
            assert!(first_of_month || now.day == last.day + 1);
            assert_eq!(now.weekday, (last.weekday + 1) % 7);
            last = now;
        }
    }
}
