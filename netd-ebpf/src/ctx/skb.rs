//! A packet at a tc hook (`struct __sk_buff`): its bytes, its fields, and where it goes. Each call
//! is one helper; what to read or write is decided elsewhere. At links without Ethernet headers a bare
//! packet looks as if it had one, so that offsets are the same everywhere.

use core::net::IpAddr;

use aya_ebpf::{
    bindings::{
        BPF_F_INGRESS, BPF_F_MARK_MANGLED_0, BPF_F_PSEUDO_HDR, bpf_redir_neigh,
        bpf_redir_neigh__bindgen_ty_1,
    },
    btf_maps::ProgramArray,
    check_bounds_signed,
    helpers::{
        bpf_clone_redirect, bpf_redirect, bpf_redirect_neigh, bpf_redirect_peer,
        bpf_skb_change_head, bpf_skb_change_tail, bpf_skb_load_bytes, bpf_skb_store_bytes,
    },
    programs::TcContext,
};
use netd_common::{
    Addr,
    packet::{Packet, verdict::Answer, view::ETHERNET},
};

/// A packet for this host (`linux/if_packet.h`).
const PACKET_HOST: u32 = 0;

/// Says that the pseudo header is IPv6's, whose addresses no other checksum covers: without it
/// `skb->csum` of a CHECKSUM_COMPLETE packet goes wrong. Kernels before 6.16 refuse it.
/// <https://git.kernel.org/torvalds/c/ead7f9b8de65632ef8060b84b0c55049a33cfea1>
const BPF_F_IPV6: u64 = 1 << 7;

/// Address families (`sys/socket.h`).
pub const AF_INET: u8 = 2;
/// See [`AF_INET`].
pub const AF_INET6: u8 = 10;

/// A packet, from its Ethernet header on. `BARE`: it begins with its IP header, and an Ethernet header
/// is made up for who reads.
pub struct Skb<'a, const BARE: bool = false> {
    /// aya's view of it.
    pub ctx: &'a TcContext,
}

impl<const BARE: bool> Packet for Skb<'_, BARE> {
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.ctx.load(Self::at(offset)?).ok()
    }

    fn read_into<const N: usize>(&self, offset: usize, into: &mut [u8; N]) -> Option<()> {
        if BARE && offset < ETHERNET {
            return self.read_begin(offset, into);
        }
        let offset = Self::at(offset)?;
        // SAFETY: the context is the program's own, and the kernel writes the array's octets.
        let failed = unsafe {
            bpf_skb_load_bytes(
                self.ctx.skb.skb.cast(),
                offset as u32,
                into.as_mut_ptr().cast(),
                N as u32,
            ) != 0
        };
        (!failed).then_some(())
    }

    fn length(&self) -> usize {
        self.ctx.len() as usize + if BARE { ETHERNET } else { 0 }
    }

    fn is_tagged(&self) -> bool {
        // SAFETY: the kernel passes a valid context; `vlan_present` may be read.
        unsafe { (*self.ctx.skb.skb).vlan_present != 0 }
    }
}

impl Skb<'_, true> {
    /// Gives the packet an Ethernet header, without MACs: what goes into a container needs one. Where a
    /// packet leaves by a link without, or goes on to the host's stack, the kernel leaves it out.
    pub fn grow(&self) -> Option<()> {
        let [a, b] = self.ethertype();
        let header = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, a, b];
        // SAFETY: the context is the program's own, and no pointer into the packet is kept.
        let failed = unsafe { bpf_skb_change_head(self.ctx.skb.skb, ETHERNET as u32, 0) != 0 };
        if failed {
            return None;
        }
        Skb::<false> { ctx: self.ctx }.store(0, &header)
    }
}

impl<const BARE: bool> Skb<'_, BARE> {
    /// Where an offset from the Ethernet header on is.
    #[inline(always)]
    fn at(offset: usize) -> Option<usize> {
        if BARE {
            return offset.checked_sub(ETHERNET);
        }
        Some(offset)
    }

    /// The beginning of a bare packet, behind a made-up Ethernet header.
    #[inline(always)]
    fn read_begin<const N: usize>(&self, offset: usize, into: &mut [u8; N]) -> Option<()> {
        // Nobody reads a part of that header.
        if offset != 0 {
            return None;
        }
        let (header, rest) = into.split_first_chunk_mut::<ETHERNET>()?;
        let [a, b] = self.ethertype();
        *header = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, a, b];
        if N == ETHERNET {
            return Some(());
        }
        // SAFETY: the context is the program's own, and the kernel writes the octets of the rest.
        let failed = unsafe {
            bpf_skb_load_bytes(
                self.ctx.skb.skb.cast(),
                0,
                rest.as_mut_ptr().cast(),
                (N - ETHERNET) as u32,
            ) != 0
        };
        (!failed).then_some(())
    }

    /// What the kernel takes the packet for, network order.
    fn ethertype(&self) -> [u8; 2] {
        // SAFETY: the kernel passes a valid context; `protocol` may be read.
        let protocol = unsafe { (*self.ctx.skb.skb).protocol };
        (protocol as u16).to_ne_bytes()
    }

    /// Whether this is a super-packet that will be cut into segments.
    pub fn is_gso(&self) -> bool {
        // SAFETY: the kernel passes a valid context; `gso_size` may be read.
        unsafe { (*self.ctx.skb.skb).gso_size != 0 }
    }

    /// The interface of the hook.
    pub fn ifindex(&self) -> u32 {
        // SAFETY: the kernel passes a valid context; `ifindex` may be read.
        unsafe { (*self.ctx.skb.skb).ifindex }
    }

    /// The interface that the packet came into the host by; 0 where it is from the host itself.
    pub fn ingress(&self) -> u32 {
        // SAFETY: the kernel passes a valid context; `ingress_ifindex` may be read.
        unsafe { (*self.ctx.skb.skb).ingress_ifindex }
    }

    /// Whether the packet came into the host by some interface, rather than from the host itself.
    pub fn is_forwarded(&self) -> bool {
        self.ingress() != 0
    }

    /// Where the kernel has the packet: the context is that address.
    pub fn address(&self) -> u64 {
        self.ctx.skb.skb as u64
    }

    /// Octets from the IP header on.
    pub fn octets(&self) -> u64 {
        let header = if BARE { 0 } else { ETHERNET as u64 };
        u64::from(self.ctx.len()).saturating_sub(header)
    }

    /// Stores `bytes` at `offset`.
    pub fn store<const N: usize>(&self, offset: usize, bytes: &[u8; N]) -> Option<()> {
        self.ctx.store(Self::at(offset)?, bytes, 0).ok()
    }

    /// Changes a transport checksum by `delta`, a difference of what the transport carries.
    pub fn checksum(&self, offset: usize, delta: u32, zero_is_none: bool) -> Option<()> {
        let flags = mangled(zero_is_none);
        let offset = Self::at(offset)?;
        self.ctx
            .l4_csum_replace(offset, 0, delta.into(), flags)
            .ok()
    }

    /// Changes a transport checksum by `delta`, a difference of the pseudo header.
    pub fn pseudo_checksum(
        &self,
        offset: usize,
        delta: u32,
        zero_is_none: bool,
        is_v4: bool,
    ) -> Option<()> {
        let flags = mangled(zero_is_none) | u64::from(BPF_F_PSEUDO_HDR);
        let offset = Self::at(offset)?;
        let replace = |flags| {
            self.ctx
                .l4_csum_replace(offset, 0, delta.into(), flags)
                .ok()
        };
        if is_v4 {
            return replace(flags);
        }
        replace(flags | BPF_F_IPV6).or_else(|| replace(flags))
    }

    /// Makes the packet the answer.
    pub fn replace(&self, answer: &Answer) -> Option<()> {
        let len = i64::from(answer.len);
        // In the form that the verifier follows: LLVM would test a copy of the length.
        if !check_bounds_signed(len, 1, Answer::MAX as i64) {
            return None;
        }
        // SAFETY: the context is the program's own, no pointer into the packet is kept, and the
        // answer has room for `Answer::MAX` octets.
        let failed = unsafe {
            bpf_skb_change_tail(self.ctx.skb.skb, len as u32, 0) != 0
                || bpf_skb_store_bytes(
                    self.ctx.skb.skb.cast(),
                    0,
                    answer.bytes.as_ptr().cast(),
                    len as u32,
                    0,
                ) != 0
        };
        (!failed).then_some(())
    }

    /// Makes the packet one for this host, whatever MAC it carries.
    pub fn accept(&self) -> Option<()> {
        // SAFETY: the kernel passes a valid context; `pkt_type` may be read.
        let kind = unsafe { (*self.ctx.skb.skb).pkt_type } & 7;
        if kind == PACKET_HOST {
            return Some(());
        }
        self.ctx.change_type(PACKET_HOST).ok()
    }

    /// Goes on in the program at `index`; returns only where there is none.
    #[inline(always)]
    pub fn tail_call<const N: usize>(&self, programs: &ProgramArray<N>, index: u32) {
        // SAFETY: the program there is of the same type; the kernel checks it at the update.
        unsafe { programs.tail_call(self.ctx, index) };
    }

    /// Out of `ifindex` as it is; what the program returns.
    pub fn redirect(&self, ifindex: u32) -> i32 {
        // SAFETY: the helper only notes where the packet goes when the program has ended.
        unsafe { bpf_redirect(ifindex, 0) as i32 }
    }

    /// A copy comes in by `ifindex`, once the program has ended. May fail for want of memory, as any
    /// packet may be lost for that.
    pub fn copy_into(&self, ifindex: u32) {
        // SAFETY: the context is the program's own; the helper copies the packet, and no pointer into
        // it is kept.
        unsafe { bpf_clone_redirect(self.ctx.skb.skb, ifindex, BPF_F_INGRESS.into()) };
    }

    /// Into the namespace behind the host-side interface `ifindex`; what the program returns.
    pub fn redirect_peer(&self, ifindex: u32) -> i32 {
        // SAFETY: the helper only notes where the packet goes when the program has ended.
        unsafe { bpf_redirect_peer(ifindex, 0) as i32 }
    }

    /// Out of `ifindex` to the next hop, whose MAC the kernel finds; what the program returns.
    pub fn redirect_neighbour(&self, ifindex: u32, next_hop: &Addr) -> i32 {
        let mut nexthop = match IpAddr::from(*next_hop) {
            IpAddr::V4(v4) => bpf_redir_neigh {
                nh_family: AF_INET.into(),
                __bindgen_anon_1: bpf_redir_neigh__bindgen_ty_1 {
                    ipv6_nh: [u32::from_ne_bytes(v4.octets()), 0, 0, 0],
                },
            },
            IpAddr::V6(v6) => bpf_redir_neigh {
                nh_family: AF_INET6.into(),
                __bindgen_anon_1: bpf_redir_neigh__bindgen_ty_1 {
                    ipv6_nh: words(&v6.octets()),
                },
            },
        };
        // SAFETY: the kernel copies the parameters, which are fully initialised.
        unsafe {
            bpf_redirect_neigh(
                ifindex,
                &raw mut nexthop,
                size_of::<bpf_redir_neigh>() as i32,
                0,
            ) as i32
        }
    }
}

fn mangled(zero_is_none: bool) -> u64 {
    if zero_is_none {
        u64::from(BPF_F_MARK_MANGLED_0)
    } else {
        0
    }
}

/// An address as the kernel's structures have it: four words in memory order.
pub fn words(octets: &[u8; 16]) -> [u32; 4] {
    let word = |i: usize| {
        let bytes = octets.get(i..).and_then(|rest| rest.first_chunk::<4>());
        u32::from_ne_bytes(bytes.copied().unwrap_or_default())
    };
    [word(0), word(4), word(8), word(12)]
}
