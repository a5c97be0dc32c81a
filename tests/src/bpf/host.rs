//! Packets decided on the host: netd-common's packet logic over plain tables, and its verdict
//! carried out on plain bytes.

use netd_common::{
    Addr,
    abi::{Program, drops::DropKey},
    packet::{
        Verdict, Work,
        fragment::parking,
        from_endpoint, from_uplink, icmp_error,
        testing::{Lot, turn_back},
        to_endpoint, to_uplink,
        view::ETHERNET,
    },
};

use super::{Input, Output, World, action, apply::apply, bare::bare, dns, tables::PlainTables};

/// The host's side.
pub struct Host {
    tables: PlainTables,
    // As in the kernel, a decision finds what the one before has left.
    work: Work,
}

/// What became of a packet, without its bytes.
#[derive(Clone, Copy, Debug)]
pub struct Fate {
    /// What the program returns.
    pub action: i32,
    /// The counter that a drop is counted in.
    pub dropped: Option<DropKey>,
    /// The program that the hook's has handed the packet to.
    pub handed_to: Option<Program>,
    verdict: Verdict,
    ifindex: u32,
    next_hop: Addr,
}

impl Host {
    /// In the given world, without flows.
    pub fn new(world: World) -> Host {
        Host {
            tables: PlainTables::new(world),
            work: Work::default(),
        }
    }

    /// The tables, after the last packet.
    pub fn tables(&self) -> &PlainTables {
        &self.tables
    }

    /// Whether there is a fragment to forget.
    pub fn has_fragments(&self) -> bool {
        !self.tables.fragments.is_empty() || !self.tables.lot.parked.is_empty()
    }

    /// Forgets every fragment: time stands still here, and in the kernel it does not.
    pub fn forget_fragments(&mut self) {
        self.tables.fragments.clear();
        self.tables.lot = Lot::default();
    }

    /// Forgets every flow.
    pub fn forget_flows(&mut self) {
        self.tables.flows.clear();
        self.tables.new_flows.clear();
    }

    /// What becomes of a packet, and the verdict in words.
    pub fn run(&mut self, input: &Input) -> (Output, String) {
        let mut bytes = Vec::new();
        let fate = self.decide(input, &mut bytes);
        let output = Output {
            action: fate.action,
            bytes,
            dropped: fate.dropped,
        };
        (output, self.words(&fate))
    }

    /// The same for who decides many: `bytes` becomes the packet afterwards.
    pub fn decide(&mut self, input: &Input, bytes: &mut Vec<u8>) -> Fate {
        bytes.clear();
        bytes.extend_from_slice(&input.bytes);
        self.tables.packet_length = input.bytes.len() as u32;
        let packet = input.bytes.as_slice();
        let bare = bare(packet);
        let is_forwarded = input.ingress != 0;
        let (tables, work) = (&mut self.tables, &mut self.work);
        let verdict = match input.program {
            Program::FromEndpoint => from_endpoint::decide(&packet, input.ifindex, tables, work),
            Program::ToEndpoint => {
                to_endpoint::decide(&packet, input.ifindex, input.ingress, tables, work)
            }
            Program::FromUplink => from_uplink::decide(&packet, input.ifindex, tables, work),
            Program::FromUplinkL3 => from_uplink::decide(&bare, input.ifindex, tables, work),
            Program::ToUplink => to_uplink::decide(&packet, is_forwarded, tables, work),
            Program::ToUplinkL3 => to_uplink::decide(&bare, is_forwarded, tables, work),
            other => panic!("{} is no hook of packets", other.name()),
        };
        match input.program {
            Program::FromUplinkL3 if verdict != Verdict::Pass => {
                bytes.splice(..0, bare.header());
                self.go_on(Program::FromUplink, bytes, verdict)
            }
            Program::FromUplinkL3 => self.go_on(Program::FromUplink, bytes, verdict),
            Program::ToUplinkL3 => {
                // Offsets of a rewrite are from an Ethernet header on.
                bytes.splice(..0, bare.header());
                let fate = self.go_on(Program::ToUplink, bytes, verdict);
                bytes.drain(..ETHERNET);
                fate
            }
            hook => self.go_on(hook, bytes, verdict),
        }
    }

    /// Where the hooks make their tail calls. A drop counts as that of `hook`.
    fn go_on(&mut self, hook: Program, bytes: &mut Vec<u8>, verdict: Verdict) -> Fate {
        match verdict {
            Verdict::IcmpError => self.decide_error(hook, bytes),
            Verdict::Fragment => {
                let mut lot = std::mem::take(&mut self.tables.lot);
                lot.again.clear();
                std::mem::swap(&mut lot.packet, bytes);
                let verdict = parking::decide(&mut self.tables, &mut lot, &mut self.work);
                std::mem::swap(&mut lot.packet, bytes);
                self.tables.lot = lot;
                handed(self.carry_out(hook, bytes, verdict), Program::Fragments)
            }
            Verdict::Dns => {
                let verdict = dns::decide(bytes, &mut self.tables, &mut self.work, 0);
                let fate = self.carry_out(Program::Dns, bytes, verdict);
                handed(fate, Program::Dns)
            }
            verdict => self.carry_out(hook, bytes, verdict),
        }
    }

    /// Program `icmp`; what it drops counts as the hook's.
    fn decide_error(&mut self, hook: Program, bytes: &mut Vec<u8>) -> Fate {
        let verdict = icmp_error::decide(&bytes.as_slice(), &mut self.tables, &mut self.work);
        if matches!(verdict, Verdict::Peer | Verdict::Neighbour) {
            turn_back(&self.work, bytes);
        }
        let mut fate = self.carry_out(hook, bytes, verdict);
        if verdict == Verdict::Answer {
            fate.dropped = Some(DropKey {
                reason: self.work.quote.refusal as u16,
                program: hook as u16,
                network: self.work.outcome.network,
            });
        }
        handed(fate, Program::Icmp)
    }

    fn carry_out(&self, program: Program, bytes: &mut Vec<u8>, verdict: Verdict) -> Fate {
        let outcome = &self.work.outcome;
        let counted = |reason: u16| DropKey {
            reason,
            program: program as u16,
            network: outcome.network,
        };
        let mut dropped = (outcome.noted != 0).then(|| counted(outcome.noted as u16));
        let action = match verdict {
            Verdict::Pass => action::UNSPEC,
            Verdict::Host => {
                apply(bytes, &outcome.rewrite);
                match program {
                    Program::FromEndpoint => action::OK,
                    _ => action::UNSPEC,
                }
            }
            Verdict::Peer | Verdict::Neighbour => {
                apply(bytes, &outcome.rewrite);
                action::REDIRECT
            }
            Verdict::Flood => action::REDIRECT,
            Verdict::Answer => {
                let answer = &self.work.answer;
                bytes.clear();
                bytes.extend_from_slice(&answer.bytes[..answer.len.into()]);
                action::REDIRECT
            }
            Verdict::Kept => action::SHOT,
            Verdict::Drop(reason) => {
                dropped = Some(counted(reason as u16));
                action::SHOT
            }
            Verdict::Dns => panic!("program dns decides otherwise"),
            Verdict::IcmpError => panic!("program icmp decides otherwise"),
            Verdict::Fragment => panic!("program fragments decides otherwise"),
        };
        Fate {
            action,
            dropped,
            handed_to: None,
            verdict,
            ifindex: outcome.ifindex,
            next_hop: outcome.next_hop,
        }
    }

    /// A fate as the files have it.
    pub fn words(&self, fate: &Fate) -> String {
        let peer = self.tables.world.name_of(fate.ifindex);
        match fate.verdict {
            Verdict::Pass => "pass".to_owned(),
            Verdict::Host => "host".to_owned(),
            Verdict::Peer => format!("peer {peer}"),
            Verdict::Neighbour => {
                let next_hop = std::net::IpAddr::from(fate.next_hop);
                format!("neighbour {peer} {next_hop}")
            }
            Verdict::Flood => format!("flood {peer}"),
            Verdict::Answer => "answer".to_owned(),
            Verdict::Kept => "kept".to_owned(),
            Verdict::Drop(reason) => format!("drop {}", reason.name()),
            other => format!("{other:?}"),
        }
    }
}

fn handed(fate: Fate, program: Program) -> Fate {
    Fate {
        handed_to: Some(program),
        ..fate
    }
}
