//! Answers read back with hickory-proto, an implementation nobody here wrote.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hickory_proto::{
    op::{Edns, Message, MessageType, OpCode, Query, ResponseCode},
    rr::{DNSClass, Name, RData, RecordType},
};
use netd_common::limits::{DNS_EDNS_SIZE, DNS_TTL};
use proptest::prelude::*;

use super::*;
use crate::model::WireName;

const CLIENT: &str = "172.18.0.2";

fn addresses(count: u8) -> Vec<Ipv4Addr> {
    (1..=count).map(|i| Ipv4Addr::new(172, 18, 1, i)).collect()
}

fn table() -> Table {
    let table = Table::new();
    let wire = |text: &str| -> WireName { text.parse().unwrap() };
    let host = |v4: Vec<Ipv4Addr>, v6: Vec<Ipv6Addr>| Record::Host { v4, v6 };
    let v6 = "fd00::3".parse().unwrap();
    table.replace_name(2, wire("db"), host(addresses(1), vec![v6]));
    table.replace_name(2, wire("few"), host(addresses(3), vec![]));
    table.replace_name(2, wire("many"), host(addresses(100), vec![]));
    table.replace_name(
        2,
        WireName::reverse(Ipv4Addr::new(172, 18, 1, 1).into()),
        Record::Pointer(wire("db.app")),
    );
    table.replace_client(CLIENT.parse().unwrap(), client());
    table
}

fn client() -> Client {
    Client {
        scopes: vec![9, 2],
        subnets: vec![
            "172.18.0.0/16".parse().unwrap(),
            "fd00::/64".parse().unwrap(),
        ],
        forward: true,
        ..Client::default()
    }
}

fn question(name: &str, record_type: RecordType) -> Message {
    let mut message = Message::new(0x1234, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), record_type));
    message
}

fn with_edns(mut message: Message, size: u16, dnssec: bool) -> Message {
    let mut edns = Edns::new();
    edns.set_max_payload(size)
        .set_version(0)
        .set_dnssec_ok(dnssec);
    message.set_edns(edns);
    message
}

fn ask_as(client: Client, message: &Message, transport: Transport) -> Option<Message> {
    let bytes = message.to_vec().unwrap();
    match decide(&bytes, Some(client.into()), &table(), transport, 0) {
        Decision::Answer { bytes, .. } => {
            if transport == Transport::Udp {
                assert!(bytes.len() <= usize::from(message.max_payload()));
            }
            let answer = Message::from_vec(&bytes).unwrap();
            assert_eq!(answer.metadata.id, message.metadata.id);
            assert_eq!(answer.metadata.message_type, MessageType::Response);
            assert!(answer.metadata.recursion_available && answer.metadata.recursion_desired);
            assert!(!answer.metadata.authoritative);
            assert_eq!(answer.queries, message.queries);
            assert_eq!(answer.edns.is_some(), message.edns.is_some());
            Some(answer)
        }
        Decision::Forward(question, _) => {
            assert_eq!(question.message, bytes);
            None
        }
        Decision::Ignore => panic!("ignored"),
    }
}

fn ask(message: &Message, transport: Transport) -> Option<Message> {
    ask_as(client(), message, transport)
}

fn ips(answer: &Message) -> Vec<IpAddr> {
    let data = answer.answers.iter().map(|record| {
        assert_eq!(record.ttl, DNS_TTL);
        match &record.data {
            RData::A(a) => IpAddr::V4(a.0),
            RData::AAAA(aaaa) => IpAddr::V6(aaaa.0),
            other => panic!("{other:?}"),
        }
    });
    data.collect()
}

#[test]
fn known_names_have_addresses_and_nothing_else() {
    let a = ask(&question("Db.", RecordType::A), Transport::Udp).unwrap();
    assert_eq!(ips(&a), [IpAddr::from([172, 18, 1, 1])]);
    assert_eq!(a.answers[0].name.to_ascii(), "Db.");
    let aaaa = ask(&question("db.", RecordType::AAAA), Transport::Udp).unwrap();
    assert_eq!(ips(&aaaa), ["fd00::3".parse::<IpAddr>().unwrap()]);
    for other in [
        RecordType::TXT,
        RecordType::MX,
        RecordType::ANY,
        RecordType::PTR,
        RecordType::HTTPS,
    ] {
        let answer = ask(&question("db.", other), Transport::Udp).unwrap();
        assert_eq!(answer.metadata.response_code, ResponseCode::NoError);
        assert_eq!(answer.answers, []);
    }
    let mut chaos = question("db.", RecordType::A);
    chaos.queries[0].set_query_class(DNSClass::CH);
    assert_eq!(ask(&chaos, Transport::Udp).unwrap().answers, []);
}

#[test]
fn reverse_names() {
    let ptr = |name: &str| ask(&question(name, RecordType::PTR), Transport::Udp);
    let known = ptr("1.1.18.172.in-addr.arpa.").unwrap();
    let [record] = &known.answers[..] else {
        panic!("{known:?}")
    };
    assert!(matches!(&record.data, RData::PTR(name) if name.0.to_ascii() == "db.app."));
    for own in [
        "1.0.18.172.in-addr.arpa.",
        &WireName::reverse("fd00::9".parse().unwrap()).to_string(),
    ] {
        let denied = ptr(own).unwrap();
        assert_eq!(denied.metadata.response_code, ResponseCode::NXDomain);
    }
    assert_eq!(ptr("1.113.0.203.in-addr.arpa."), None);
}

#[test]
fn what_is_not_known_is_forwarded_where_that_is_allowed() {
    for name in ["nosuch.", "example.com."] {
        assert_eq!(ask(&question(name, RecordType::A), Transport::Udp), None);
    }
    let internal = Client {
        forward: false,
        ..client()
    };
    let answer = ask_as(
        internal,
        &question("example.com.", RecordType::A),
        Transport::Udp,
    );
    assert_eq!(
        answer.unwrap().metadata.response_code,
        ResponseCode::ServFail
    );
    let ndots = Client {
        single_labels_stay: true,
        ..client()
    };
    let ask =
        |name, record_type| ask_as(ndots.clone(), &question(name, record_type), Transport::Udp);
    let answer = ask("nosuch.", RecordType::A).unwrap();
    assert_eq!(answer.metadata.response_code, ResponseCode::NoError);
    assert_eq!(ask("nosuch.", RecordType::TXT), None);
    assert_eq!(ask("example.com.", RecordType::A), None);
}

#[test]
fn answers_over_udp_are_cut_to_what_the_client_takes() {
    let many = question("many.", RecordType::A);
    let plain = ask(&many, Transport::Udp).unwrap();
    assert!(plain.metadata.truncation && plain.answers.len() == 30);
    let edns = ask(&with_edns(many.clone(), 4096, true), Transport::Udp).unwrap();
    assert!(edns.metadata.truncation && edns.answers.len() == 74);
    let opt = edns.edns.as_ref().unwrap();
    assert_eq!((opt.max_payload(), opt.version()), (DNS_EDNS_SIZE, 0));
    assert!(opt.flags().dnssec_ok);
    let tcp = ask(&many, Transport::Tcp).unwrap();
    assert!(!tcp.metadata.truncation && ips(&tcp).len() == 100);
}

#[test]
fn addresses_are_rotated() {
    let bytes = question("few.", RecordType::A).to_vec().unwrap();
    let first = |turn| {
        let client = Some(client().into());
        match decide(&bytes, client, &table(), Transport::Udp, turn) {
            Decision::Answer { bytes, .. } => ips(&Message::from_vec(&bytes).unwrap())[0],
            other => panic!("{other:?}"),
        }
    };
    let firsts: Vec<IpAddr> = [0, u32::MAX / 2, u32::MAX].into_iter().map(first).collect();
    assert_eq!(
        firsts,
        addresses(3).into_iter().map(IpAddr::V4).collect::<Vec<_>>()
    );
}

#[test]
fn strangers_transfers_and_unknown_versions_are_refused() {
    let decide = |message: &Message, client: Option<Client>| {
        let bytes = message.to_vec().unwrap();
        match decide(&bytes, client.map(Arc::new), &table(), Transport::Udp, 0) {
            Decision::Answer { bytes, kind } => {
                assert_eq!(kind, Kind::Refused);
                Message::from_vec(&bytes).unwrap().metadata.response_code
            }
            other => panic!("{other:?}"),
        }
    };
    let known = question("db.", RecordType::A);
    assert_eq!(decide(&known, None), ResponseCode::Refused);
    let transfer = question("app.", RecordType::AXFR);
    assert_eq!(decide(&transfer, Some(client())), ResponseCode::Refused);
    let mut future = with_edns(known, 1232, false);
    future.edns.as_mut().unwrap().set_version(1);
    // 16 is BADVERS in a header and BADSIG in a TSIG record: hickory has the latter name for both.
    assert_eq!(u16::from(decide(&future, Some(client()))), 16);
}

#[test]
fn what_is_no_question_gets_an_error_or_nothing() {
    let bytes = question("db.", RecordType::A).to_vec().unwrap();
    let with = |offset: usize, value: u8| {
        let mut bytes = bytes.clone();
        bytes[offset] = value;
        bytes
    };
    let rcode =
        |bytes: &[u8]| match decide(bytes, Some(client().into()), &table(), Transport::Udp, 0) {
            Decision::Answer { bytes, kind } => {
                assert_eq!(kind, Kind::Malformed);
                let answer = Message::from_vec(&bytes).unwrap();
                assert_eq!(answer.queries, []);
                Some(answer.metadata.response_code)
            }
            Decision::Ignore => None,
            Decision::Forward(..) => panic!("forwarded"),
        };
    assert_eq!(rcode(&bytes[..11]), None, "too short");
    assert_eq!(rcode(&with(2, 0x81)), None, "an answer");
    assert_eq!(
        rcode(&with(2, 0x28)),
        Some(ResponseCode::NotImp),
        "an update"
    );
    assert_eq!(
        rcode(&with(5, 2)),
        Some(ResponseCode::FormErr),
        "two questions"
    );
    assert_eq!(
        rcode(&with(5, 0)),
        Some(ResponseCode::FormErr),
        "no question"
    );
    assert_eq!(
        rcode(&with(11, 1)),
        Some(ResponseCode::FormErr),
        "a missing record"
    );
    assert_eq!(
        rcode(&with(12, 0xc0)),
        Some(ResponseCode::FormErr),
        "a pointer"
    );
    assert_eq!(
        rcode(&bytes[..bytes.len() - 1]),
        Some(ResponseCode::FormErr),
        "cut off"
    );
}

proptest! {
    #[test]
    fn any_bytes_are_decided(bytes in prop::collection::vec(any::<u8>(), 0..600), turn: u32) {
        if let Decision::Answer { bytes: answer, .. } =
            decide(&bytes, Some(client().into()), &table(), Transport::Udp, turn)
        {
            prop_assert!(answer.len() <= usize::from(DNS_EDNS_SIZE));
            prop_assert!(Question::read(&answer) == Err(NoQuestion::Ignore), "an answer is a question");
        }
    }

    #[test]
    fn a_question_with_changed_bytes_is_decided(
        changes in prop::collection::vec((0usize..60, any::<u8>()), 0..6),
        cut in 0usize..60,
    ) {
        let mut bytes = with_edns(question("db.", RecordType::A), 1232, true).to_vec().unwrap();
        for (offset, byte) in changes {
            let offset = offset % bytes.len();
            bytes[offset] = byte;
        }
        bytes.truncate(bytes.len().saturating_sub(cut % 8));
        if let Decision::Answer { bytes: answer, .. } =
            decide(&bytes, Some(client().into()), &table(), Transport::Tcp, 0)
        {
            prop_assert!(Message::from_vec(&answer).is_ok());
        }
    }
}
