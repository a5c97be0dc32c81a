//! Where the kernel frees packets whose redirect failed: the functions that do so, by their names in
//! /proc/kallsyms. Only reads; text stays where it is until the next boot.

use std::{fs, io};

use netd_common::{
    abi::freed::{FreeingPlaces, Place},
    limits::MAX_FREEING_PLACES,
};

const SYMBOLS: &str = "/proc/kallsyms";

/// What carries out a redirect (net/core/filter.c) and puts the MAC in front (net/core/neighbour.c). What
/// the compiler inlines is part of the others.
const REDIRECT: [&str; 13] = [
    "skb_do_redirect",
    "__bpf_redirect",
    "__bpf_redirect_common",
    "__bpf_redirect_no_mac",
    "__bpf_redirect_neigh",
    "__bpf_redirect_neigh_v4",
    "__bpf_redirect_neigh_v6",
    "bpf_out_neigh_v4",
    "bpf_out_neigh_v6",
    "__bpf_tx_skb",
    "neigh_resolve_output",
    "neigh_connected_output",
    "neigh_blackhole",
];
/// What frees packets that wait for a MAC: since there are too many, since nobody answers, since the
/// neighbour or its device is gone.
const NEIGHBOUR: [&str; 10] = [
    "__neigh_event_send",
    "arp_error_report",
    "ndisc_error_report",
    "neigh_invalidate",
    "neigh_timer_handler",
    "__neigh_update",
    "neigh_update",
    "neigh_flush_dev",
    "__neigh_ifdown",
    "neigh_destroy",
];

/// Reads them from the running kernel. All zero where it shows no addresses (`kernel.kptr_restrict`, or
/// CAP_SYSLOG is missing).
pub(super) fn read() -> io::Result<FreeingPlaces> {
    Ok(find(&fs::read_to_string(SYMBOLS)?))
}

fn find(symbols: &str) -> FreeingPlaces {
    let mut addresses = Vec::new();
    let (mut redirect, mut neighbour) = (Vec::new(), Vec::new());
    for (address, name) in parse(symbols) {
        addresses.push(address);
        let name = base(name);
        if REDIRECT.contains(&name) {
            redirect.push(address);
        } else if NEIGHBOUR.contains(&name) {
            neighbour.push(address);
        }
    }
    // Modules stand behind the rest, in no order.
    addresses.sort_unstable();
    FreeingPlaces {
        redirect: places(redirect, &addresses),
        neighbour: places(neighbour, &addresses),
    }
}

/// From each of these addresses to the next symbol's.
fn places(mut starts: Vec<u64>, addresses: &[u64]) -> [Place; MAX_FREEING_PLACES] {
    let mut places = [Place::default(); MAX_FREEING_PLACES];
    starts.sort_unstable();
    starts.dedup();
    starts.retain(|start| *start != 0);
    for (place, from) in places.iter_mut().zip(starts) {
        let next = addresses.partition_point(|address| *address <= from);
        // The last symbol of all has no end that is known; none of these is.
        let to = addresses.get(next).copied().unwrap_or(from);
        *place = Place { from, to };
    }
    places
}

/// Addresses and names, as `ffffffff81e9dce0 T skb_do_redirect`, with a module's name behind if it is of
/// one.
fn parse(symbols: &str) -> impl Iterator<Item = (u64, &str)> {
    symbols.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let address = u64::from_str_radix(words.next()?, 16).ok()?;
        Some((address, words.nth(1)?))
    })
}

/// The function that a symbol is a part or a variant of: `skb_do_redirect.cold`, `.isra.0`, `.part.0`.
fn base(symbol: &str) -> &str {
    symbol.split('.').next().unwrap_or(symbol)
}

#[cfg(test)]
mod tests {
    use netd_common::abi::freed::{FreeingPlaces, Place};

    use super::find;

    #[test]
    fn functions_are_found_with_their_cold_parts() {
        let places = find(
            "0000000000000010 A a_per_cpu_variable\n\
             ffffffff8123fdf3 t skb_do_redirect.cold\n\
             ffffffff8123fe10 t another.cold\n\
             ffffffff81e97c00 t __bpf_redirect\n\
             ffffffff81e97d00 t __bpf_redirect_hash\n\
             ffffffff81e9dce0 T skb_do_redirect\n\
             ffffffff81e9dd00 T after\n\
             ffffffffc0001000 t ndisc_error_report\t[ipv6]\n\
             ffffffffc0000800 t before\t[ipv6]\n\
             ffffffffc0001040 t behind\t[ipv6]\n",
        );
        let place = |from, to| Place { from, to };
        let rest = places.redirect[3..].iter();
        assert!(rest.chain(&places.neighbour[1..]).all(|rest| rest.to == 0));
        assert_eq!(
            places.redirect[..3],
            [
                place(0xffff_ffff_8123_fdf3, 0xffff_ffff_8123_fe10),
                place(0xffff_ffff_81e9_7c00, 0xffff_ffff_81e9_7d00),
                place(0xffff_ffff_81e9_dce0, 0xffff_ffff_81e9_dd00),
            ]
        );
        let expected = place(0xffff_ffff_c000_1000, 0xffff_ffff_c000_1040);
        assert_eq!(places.neighbour[0], expected);
    }

    #[test]
    fn hidden_addresses_are_none() {
        let hidden = "0000000000000000 T skb_do_redirect\n0000000000000000 T arp_error_report\n";
        assert_eq!(find(hidden), FreeingPlaces::default());
        assert_eq!(find(""), FreeingPlaces::default());
    }
}
