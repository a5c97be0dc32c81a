//! Times as JSON has them: RFC 3339 in UTC with nanoseconds, as Docker writes them.

/// `2026-11-21T19:34:11.044835701Z` of nanoseconds of Unix time.
pub fn rfc3339(nanoseconds: u64) -> String {
    let (year, month, day, [hour, minute, second]) = civil(nanoseconds / 1_000_000_000);
    let fraction = nanoseconds % 1_000_000_000;
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:09}Z")
}

/// Year, month, day and time of day of seconds of Unix time, by the proleptic Gregorian calendar
/// (eras of 400 years that begin on 1 March, so that the leap day comes last).
fn civil(seconds: u64) -> (u64, u64, u64, [u64; 3]) {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let days = days + 719_468; // from 0000-03-01 to 1970-01-01
    let era_day = days % 146_097;
    let era_year = (era_day - era_day / 1_460 + era_day / 36_524 - era_day / 146_096) / 365;
    let year_day = era_day - (365 * era_year + era_year / 4 - era_year / 100);
    let march_month = (5 * year_day + 2) / 153;
    let day = year_day - (153 * march_month + 2) / 5 + 1;
    let month = (march_month + 2) % 12 + 1;
    let year = days / 146_097 * 400 + era_year + u64::from(month <= 2);
    (
        year,
        month,
        day,
        [second / 3_600, second / 60 % 60, second % 60],
    )
}

#[cfg(test)]
mod tests {
    use super::rfc3339;

    #[test]
    fn dates_are_right_around_leap_days_and_years() {
        // Oracle: `date -u -d @SECONDS +%FT%TZ`.
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000000000Z"),
            (951_782_399, "2000-02-28T23:59:59.000000000Z"),
            (951_782_400, "2000-02-29T00:00:00.000000000Z"),
            (951_868_800, "2000-03-01T00:00:00.000000000Z"),
            (1_735_689_599, "2024-12-31T23:59:59.000000000Z"),
            (1_735_689_600, "2025-01-01T00:00:00.000000000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000000000Z"),
        ] {
            assert_eq!(rfc3339(seconds * 1_000_000_000), text);
        }
        assert!(rfc3339(1_000_000_007).ends_with("01.000000007Z"));
    }
}
