//! `until=` of `network prune`: a time, or how long ago. Gives seconds of Unix time; asks no clock.

use std::time::{SystemTime, UNIX_EPOCH};

/// `1h30m` before `now`, seconds of Unix time, or a time as RFC 3339 or ISO 8601 has it, without a
/// zone in UTC.
pub fn seconds(text: &str, now: SystemTime) -> Option<u64> {
    let since_epoch = |time: SystemTime| {
        let since = time.duration_since(UNIX_EPOCH).ok()?;
        Some(since.as_secs())
    };
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok();
    }
    // Go's durations have no spaces, and these units only.
    let go = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || b"hmsnu".contains(&byte));
    if go && let Ok(ago) = humantime::parse_duration(text) {
        let time = now.checked_sub(ago).unwrap_or(UNIX_EPOCH);
        return Some(since_epoch(time).unwrap_or(0));
    }
    let time = match text.len() {
        // A day alone.
        10 => humantime::parse_rfc3339_weak(&format!("{text}T00:00:00")),
        _ => humantime::parse_rfc3339_weak(text),
    };
    since_epoch(time.ok()?)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::seconds;

    #[test]
    fn times_and_durations_are_understood() {
        let now = UNIX_EPOCH + Duration::from_secs(1_000_000);
        for (text, expected) in [
            ("1h", Some(996_400)),
            ("1h30m", Some(994_600)),
            ("10s", Some(999_990)),
            ("9999999h", Some(0)),
            ("1700000000", Some(1_700_000_000)),
            ("2000-02-29", Some(951_782_400)),
            ("2000-02-29T00:00:00", Some(951_782_400)),
            ("2000-02-29T00:00:00Z", Some(951_782_400)),
            ("", None),
            ("soon", None),
            ("1 hour", None),
            ("-1h", None),
        ] {
            assert_eq!(seconds(text, now), expected, "{text}");
        }
    }
}
