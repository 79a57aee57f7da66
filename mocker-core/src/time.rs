//! Moments as they are written down for programs: RFC 3339, in UTC.

use std::fmt::Write;

use serde::Serializer;

const NANOS_A_SECOND: i64 = 1_000_000_000;
const SECONDS_A_DAY: i64 = 86_400;

/// A moment, in nanoseconds since 1970, as `2026-11-25T07:28:56.012345678Z`.
/// Zeros at the end of the fraction are left out.
pub fn rfc3339(moment: i64) -> String {
    let (seconds, nanos) = (moment.div_euclid(NANOS_A_SECOND), moment.rem_euclid(NANOS_A_SECOND));
    let (days, second) = (seconds.div_euclid(SECONDS_A_DAY), seconds.rem_euclid(SECONDS_A_DAY));
    let (year, month, day) = date(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let mut text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
    if nanos != 0 {
        // Writing to a text cannot fail.
        let _written = write!(text, ".{}", format!("{nanos:09}").trim_end_matches('0'));
    }
    text + "Z"
}

/// Writes such a moment as text.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<S: Serializer>(moment: &i64, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&rfc3339(*moment))
}

/// The date that lies so many days after the first of January 1970, by the
/// calendar that holds for all times: Howard Hinnant's `civil_from_days`, which
/// counts in eras of 400 years from the first of March.
fn date(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_what_date_says_of_them() {
        // date -u -d @SECONDS +%FT%TZ
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_795_591_736, "2026-11-25T07:28:56Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59Z"),
        ] {
            assert_eq!(rfc3339(seconds * NANOS_A_SECOND), expected);
        }
        assert_eq!(rfc3339(12_345_678), "1970-01-01T00:00:00.012345678Z");
        assert_eq!(rfc3339(500_000_000), "1970-01-01T00:00:00.5Z");
        assert_eq!(rfc3339(-1), "1969-12-31T23:59:59.999999999Z");
    }
}
