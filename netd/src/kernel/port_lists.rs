//! Ports as sysctls of the kernel list them: net.ipv4.ip_local_port_range and
//! net.ipv4.ip_local_reserved_ports.

use crate::model::PortRange;

/// `LOW HIGH`; `None` where it is none.
pub fn pair(text: &str) -> Option<(u16, u16)> {
    let mut numbers = text.split_whitespace().map(str::parse::<u16>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(low)), Some(Ok(high))) if low <= high => Some((low, high)),
        _ => None,
    }
}

/// `FIRST-LAST,ONE,…`. What is no range is left out.
pub fn ranges(text: &str) -> Vec<PortRange> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let range = PortRange {
            first: first.trim().parse().ok()?,
            last: last.trim().parse().ok()?,
        };
        (range.first <= range.last).then_some(range)
    };
    text.split(',').filter_map(range).collect()
}

#[cfg(test)]
mod tests {
    use super::{PortRange, pair, ranges};

    #[test]
    fn as_the_kernel_prints_them() {
        assert_eq!(pair("32768\t60999\n"), Some((32_768, 60_999)));
        assert_eq!(pair("60999\t32768\n"), None);
        assert_eq!(pair("32768"), None);
        let range = |first, last| PortRange { first, last };
        assert_eq!(ranges(""), []);
        let expected = [range(8_080, 8_080), range(9_000, 9_010)];
        assert_eq!(ranges("8080,9000-9010\n"), expected);
        assert_eq!(ranges("8080,70000,x,9-8,9000-9010"), expected);
    }
}
