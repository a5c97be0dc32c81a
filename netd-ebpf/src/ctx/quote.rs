//! What an ICMP error quotes, written as it was decided; and how many errors this CPU may make.

use aya_ebpf::{btf_maps::PerCpuArray, helpers::bpf_ktime_get_ns, macros::btf_map};
use netd_common::packet::{Work, icmp_error::Budget};

use crate::ctx::skb::Skb;

/// Not among the maps that are pinned: a new object may begin with a full bucket.
#[btf_map]
static ICMP_BUDGET: PerCpuArray<Budget, 1> = PerCpuArray::new();

/// Stores the quoted addresses, ports and checksums; `None` where the kernel refuses. The checksum
/// of the error itself is the rewrite's.
pub fn turn_back(skb: &Skb<'_>, work: &Work) -> Option<()> {
    let (quote, flow) = (&work.quote, &work.flow);
    let header = usize::from(quote.header);
    if work.view.ip.is_v4() {
        skb.store(header + 10, &quote.header_sum)?;
        skb.store(header + 12, &flow.destination.octets_v4())?;
        skb.store(header + 16, &flow.source.octets_v4())?;
    } else {
        skb.store(header + 8, &flow.destination.0)?;
        skb.store(header + 24, &flow.source.0)?;
    }
    if quote.checksum != 0 {
        skb.store(quote.checksum.into(), &quote.transport_sum)?;
    }
    let transport = usize::from(quote.transport);
    if quote.is_echo() {
        let [identifier @ .., _, _] = quote.ports;
        skb.store(transport + 4, &identifier)
    } else {
        skb.store(transport, &quote.ports)
    }
}

/// Takes a token of this CPU's, if there is one.
pub fn may_complain() -> bool {
    let Some(budget) = ICMP_BUDGET.get_ptr_mut(0) else {
        return false;
    };
    // SAFETY: a tc program stays on its CPU with softirqs off, so nothing else has this slot
    // meanwhile; every bit pattern is a valid `Budget`. The helper cannot fail.
    unsafe { (*budget).take(bpf_ktime_get_ns()) }
}
