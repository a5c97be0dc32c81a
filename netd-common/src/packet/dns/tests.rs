//! Questions and answers as hickory-proto reads and writes them, and hostile messages. Where an
//! answer differs from what Docker 20.10 gives, the test says so.

use std::{
    collections::HashMap,
    net::{Ipv4Addr, Ipv6Addr},
};

use hickory_proto::{
    op::{Edns, Message as Parsed, MessageType, OpCode, Query, ResponseCode},
    rr::{
        DNSClass, Name as DomainName, RData, RecordType,
        rdata::{PTR, opt::EdnsOption},
    },
};
use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, proptest};

use super::{Exchange, Names, Question, answer::MAX_ANSWER};
use crate::{
    abi::name::{Name, NameKey, Scopes, name_kind},
    limits::{
        DNS_EDNS_SIZE, DNS_TTL, MAX_DNS_MESSAGE, MAX_NAME, MAX_NAME_V4, MAX_NAME_V6, MAX_SCOPES,
    },
};

struct Fake(HashMap<NameKey, Name>);

impl Names for Fake {
    fn name(&mut self, key: &NameKey) -> Option<&Name> {
        self.0.get(key)
    }
}

fn wire<const N: usize>(name: &str) -> ([u8; N], usize) {
    let mut octets = [0; N];
    let mut at = 0;
    for label in name.split('.').filter(|label| !label.is_empty()) {
        octets[at] = label.len() as u8;
        octets[at + 1..at + 1 + label.len()].copy_from_slice(label.as_bytes());
        at += 1 + label.len();
    }
    (octets, at + 1)
}

fn key(scope: u32, name: &str) -> NameKey {
    NameKey {
        scope,
        name: wire(name).0,
        reserved: [0; 3],
    }
}

fn empty(kind: u8) -> Name {
    Name {
        kind,
        count_v4: 0,
        count_v6: 0,
        target_len: 0,
        v4: [[0; 4]; MAX_NAME_V4],
        v6: [[0; 16]; MAX_NAME_V6],
        target: [0; MAX_NAME],
        reserved: [0; 3],
    }
}

fn host(v4: &[Ipv4Addr], v6: &[Ipv6Addr]) -> Name {
    let mut name = empty(name_kind::HOST);
    name.count_v4 = v4.len() as u8;
    name.count_v6 = v6.len() as u8;
    for (slot, address) in name.v4.iter_mut().zip(v4) {
        *slot = address.octets();
    }
    for (slot, address) in name.v6.iter_mut().zip(v6) {
        *slot = address.octets();
    }
    name
}

fn pointer(target: &str) -> Name {
    let mut name = empty(name_kind::POINTER);
    let (octets, len) = wire(target);
    name.target = octets;
    name.target_len = len as u8;
    name
}

const FIRST: Ipv4Addr = Ipv4Addr::new(172, 18, 0, 2);

/// Names of the tests, in scope 2 unless the name says otherwise.
fn names() -> Fake {
    let eight: Vec<Ipv4Addr> = (1..=8).map(|i| Ipv4Addr::new(172, 18, 0, i)).collect();
    let six: Vec<Ipv6Addr> = (1..=6)
        .map(|i| Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, i))
        .collect();
    Fake(HashMap::from([
        (key(2, "a1"), host(&[FIRST], &[])),
        (key(2, "a1.app"), host(&[FIRST], &[six[1]])),
        (key(2, "six"), host(&[], &[six[0]])),
        (key(2, "many"), host(&eight, &six)),
        (key(2, &long()), host(&eight, &six)),
        (key(2, "more"), empty(name_kind::AGENT)),
        (key(2, "odd"), empty(77)),
        (key(2, "2.0.18.172.in-addr.arpa"), pointer("a1.app.")),
        (key(2, &format!("x.{}", &long()[2..])), pointer(&long())),
        (key(4, "a1"), host(&[Ipv4Addr::new(10, 0, 0, 9)], &[])),
        (key(4, "second"), host(&[Ipv4Addr::new(10, 0, 0, 8)], &[])),
    ]))
}

/// The longest name that a map key holds.
fn long() -> String {
    format!("{}.{}", "a".repeat(63), "b".repeat(63))
}

fn exchange(message: &[u8]) -> Exchange {
    let mut buffer = [0xee; MAX_DNS_MESSAGE];
    buffer[..message.len()].copy_from_slice(message);
    Exchange {
        message: buffer,
        key: NameKey {
            scope: 99,
            name: [0xee; MAX_NAME],
            reserved: [0xee; 3],
        },
        question: Question::default(),
        len: 0xeeee,
        turn: 0,
    }
}

fn scopes(list: &[u32]) -> Scopes {
    let mut scopes = Scopes {
        count: list.len() as u32,
        scopes: [0; MAX_SCOPES],
    };
    scopes.scopes[..list.len()].copy_from_slice(list);
    scopes
}

fn read(exchange: &mut Exchange, len: usize) -> Option<()> {
    exchange.len = len as u16;
    exchange.read_name()?;
    exchange.read_question()
}

/// The answer's bytes; `None` is the agent's.
fn ask_raw(message: &[u8], order: &[u32], random: u32) -> Option<Vec<u8>> {
    let mut exchange = exchange(message);
    read(&mut exchange, message.len())?;
    exchange.answer(&scopes(order), &mut names(), random)?;
    Some(exchange.message[..exchange.len.into()].to_vec())
}

fn query(name: &str, kind: RecordType) -> Parsed {
    let name = DomainName::from_ascii(name).expect("a name");
    let mut message = Parsed::new(0x1234, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(name, kind));
    message
}

fn ask(question: &Parsed) -> Option<Parsed> {
    let bytes = ask_raw(&question.to_vec().expect("encodes"), &[2], 0)?;
    Some(Parsed::from_vec(&bytes).expect("the answer parses"))
}

fn data(answer: &Parsed) -> Vec<RData> {
    answer
        .answers
        .iter()
        .map(|record| record.data.clone())
        .collect()
}

fn target(name: &str) -> RData {
    RData::PTR(PTR(DomainName::from_ascii(name).expect("a name")))
}

/// Docker: `flags: qr rd ra; QUERY: 1, ANSWER: 1`, TTL 600.
#[test]
fn an_address_is_answered_as_docker_does_but_for_the_ttl() {
    let question = query("a1.", RecordType::A);
    let answer = ask(&question).expect("known");
    assert_eq!(answer.metadata.id, 0x1234);
    assert_eq!(answer.metadata.message_type, MessageType::Response);
    assert_eq!(answer.metadata.op_code, OpCode::Query);
    assert_eq!(answer.metadata.response_code, ResponseCode::NoError);
    assert!(answer.metadata.recursion_desired && answer.metadata.recursion_available);
    assert!(!answer.metadata.authoritative && !answer.metadata.truncation);
    assert!(!answer.metadata.authentic_data && !answer.metadata.checking_disabled);
    assert_eq!(answer.queries, question.queries);
    assert_eq!(answer.answers.len(), 1);
    assert_eq!(answer.answers[0].name, question.queries[0].name);
    assert_eq!(answer.answers[0].dns_class, DNSClass::IN);
    assert_eq!(answer.answers[0].ttl, DNS_TTL);
    assert_eq!(data(&answer), [RData::A(FIRST.into())]);
    assert!(answer.authorities.is_empty() && answer.additionals.is_empty());
    assert_eq!(answer.edns, None);
}

#[test]
fn recursion_desired_and_checking_disabled_are_copied() {
    for (desired, disabled) in [(false, true), (true, false), (true, true), (false, false)] {
        let mut question = query("a1.", RecordType::A);
        question.metadata.recursion_desired = desired;
        question.metadata.checking_disabled = disabled;
        question.metadata.authentic_data = true;
        let answer = ask(&question).expect("known");
        assert_eq!(answer.metadata.recursion_desired, desired);
        assert_eq!(answer.metadata.checking_disabled, disabled);
        assert!(!answer.metadata.authentic_data);
    }
}

#[test]
fn the_questions_case_comes_back() {
    let question = query("A1.aPp.", RecordType::A).to_vec().expect("encodes");
    let answer = ask_raw(&question, &[2], 0).expect("known");
    assert_eq!(answer[12..question.len()], question[12..]);
    let parsed = Parsed::from_vec(&answer).expect("parses");
    assert_eq!(parsed.answers[0].name.to_ascii(), "A1.aPp.");
    assert_eq!(data(&parsed), [RData::A(FIRST.into())]);
}

#[test]
fn both_families_and_none() {
    let six = RData::AAAA(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1).into());
    let answer = ask(&query("six.", RecordType::AAAA)).expect("known");
    assert_eq!(data(&answer), [six]);
    let answer = ask(&query("six.", RecordType::A)).expect("known");
    assert_eq!(data(&answer), []);
}

/// Docker answers AAAA and MX so and forwards the rest, by which the names leak.
#[test]
fn other_types_of_a_known_name_are_empty() {
    let kinds = [
        RecordType::AAAA,
        RecordType::MX,
        RecordType::TXT,
        RecordType::SRV,
        RecordType::SOA,
        RecordType::HTTPS,
        RecordType::ANY,
        RecordType::PTR,
        RecordType::Unknown(65_280),
    ];
    for kind in kinds {
        let answer = ask(&query("a1.", kind)).expect("known");
        assert_eq!(answer.metadata.response_code, ResponseCode::NoError);
        assert_eq!(data(&answer), [], "{kind}");
    }
    let answer = ask(&query("2.0.18.172.in-addr.arpa.", RecordType::A)).expect("known");
    assert_eq!(data(&answer), []);
}

#[test]
fn an_address_has_its_name() {
    let answer = ask(&query("2.0.18.172.in-addr.arpa.", RecordType::PTR)).expect("known");
    assert_eq!(data(&answer), [target("a1.app.")]);
    assert_eq!(
        ask(&query("3.0.18.172.in-addr.arpa.", RecordType::PTR)),
        None
    );
}

/// RFC 6891 section 7; Docker 20.10 leaves it out.
#[test]
fn an_opt_record_is_answered_with_one() {
    for dnssec in [false, true] {
        let mut question = query("a1.", RecordType::A);
        let mut edns = Edns::new();
        edns.set_max_payload(4_096).set_dnssec_ok(dnssec);
        edns.options_mut()
            .insert(EdnsOption::Unknown(10, vec![1; 8]));
        question.set_edns(edns);
        let answer = ask(&question).expect("known");
        let edns = answer.edns.as_ref().expect("an OPT record");
        assert_eq!(edns.max_payload(), DNS_EDNS_SIZE);
        assert_eq!(edns.flags().dnssec_ok, dnssec);
        assert_eq!((edns.version(), edns.rcode_high()), (0, 0));
        assert!(edns.options().as_ref().is_empty());
        assert_eq!(data(&answer), [RData::A(FIRST.into())]);
    }
}

#[test]
fn each_address_is_first_equally_often() {
    let question = query("many.", RecordType::A).to_vec().expect("encodes");
    let mut firsts = [0; MAX_NAME_V4];
    let steps = 1 << 10;
    for step in 0..steps {
        let answer = ask_raw(&question, &[2], step << 22).expect("known");
        let answer = Parsed::from_vec(&answer).expect("parses");
        let mut seen: Vec<u8> = Vec::new();
        for data in data(&answer) {
            let RData::A(address) = data else {
                panic!("no A: {data}")
            };
            seen.push(address.octets()[3]);
        }
        firsts[usize::from(seen[0]) - 1] += 1;
        let next = |at: u8| at % 8 + 1;
        assert!(
            seen.windows(2).all(|pair| pair[1] == next(pair[0])),
            "{seen:?}"
        );
        assert_eq!(seen.len(), MAX_NAME_V4);
    }
    assert_eq!(firsts, [steps / 8; 8]);
}

#[test]
fn scopes_are_tried_in_order() {
    let question = query("a1.", RecordType::A).to_vec().expect("encodes");
    let last = |order: &[u32]| ask_raw(&question, order, 0).map(|bytes| bytes[bytes.len() - 1]);
    assert_eq!(last(&[2, 4]), Some(2));
    assert_eq!(last(&[4, 2]), Some(9));
    assert_eq!(last(&[6, 8, 4]), Some(9));
    assert_eq!(last(&[6]), None);
    assert_eq!(last(&[]), None);
    let mut sixteen = [6; MAX_SCOPES];
    sixteen[15] = 2;
    assert_eq!(last(&sixteen), Some(2));
    let second = query("second.", RecordType::A).to_vec().expect("encodes");
    assert!(ask_raw(&second, &[2, 4], 0).is_some());
}

/// An agent that replaces the entry between the two look-ups.
struct Replaced {
    entries: [Name; 2],
    asked: usize,
}

impl Names for Replaced {
    fn name(&mut self, _: &NameKey) -> Option<&Name> {
        self.asked += 1;
        self.entries.get(self.asked - 1)
    }
}

#[test]
fn an_entry_replaced_meanwhile_is_not_trusted() {
    let question = query("a1.", RecordType::A).to_vec().expect("encodes");
    let mut exchange = exchange(&question);
    assert_eq!(read(&mut exchange, question.len()), Some(()));
    let mut names = Replaced {
        entries: [host(&[FIRST], &[]); 2],
        asked: 0,
    };
    assert_eq!(exchange.answer(&scopes(&[2]), &mut names, 0), None);
    assert_eq!(names.asked, 2);
}

#[test]
fn the_largest_answers_fit_a_client_without_edns() {
    let mut largest = 0;
    for kind in [RecordType::A, RecordType::AAAA] {
        let mut question = query(&format!("{}.", long()), kind);
        question.set_edns(Edns::new());
        let bytes = question.to_vec().expect("encodes");
        let answer = ask_raw(&bytes, &[2], u32::MAX).expect("known");
        largest = largest.max(answer.len());
        let count = Parsed::from_vec(&answer).expect("parses").answers.len();
        assert_eq!(count, if kind == RecordType::A { 8 } else { 6 });
    }
    assert_eq!(largest, MAX_ANSWER);
    let name = format!("x.{}.", &long()[2..]);
    let answer = ask(&query(&name, RecordType::PTR)).expect("known");
    assert_eq!(data(&answer), [target(&format!("{}.", long()))]);
}

#[test]
fn what_only_the_agent_can_answer() {
    assert_eq!(ask(&query("unknown.", RecordType::A)), None);
    assert_eq!(ask(&query("more.", RecordType::A)), None);
    assert_eq!(ask(&query("odd.", RecordType::A)), None);
    assert_eq!(ask(&query(".", RecordType::A)), None);
    assert_eq!(ask(&query(&format!("{}.c.", long()), RecordType::A)), None);
    let mut chaos = query("a1.", RecordType::TXT);
    chaos.queries[0].query_class = DNSClass::CH;
    assert_eq!(ask(&chaos), None);
    let mut two = query("a1.", RecordType::A);
    two.add_query(two.queries[0].clone());
    assert_eq!(ask(&two), None);
    let mut version = query("a1.", RecordType::A);
    version.set_edns(Edns::new().set_version(1).clone());
    assert_eq!(ask(&version), None);
    let mut update = query("a1.", RecordType::A);
    update.metadata.op_code = OpCode::Status;
    assert_eq!(ask(&update), None);
    let mut response = query("a1.", RecordType::A);
    response.metadata.message_type = MessageType::Response;
    assert_eq!(ask(&response), None);
}

#[test]
fn entries_that_contradict_themselves_are_the_agents() {
    let mut four = host(&[FIRST], &[]);
    four.count_v4 = MAX_NAME_V4 as u8 + 1;
    let mut far = pointer("a1.app.");
    far.target_len = MAX_NAME as u8 + 1;
    for (kind, name) in [(RecordType::A, four), (RecordType::PTR, far)] {
        let question = query("x.", kind).to_vec().expect("encodes");
        let mut exchange = exchange(&question);
        assert_eq!(read(&mut exchange, question.len()), Some(()));
        let mut names = Fake(HashMap::from([(key(2, "x"), name)]));
        assert_eq!(exchange.answer(&scopes(&[2]), &mut names, 0), None);
    }
}

#[test]
fn cut_off_or_longer_messages_are_the_agents() {
    for edns in [false, true] {
        let mut question = query("a1.app.", RecordType::A);
        if edns {
            question.set_edns(Edns::new());
        }
        let whole = question.to_vec().expect("encodes");
        for len in 0..whole.len() {
            assert_eq!(ask_raw(&whole[..len], &[2], 0), None, "{len}");
            // The rest is still in the buffer from an earlier message.
            assert_eq!(read(&mut exchange(&whole), len), None, "{len}");
        }
        let longer = [&whole[..], &[0]].concat();
        assert_eq!(ask_raw(&longer, &[2], 0), None);
    }
    let mut zeros = exchange(&[0; MAX_DNS_MESSAGE]);
    assert_eq!(read(&mut zeros, MAX_DNS_MESSAGE + 1), None);
}

#[test]
fn lengths_for_helpers_are_those_of_the_message() {
    let mut exchange = exchange(&[]);
    for len in 1..=MAX_DNS_MESSAGE {
        assert_eq!(exchange.expect(len), Some(()));
        assert_eq!(exchange.octets() as usize, len);
        assert_eq!(exchange.words() as usize, len.next_multiple_of(4));
    }
    assert_eq!(exchange.expect(0), None);
    for len in [0, MAX_DNS_MESSAGE as u16 + 1, u16::MAX] {
        exchange.len = len;
        assert!((1..=512).contains(&exchange.octets()));
        assert!((4..=512).contains(&exchange.words()));
    }
}

#[test]
fn a_compressed_question_is_the_agents() {
    let mut bytes = query("a1.", RecordType::A).to_vec().expect("encodes");
    bytes.splice(12..16, [0xc0, 0x0c]);
    assert_eq!(ask_raw(&bytes, &[2], 0), None);
}

fn check_any(bytes: &[u8], random: u32) -> Result<(), proptest::test_runner::TestCaseError> {
    let Some(answer) = ask_raw(bytes, &[4, 2], random) else {
        return Ok(());
    };
    prop_assert!(answer.len() <= MAX_ANSWER);
    prop_assert_eq!(&answer[..2], &bytes[..2]);
    let parsed = Parsed::from_vec(&answer).expect("parses");
    prop_assert_eq!(parsed.metadata.response_code, ResponseCode::NoError);
    prop_assert_eq!(parsed.queries.len(), 1);
    let end = 12 + parsed.queries[0].name.len() + 4;
    prop_assert_eq!(&answer[12..end], &bytes[12..end]);
    Ok(())
}

proptest! {
    #[test]
    fn random_messages_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..=512), random: u32) {
        check_any(&bytes, random)?;
    }

    /// A valid question with a few octets changed, cut off or appended.
    #[test]
    fn mutated_messages_give_sound_answers_or_none(
        name in prop::sample::select(vec!["a1.", "A1.app.", "six.", "many.", "2.0.18.172.in-addr.arpa."]),
        kind in prop::sample::select(vec![RecordType::A, RecordType::AAAA, RecordType::PTR, RecordType::TXT]),
        edns: bool,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
        random: u32,
    ) {
        let mut question = query(name, kind);
        if edns {
            question.set_edns(Edns::new());
        }
        let mut bytes = question.to_vec().expect("encodes");
        for (at, octet) in changes {
            let at = at.index(bytes.len());
            bytes[at] = octet;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        check_any(&bytes, random)?;
    }
}
