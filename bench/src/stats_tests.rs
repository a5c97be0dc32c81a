//! Properties of medians, spreads and ratios.

use proptest::prelude::*;

use super::*;

fn rounds(values: &[f64]) -> Rounds {
    (0..).zip(values.iter().copied()).collect()
}

#[test]
fn five_rounds_are_summed_up() {
    let summary = Summary::of(&[5.0, 1.0, 4.0, 2.0, 30.0]).expect("values");
    assert_eq!(summary.median, 4.0);
    assert_eq!((summary.low, summary.high), (2.0, 5.0));
    assert_eq!(summary.count, 5);
    assert_eq!(Summary::of(&[]), None);
    assert_eq!(Summary::of(&[f64::NAN]), None);
}

#[test]
fn ratios_are_of_one_round() {
    // The machine was twice as fast in the second round: no difference between the two.
    let ratio = ratio(&rounds(&[10.0, 20.0]), &rounds(&[5.0, 10.0])).expect("both");
    assert_eq!((ratio.low, ratio.median, ratio.high), (2.0, 2.0, 2.0));
    // A round that one side lacks does not count.
    let one = super::ratio(&rounds(&[10.0, 20.0]), &rounds(&[5.0])).expect("one round");
    assert_eq!(one.count, 1);
}

#[test]
fn values_are_written_for_people() {
    assert_eq!(written(9.414e9, Unit::BitsPerSecond), "9.41 Gbit/s");
    assert_eq!(written(412_345.0, Unit::PerSecond), "412 k/s");
    assert_eq!(written(12.0, Unit::PerSecond), "12.0 /s");
    assert_eq!(written(999_700.0, Unit::PerSecond), "1.00 M/s");
    assert_eq!(written(1_234.0, Unit::Nanoseconds), "1.23 µs");
    assert_eq!(written(2.5e9, Unit::Nanoseconds), "2.50 s");
    assert_eq!(written(41_943_040.0, Unit::Octets), "40.0 MiB");
    assert_eq!(written(1234.0, Unit::Count), "1234");
}

proptest! {
    #[test]
    fn the_median_lies_in_the_spread(values in prop::collection::vec(0.1f64..1e9, 1..40)) {
        let summary = Summary::of(&values).expect("values");
        let least = values.iter().copied().fold(f64::INFINITY, f64::min);
        let most = values.iter().copied().fold(0.0, f64::max);
        prop_assert!(least <= summary.low && summary.low <= summary.median);
        prop_assert!(summary.median <= summary.high && summary.high <= most);
        let below = values.iter().filter(|value| **value < summary.median).count();
        prop_assert!(below * 2 <= values.len());
    }

    #[test]
    fn order_does_not_matter(values in prop::collection::vec(0.1f64..1e9, 1..40)) {
        let mut turned = values.clone();
        turned.reverse();
        prop_assert_eq!(Summary::of(&values), Summary::of(&turned));
    }

    #[test]
    fn a_thing_is_as_good_as_itself(values in prop::collection::vec(0.1f64..1e9, 1..10)) {
        let summary = ratio(&rounds(&values), &rounds(&values)).expect("values");
        prop_assert_eq!((summary.low, summary.median, summary.high), (1.0, 1.0, 1.0));
    }
}
