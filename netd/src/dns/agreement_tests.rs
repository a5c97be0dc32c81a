//! The agent and the BPF program give the same bytes for every name and type that both know; but
//! the agent may write the end of a PTR's target as a pointer to the question's (RFC 1035 section
//! 4.1.4), where a network is called `arpa`, say.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use hickory_proto::{
    op::{Edns, Message, MessageType, OpCode, Query},
    rr::{DNSClass, Name as QueryName, RecordType},
};
use netd_common::{
    abi::name::{Name, NameKey, Scopes, name_kind},
    limits::{MAX_DNS_MESSAGE, MAX_NAME_V4, MAX_NAME_V6},
    packet::dns::{Exchange, Names, Question},
};
use proptest::prelude::*;

use super::{
    answer::{Decision, Kind, Transport, decide},
    table::{Client, Record, Table},
};
use crate::model::WireName;

/// The map `NAMES`.
pub(crate) struct Map(pub(crate) HashMap<NameKey, Name>);

impl Names for Map {
    fn name(&mut self, key: &NameKey) -> Option<&Name> {
        self.0.get(key)
    }
}

/// The map's value of a record that fits it.
fn entry(record: &Record) -> Name {
    let mut name = Name {
        kind: name_kind::HOST,
        count_v4: 0,
        count_v6: 0,
        target_len: 0,
        v4: Default::default(),
        v6: Default::default(),
        target: [0; 129],
        reserved: [0; 3],
    };
    match record {
        Record::Host { v4, v6 } => {
            (name.count_v4, name.count_v6) = (v4.len() as u8, v6.len() as u8);
            for (slot, address) in name.v4.iter_mut().zip(v4) {
                *slot = address.octets();
            }
            for (slot, address) in name.v6.iter_mut().zip(v6) {
                *slot = address.octets();
            }
        }
        Record::Pointer(target) => {
            name.kind = name_kind::POINTER;
            name.target_len = target.as_bytes().len() as u8;
            name.target = target.padded().unwrap();
        }
    }
    name
}

/// What the BPF program makes of a question; `None`: it hands it to the agent.
pub(crate) fn bpf(message: &[u8], scopes: &[u32], names: &mut Map, random: u32) -> Option<Vec<u8>> {
    let mut exchange = Exchange {
        message: [0xee; MAX_DNS_MESSAGE],
        key: NameKey {
            scope: 0,
            name: [0; 129],
            reserved: [0; 3],
        },
        question: Question::default(),
        len: 0,
        turn: 0,
    };
    exchange.expect(message.len())?;
    exchange
        .message
        .get_mut(..message.len())?
        .copy_from_slice(message);
    let mut list = Scopes {
        count: scopes.len() as u32,
        ..Scopes::default()
    };
    list.scopes[..scopes.len()].copy_from_slice(scopes);
    exchange.read_name()?;
    exchange.read_question()?;
    exchange.answer(&list, names, random)?;
    let length = usize::from(exchange.len);
    Some(exchange.message[..length].to_vec())
}

fn records() -> impl Strategy<Value = Record> {
    let wire = |text: String| text.parse::<WireName>().unwrap();
    prop_oneof![
        (
            prop::collection::vec(any::<Ipv4Addr>(), 0..=MAX_NAME_V4),
            prop::collection::vec(any::<Ipv6Addr>(), 0..=MAX_NAME_V6)
        )
            .prop_map(|(v4, v6)| Record::Host { v4, v6 }),
        "[a-z0-9]{1,63}\\.[a-z0-9]{1,63}"
            .prop_map(wire)
            .prop_map(Record::Pointer),
    ]
}

fn asked() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-cA-C]",
        "[a-c]\\.App",
        any::<IpAddr>().prop_map(|address| WireName::reverse(address).to_string()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]
    #[test]
    fn both_give_the_same_answer(
        names in prop::collection::vec((1u32..4, asked(), records()), 0..8),
        scopes in prop::collection::vec(1u32..4, 0..4),
        other in asked(),
        pick in any::<prop::sample::Index>(),
        record_type in prop::sample::select(vec![1u16, 28, 12, 15, 16, 255, 65, 252]),
        is_internet in any::<bool>(),
        id in any::<u16>(),
        (recursion, checking_disabled) in any::<(bool, bool)>(),
        edns in any::<Option<(u16, bool)>>(),
        random in any::<u32>(),
    ) {
        let table = Table::new();
        let mut map = Map(HashMap::new());
        for (scope, name, record) in &names {
            let name: WireName = name.parse().unwrap();
            map.0.insert(name.key(*scope).unwrap(), entry(record));
            table.replace_name(*scope, name, record.clone());
        }
        let all: Vec<&String> = names.iter().map(|(_, name, _)| name).chain([&other]).collect();
        let mut message = Message::new(id, MessageType::Query, OpCode::Query);
        message.metadata.recursion_desired = recursion;
        message.metadata.checking_disabled = checking_disabled;
        let name = QueryName::from_ascii(all[pick.index(all.len())]).unwrap();
        let mut query = Query::query(name, RecordType::from(record_type));
        query.set_query_class(if is_internet { DNSClass::IN } else { DNSClass::CH });
        message.add_query(query);
        if let Some((size, dnssec)) = edns {
            let mut edns = Edns::new();
            edns.set_max_payload(size).set_version(0).set_dnssec_ok(dnssec);
            message.set_edns(edns);
        }
        let message = message.to_vec().unwrap();
        let client = Client { scopes: scopes.clone(), forward: true, ..Client::default() };
        let by_agent = match decide(&message, Some(Arc::new(client)), &table, Transport::Udp, random) {
            Decision::Answer { bytes, kind: Kind::Local } => Some(bytes),
            Decision::Answer { kind: Kind::Refused, .. } | Decision::Forward(..) => None,
            other => panic!("{other:?}"),
        };
        let by_bpf = bpf(&message, &scopes, &mut map, random);
        if is_internet || by_bpf.is_some() {
            if record_type == u16::from(RecordType::PTR) {
                let read = |answer: Option<Vec<u8>>| answer.map(|answer| Message::from_vec(&answer).unwrap());
                prop_assert_eq!(read(by_bpf), read(by_agent));
            } else {
                prop_assert_eq!(by_bpf, by_agent);
            }
        }
    }
}
