//! A bucket of tokens: so many a second, so many at once.

/// Takes a token, if there is one at `now`. Moments are nanoseconds of CLOCK_MONOTONIC; all zero is a
/// full bucket.
#[inline(always)]
pub(super) fn take(
    earned_until: &mut u64,
    tokens: &mut u64,
    now: u64,
    nanoseconds_per_token: u64,
    burst: u64,
) -> bool {
    let earned = now.saturating_sub(*earned_until) / nanoseconds_per_token;
    if earned >= burst {
        *tokens = burst;
        *earned_until = now;
    } else {
        *tokens = (*tokens + earned).min(burst);
        *earned_until += earned * nanoseconds_per_token;
    }
    let any = *tokens != 0;
    if any {
        *tokens -= 1;
    }
    any
}
