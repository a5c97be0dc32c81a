//! Packets decided on the host: netd-common's packet logic over plain tables, and its verdict
//! carried out on plain bytes.

use netd_common::{
    DropReason,
    abi::{Program, drops::DropKey},
    packet::{
        Verdict, Work,
        fragment::parking,
        from_endpoint, from_uplink, icmp_error,
        testing::{Lot, turn_back},
        to_endpoint, to_uplink,
    },
};

use super::{Input, Output, World, action, apply::apply, dns, tables::PlainTables};

/// The host's side.
pub struct Host {
    tables: PlainTables,
}

impl Host {
    /// In the given world, without flows.
    pub fn new(world: World) -> Host {
        Host {
            tables: PlainTables::new(world),
        }
    }

    /// The tables, after the last packet.
    pub fn tables(&self) -> &PlainTables {
        &self.tables
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
        self.tables.packet_length = input.bytes.len() as u32;
        let mut work = Work::default();
        let packet = input.bytes.as_slice();
        let is_forwarded = input.ingress != 0;
        let tables = &mut self.tables;
        let verdict = match input.program {
            Program::FromEndpoint => {
                from_endpoint::decide(&packet, input.ifindex, tables, &mut work)
            }
            Program::ToEndpoint => {
                to_endpoint::decide(&packet, input.ifindex, is_forwarded, tables, &mut work)
            }
            Program::FromUplink => from_uplink::decide(&packet, input.ifindex, tables, &mut work),
            Program::ToUplink => to_uplink::decide(&packet, is_forwarded, tables, &mut work),
            other => panic!("{} is no hook of packets", other.name()),
        };
        let mut bytes = input.bytes.clone();
        if verdict == Verdict::IcmpError {
            // Where the hooks make their tail call; it counts as theirs.
            let verdict = icmp_error::decide(&packet, tables, &mut work);
            if matches!(verdict, Verdict::Peer | Verdict::Neighbour) {
                turn_back(&work, &mut bytes);
            }
            let (mut output, words) = self.carry_out(input, input.program, bytes, verdict, &work);
            if verdict == Verdict::Answer {
                output.dropped = Some(DropKey {
                    reason: work.quote.refusal as u16,
                    program: input.program as u16,
                    network: work.outcome.network,
                });
            }
            return (output, words);
        }
        if verdict == Verdict::Fragment {
            let mut lot = std::mem::take(&mut self.tables.lot);
            lot.packet = bytes;
            let verdict = parking::decide(&mut self.tables, &mut lot, &mut work);
            bytes = std::mem::take(&mut lot.packet);
            self.tables.lot = lot;
            return self.carry_out(input, input.program, bytes, verdict, &work);
        }
        if verdict != Verdict::Dns {
            return self.carry_out(input, input.program, bytes, verdict, &work);
        }
        // Where `from_endpoint` makes its tail call.
        let verdict = dns::decide(&mut bytes, &mut self.tables, &mut work, 0);
        self.carry_out(input, Program::Dns, bytes, verdict, &work)
    }

    fn carry_out(
        &self,
        input: &Input,
        program: Program,
        mut bytes: Vec<u8>,
        verdict: Verdict,
        work: &Work,
    ) -> (Output, String) {
        let outcome = &work.outcome;
        let peer = self.tables.world.name_of(outcome.ifindex);
        let (action, words) = match verdict {
            Verdict::Pass => (action::UNSPEC, "pass".to_owned()),
            Verdict::Host => {
                apply(&mut bytes, &outcome.rewrite);
                let action = if program == Program::FromEndpoint {
                    action::OK
                } else {
                    action::UNSPEC
                };
                (action, "host".to_owned())
            }
            Verdict::Peer => {
                apply(&mut bytes, &outcome.rewrite);
                (action::REDIRECT, format!("peer {peer}"))
            }
            Verdict::Neighbour => {
                apply(&mut bytes, &outcome.rewrite);
                let next_hop = std::net::IpAddr::from(outcome.next_hop);
                (action::REDIRECT, format!("neighbour {peer} {next_hop}"))
            }
            Verdict::Answer => {
                bytes = work.answer.bytes[..work.answer.len.into()].to_vec();
                (action::REDIRECT, "answer".to_owned())
            }
            Verdict::Kept => (action::SHOT, "kept".to_owned()),
            Verdict::Drop(reason) => return dropped(input, program, reason, outcome.network),
            Verdict::Dns => panic!("program dns decides otherwise"),
            Verdict::IcmpError => panic!("program icmp decides otherwise"),
            Verdict::Fragment => panic!("program fragments decides otherwise"),
        };
        let noted = (outcome.noted != 0).then_some(DropKey {
            reason: outcome.noted as u16,
            program: program as u16,
            network: outcome.network,
        });
        let output = Output {
            action,
            bytes,
            dropped: noted,
        };
        (output, words)
    }
}

fn dropped(input: &Input, program: Program, reason: DropReason, network: u32) -> (Output, String) {
    let key = DropKey {
        reason: reason as u16,
        program: program as u16,
        network,
    };
    let output = Output {
        action: action::SHOT,
        bytes: input.bytes.clone(),
        dropped: Some(key),
    };
    (output, format!("drop {}", reason.name()))
}
