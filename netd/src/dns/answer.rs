//! What becomes of a message: answered from the table, forwarded, or refused. Pure but for the
//! look-ups; gives what the BPF program gives for every name that both know.

use std::sync::Arc;

use super::{
    message::{self, CLASS_IN, Data, NoQuestion, Question, Rcode, record_type},
    table::{Client, Record, Table},
};

/// How a message came, which bounds the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// One datagram: 512 octets, or what EDNS says.
    Udp,
    /// Any size.
    Tcp,
}

/// What becomes of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// This goes back.
    Answer {
        /// The whole message.
        bytes: Vec<u8>,
        /// Why, for the counters.
        kind: Kind,
    },
    /// The client's upstreams are asked.
    Forward(Question, Arc<Client>),
    /// Nothing goes back.
    Ignore,
}

/// Kinds of answers that are counted apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// About a name or subnet of netd.
    Local,
    /// Not forwarded: an internal network, or a single label under `ndots`.
    Withheld,
    /// An unknown client, a transfer, an unknown EDNS version.
    Refused,
    /// Not a question.
    Malformed,
}

/// Decides about `message`, asked by `client` (`None`: its address is no endpoint's). `random`
/// chooses which address of a name comes first, so that clients spread over them.
pub fn decide(
    message: &[u8],
    client: Option<Arc<Client>>,
    table: &Table,
    transport: Transport,
    random: u32,
) -> Decision {
    let question = match Question::read(message) {
        Ok(question) => question,
        Err(NoQuestion::Ignore) => return Decision::Ignore,
        Err(NoQuestion::Error(rcode)) => {
            let bytes = message::error(message, rcode);
            let kind = Kind::Malformed;
            return Decision::Answer { bytes, kind };
        }
    };
    let limit = match transport {
        Transport::Udp => question.udp_limit(),
        Transport::Tcp => usize::from(u16::MAX),
    };
    let reply = |kind, rcode, records: &[Data]| Decision::Answer {
        bytes: question.answer(rcode, records, limit),
        kind,
    };
    let Some(client) = client else {
        return reply(Kind::Refused, Rcode::Refused, &[]);
    };
    if question.edns.is_some_and(|edns| edns.version != 0) {
        return reply(Kind::Refused, Rcode::BadVers, &[]);
    }
    if let Some(record) = table.name(&client.scopes, &question.name) {
        return reply(
            Kind::Local,
            Rcode::NoError,
            &records(&record, &question, random),
        );
    }
    if let record_type::AXFR | record_type::IXFR = question.record_type {
        return reply(Kind::Refused, Rcode::Refused, &[]);
    }
    if is_own_reverse(&client, &question) {
        return reply(Kind::Local, Rcode::NxDomain, &[]);
    }
    if client.single_labels_stay && is_single_label_host(&question) {
        return reply(Kind::Withheld, Rcode::NoError, &[]);
    }
    if !client.forward {
        return reply(Kind::Withheld, Rcode::ServFail, &[]);
    }
    Decision::Forward(question, client)
}

/// The records of the type asked for. Of other types a known name has none, and saying so here
/// keeps it from leaking to the upstreams.
fn records(record: &Record, question: &Question, random: u32) -> Vec<Data> {
    if question.class != CLASS_IN {
        return Vec::new();
    }
    let mut records: Vec<Data> = match (record, question.record_type) {
        (Record::Host { v4, .. }, record_type::A) => v4.iter().copied().map(Data::A).collect(),
        (Record::Host { v6, .. }, record_type::AAAA) => {
            v6.iter().copied().map(Data::Aaaa).collect()
        }
        (Record::Pointer(target), record_type::PTR) => vec![Data::Ptr(target.clone())],
        _ => Vec::new(),
    };
    // Multiply and shift, as the BPF program does: below the number of records.
    let first = (u64::from(random) * records.len() as u64) >> 32;
    records.rotate_left(first as usize);
    records
}

/// A reverse name of an address in one of the client's own networks, which no endpoint has now.
/// Docker forwards it; here it is denied: netd gives out these addresses, so nobody else can know,
/// and servers that look up their peers (the gateway's address, say) need not wait for an upstream.
fn is_own_reverse(client: &Client, question: &Question) -> bool {
    let address = question.name.reversed();
    address.is_some_and(|address| {
        client
            .subnets
            .iter()
            .any(|subnet| subnet.contains(&address))
    })
}

fn is_single_label_host(question: &Question) -> bool {
    let is_host = matches!(question.record_type, record_type::A | record_type::AAAA);
    is_host && question.name.labels().count() == 1
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
