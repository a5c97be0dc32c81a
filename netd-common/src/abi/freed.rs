//! Packets that the kernel frees after a program has handed them over: where in its text it does so.
//! Written by the agent, read by `redirect_failed`.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::limits::MAX_FREEING_PLACES;

/// A piece of the kernel's text, which return addresses are compared with.
#[repr(C)]
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
)]
pub struct Place {
    /// Where it begins.
    pub from: u64,
    /// Where the next one begins. A call may be the last instruction, so this is a return address, too.
    pub to: u64,
}

impl Place {
    /// Whether a call from here returns to `address`.
    pub fn holds(&self, address: u64) -> bool {
        self.from < address && address <= self.to
    }
}

/// The one value of `FREEING_PLACES`. All zero: not known, so nothing is counted.
#[repr(C)]
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
)]
pub struct FreeingPlaces {
    /// Functions that carry out a redirect. What they free has just been handed over on this CPU.
    pub redirect: [Place; MAX_FREEING_PLACES],
    /// Functions that free what waited for a neighbour's MAC, whenever and on whichever CPU.
    pub neighbour: [Place; MAX_FREEING_PLACES],
}

impl FreeingPlaces {
    /// Whether any place is known.
    pub fn are_known(&self) -> bool {
        self.redirect.first().is_some_and(|place| place.to != 0)
    }

    /// Whether `address` is in one of the places, of which used ones come first.
    // Inlined: the compiler then keeps the loop over memory of the map.
    #[inline(always)]
    pub fn hold(places: &[Place; MAX_FREEING_PLACES], address: u64) -> bool {
        for place in places {
            if place.to == 0 {
                break;
            }
            if place.holds(address) {
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_return_address_is_behind_a_call() {
        let mut places = FreeingPlaces::default();
        assert!(!places.are_known());
        assert!(!FreeingPlaces::hold(&places.redirect, 0));
        places.redirect[0] = Place { from: 10, to: 20 };
        places.redirect[1] = Place { from: 40, to: 50 };
        assert!(places.are_known());
        for (address, held) in [
            (10, false),
            (11, true),
            (20, true),
            (21, false),
            (40, false),
            (50, true),
        ] {
            assert_eq!(FreeingPlaces::hold(&places.redirect, address), held);
            assert!(!FreeingPlaces::hold(&places.neighbour, address));
        }
    }
}
