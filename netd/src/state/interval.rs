//! Sets of numbers as closed intervals: used addresses and ports. Cost grows with the logarithm of
//! the number of gaps, never with the size of a range.

use std::collections::BTreeMap;

/// A set of numbers, kept as disjoint intervals that do not touch each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IntervalSet(BTreeMap<u128, u128>);

impl IntervalSet {
    /// Whether a number of `first..=last` is in the set.
    pub fn overlaps(&self, first: u128, last: u128) -> bool {
        self.0
            .range(..=last)
            .next_back()
            .is_some_and(|(_, end)| *end >= first)
    }

    /// The intervals, in order.
    pub fn intervals(&self) -> impl Iterator<Item = (u128, u128)> {
        self.0.iter().map(|(first, last)| (*first, *last))
    }

    /// How many numbers of `first..=last` are in the set; at most `u128::MAX`.
    pub fn count(&self, first: u128, last: u128) -> u128 {
        let before = self.at_or_before(first).filter(|(_, end)| *end >= first);
        let from = before.map_or(first, |(start, _)| start);
        let pieces = self.0.range(from..=last.max(from)).map(|(start, end)| {
            let (start, end) = ((*start).max(first), (*end).min(last));
            if start <= end {
                (end - start).saturating_add(1)
            } else {
                0
            }
        });
        pieces.fold(0, u128::saturating_add)
    }

    /// Adds `first..=last`.
    pub fn insert(&mut self, first: u128, last: u128) {
        let (mut start, mut end) = (first, last);
        if let Some((before, before_end)) = self.at_or_before(first)
            && before_end >= first.saturating_sub(1)
        {
            start = before.min(first);
            end = end.max(before_end);
        }
        while let Some((next, next_end)) = self.first_from(start) {
            if next > end.saturating_add(1) {
                break;
            }
            self.0.remove(&next);
            end = end.max(next_end);
        }
        self.0.insert(start, end);
    }

    /// Removes `first..=last`.
    pub fn remove(&mut self, first: u128, last: u128) {
        if let Some((before, end)) = self.at_or_before(first)
            && end >= first
        {
            self.0.remove(&before);
            if before < first {
                self.0.insert(before, first - 1);
            }
            if end > last {
                self.0.insert(last + 1, end);
            }
        }
        while let Some((next, end)) = self.first_from(first) {
            if next > last {
                break;
            }
            self.0.remove(&next);
            if end > last {
                self.0.insert(last + 1, end);
            }
        }
    }

    /// The smallest start in `first..=last` of `count` numbers in `first..=last` that are not in
    /// the set.
    pub fn free_block(&self, first: u128, last: u128, count: u128) -> Option<u128> {
        let mut start = first;
        if let Some((_, end)) = self.at_or_before(first)
            && end >= first
        {
            start = end.checked_add(1)?;
        }
        loop {
            let needed = start.checked_add(count.checked_sub(1)?)?;
            if needed > last {
                return None;
            }
            match self.first_from(start) {
                Some((next, end)) if next <= needed => start = end.checked_add(1)?,
                _ => return Some(start),
            }
        }
    }

    fn at_or_before(&self, number: u128) -> Option<(u128, u128)> {
        let (start, end) = self.0.range(..=number).next_back()?;
        Some((*start, *end))
    }

    fn first_from(&self, number: u128) -> Option<(u128, u128)> {
        let (start, end) = self.0.range(number..).next()?;
        Some((*start, *end))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::IntervalSet;

    proptest! {
        #[test]
        fn behaves_as_a_set_of_numbers(steps in prop::collection::vec((any::<bool>(), 0u128..60, 0u128..8), 1..60)) {
            let (mut intervals, mut numbers) = (IntervalSet::default(), BTreeSet::new());
            for (add, first, length) in steps {
                let last = first + length;
                prop_assert_eq!(intervals.overlaps(first, last), (first..=last).any(|n| numbers.contains(&n)));
                for number in first..=last {
                    if add { numbers.insert(number); } else { numbers.remove(&number); }
                }
                if add { intervals.insert(first, last) } else { intervals.remove(first, last) }
                let inside = (first..=last).filter(|n| numbers.contains(n)).count();
                prop_assert_eq!(intervals.count(first, last), inside as u128);
                for count in 1..4 {
                    let expected = (first..=last).find(|n| n + count - 1 <= last && (*n..n + count).all(|m| !numbers.contains(&m)));
                    prop_assert_eq!(intervals.free_block(first, last, count), expected);
                }
                let mut ends = intervals.0.iter();
                let mut previous = ends.next();
                for next in ends {
                    prop_assert!(previous.is_none_or(|(_, end)| end + 1 < *next.0), "intervals touch");
                    previous = Some(next);
                }
            }
        }
    }

    #[test]
    fn the_last_number_does_not_overflow() {
        let mut set = IntervalSet::default();
        set.insert(u128::MAX - 1, u128::MAX);
        assert!(set.overlaps(u128::MAX, u128::MAX));
        assert_eq!(set.count(0, u128::MAX), 2);
        assert_eq!(set.free_block(u128::MAX, u128::MAX, 1), None);
        set.remove(u128::MAX, u128::MAX);
        assert_eq!(set.free_block(0, u128::MAX, 1), Some(0));
        assert_eq!(set.free_block(u128::MAX - 1, u128::MAX, 1), Some(u128::MAX));
    }
}
