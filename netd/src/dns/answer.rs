//! What becomes of a message: answered from the table, forwarded, or refused. Pure but for the
//! look-ups; gives what the BPF program gives for every name that both know.

use std::sync::Arc;

use hickory_proto::{
    op::ResponseCode,
    rr::{DNSClass, RecordType},
};

use super::{
    message::{self, Data, NoQuestion, Question},
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
#[derive(Clone, Debug, PartialEq)]
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
        return reply(Kind::Refused, ResponseCode::Refused, &[]);
    };
    if question
        .edns
        .as_ref()
        .is_some_and(|edns| edns.version() != 0)
    {
        return reply(Kind::Refused, ResponseCode::BADVERS, &[]);
    }
    if let Some(record) = table.name(&client.scopes, &question.name) {
        return reply(
            Kind::Local,
            ResponseCode::NoError,
            &records(&record, &question, random),
        );
    }
    if let RecordType::AXFR | RecordType::IXFR = question.query.query_type() {
        return reply(Kind::Refused, ResponseCode::Refused, &[]);
    }
    if is_own_reverse(&client, &question) {
        return reply(Kind::Local, ResponseCode::NXDomain, &[]);
    }
    if client.single_labels_stay && is_single_label_host(&question) {
        return reply(Kind::Withheld, ResponseCode::NoError, &[]);
    }
    if !client.forward {
        return reply(Kind::Withheld, ResponseCode::ServFail, &[]);
    }
    Decision::Forward(question, client)
}

/// The records of the type asked for. Of other types a known name has none, and saying so here
/// keeps it from leaking to the upstreams.
fn records(record: &Record, question: &Question, random: u32) -> Vec<Data> {
    if question.query.query_class() != DNSClass::IN {
        return Vec::new();
    }
    let mut records: Vec<Data> = match (record, question.query.query_type()) {
        (Record::Host { v4, .. }, RecordType::A) => v4.iter().copied().map(Data::A).collect(),
        (Record::Host { v6, .. }, RecordType::AAAA) => v6.iter().copied().map(Data::Aaaa).collect(),
        (Record::Pointer(target), RecordType::PTR) => vec![Data::Ptr(target.clone())],
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
    let is_host = matches!(
        question.query.query_type(),
        RecordType::A | RecordType::AAAA
    );
    is_host && question.name.labels().count() == 1
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
