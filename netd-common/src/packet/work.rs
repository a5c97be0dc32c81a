//! A decision's working memory. BPF has 512 octets of stack for all frames together, so what is
//! large stands here: a per-CPU slot in BPF, a plain value on the host.

use zerocopy::FromBytes;

use super::{
    icmp_error::Quote,
    transport::Transport,
    verdict::{Answer, Outcome},
    view::{Ip, View},
};
use crate::abi::{
    endpoint::Endpoint,
    flow::{Flow, FlowKey},
    fragment::{FragmentKey, Fragments},
    host::Uplink,
    link::OpenPorts,
    port::Port,
};

/// What a decision holds while it is made, and its outcome. Any former content is fine: each
/// decision writes what it reads, and any bytes are a valid value.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes)]
pub struct Work {
    /// The packet's headers.
    pub view: View,
    /// The packet's half of its flow.
    pub flow: Flow,
    /// The other half.
    pub twin: Flow,
    /// The endpoint that sends.
    pub source: Endpoint,
    /// The endpoint that the packet is for.
    pub target: Endpoint,
    /// The packet's tuple where it arrives.
    pub key: FlowKey,
    /// The key of the other half.
    pub twin_key: FlowKey,
    /// The uplink that it leaves through.
    pub uplink: Uplink,
    /// The published port that it dials.
    pub port: Port,
    /// What may pass from one endpoint to the other.
    pub link: OpenPorts,
    /// Where it goes and what changes.
    pub outcome: Outcome,
    /// Of an ICMP error about a flow: the packet that it quotes.
    pub quote: Quote,
    /// Of a fragment: its datagram.
    pub fragment: FragmentKey,
    /// Of a fragment: what is known of its datagram.
    pub fragments: Fragments,
    /// Of a fragment that came before the first of its datagram: 1 where the host's stack gets it in
    /// any case.
    pub passes: u32,
    /// Of a first fragment: 1 where others wait for it.
    pub awaited: u32,
    /// 1 where the packet leaves masqueraded, with the source of the flow: the next program that runs on
    /// this CPU is most likely `to_uplink`, for the same packet.
    pub left: u32,
    /// The packet that a program has last handed to the kernel on this CPU, by the kernel's address of it;
    /// 0 once it was freed. Nothing here reads it.
    pub handed_over: u64,
    /// The number of the program that did.
    pub handed_by: u32,
    /// The answer to it, where the verdict is [`super::Verdict::Answer`].
    pub answer: Answer,
}

impl Work {
    /// Forgets the former packet.
    pub(super) fn begin(&mut self) {
        self.view.ip = Ip::default();
        self.view.transport = Transport::default();
        self.left = 0;
        let outcome = &mut self.outcome;
        outcome.network = 0;
        outcome.endpoint = 0;
        outcome.receiver = 0;
        outcome.noted = 0;
        outcome.rewrite.changes = 0;
    }

    /// The packet goes into the namespace of the target.
    pub(super) fn aim_at_target(&mut self) {
        self.outcome.ifindex = self.target.ifindex;
        self.outcome.receiver = self.target.index;
    }
}
