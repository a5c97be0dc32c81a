//! What is kept, for how long, and for whom.

use hickory_proto::{
    op::{Edns, Message, MessageType, OpCode},
    rr::{
        RData, Record,
        rdata::{A, CNAME, SOA, opt::EdnsOption},
    },
};
use proptest::prelude::*;

use super::*;
use crate::dns::{message::HEADER, upstreams::Place};

const ASKED: &str = "www.example.com.";

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

fn asking(change: impl FnOnce(&mut Message)) -> Question {
    let mut message = Message::new(7, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(name(ASKED), RecordType::A));
    change(&mut message);
    Question::read(&message.to_vec().unwrap()).unwrap()
}

fn edns(options: Vec<(EdnsCode, EdnsOption)>) -> Edns {
    let mut edns = Edns::new();
    edns.set_max_payload(1232);
    edns.options_mut().options = options;
    edns
}

fn cookie() -> (EdnsCode, EdnsOption) {
    (EdnsCode::Cookie, EdnsOption::Unknown(10, vec![1; 8]))
}

fn key(question: &Question) -> Option<Key> {
    Key::of(question, &Arc::default())
}

fn address(ttl: u32) -> Record {
    Record::from_rdata(name(ASKED), ttl, RData::A(A::new(203, 0, 113, 1)))
}

/// A SOA record with its own time to live and that of what does not exist.
fn soa(ttl: u32, minimum: u32) -> Record {
    let zone = name("example.com.");
    let soa = SOA::new(zone.clone(), zone.clone(), 1, 2, 3, 4, minimum);
    Record::from_rdata(zone, ttl, RData::SOA(soa))
}

fn answer(rcode: ResponseCode, answers: &[Record], authorities: &[Record]) -> Message {
    let mut message = Message::response(7, OpCode::Query);
    message.metadata.response_code = rcode;
    message.add_query(Query::query(name(ASKED), RecordType::A));
    message.add_answers(answers.to_vec());
    message.add_authorities(authorities.to_vec());
    message
}

/// How long an answer is kept, in seconds; 0: not at all.
fn seconds(message: &Message) -> u64 {
    let bytes = message.to_vec().unwrap();
    let kept = kept(&bytes, RecordType::A, Instant::now());
    kept.map_or(0, |kept| kept.lifetime.as_secs())
}

#[test]
fn as_long_as_the_shortest_record_lives_and_at_most_a_day() {
    let good = |answers: &[Record]| answer(ResponseCode::NoError, answers, &[]);
    let alias = Record::from_rdata(name(ASKED), 20, RData::CNAME(CNAME(name("a.example."))));
    assert_eq!(seconds(&good(&[address(60)])), 60);
    assert_eq!(seconds(&good(&[alias.clone(), address(60)])), 20);
    assert_eq!(seconds(&good(&[address(90_000)])), 86_400);
    assert_eq!(seconds(&good(&[address(0), address(60)])), 0);
    assert_eq!(seconds(&good(&[address(0x8000_0000)])), 0);
    assert_eq!(seconds(&good(&[alias])), 0, "a chain without its end");
    assert_eq!(seconds(&good(&[])), 0, "nothing, and nobody says so");
}

#[test]
fn what_does_not_exist_as_its_zone_says_and_at_most_five_minutes() {
    for rcode in [ResponseCode::NXDomain, ResponseCode::NoError] {
        let negative = |soa: Record| seconds(&answer(rcode, &[], &[soa]));
        assert_eq!(negative(soa(100, 200)), 100);
        assert_eq!(negative(soa(200, 100)), 100);
        assert_eq!(negative(soa(4_000, 4_000)), 300);
        assert_eq!(negative(soa(4_000, 0)), 0);
    }
    assert_eq!(seconds(&answer(ResponseCode::NXDomain, &[], &[])), 0);
}

#[test]
fn errors_and_what_is_cut_off_or_too_long_are_not_kept() {
    let with = |rcode| answer(rcode, &[address(60)], &[soa(60, 60)]);
    for rcode in [ResponseCode::ServFail, ResponseCode::Refused] {
        assert_eq!(seconds(&with(rcode)), 0);
    }
    let mut cut = with(ResponseCode::NoError);
    cut.metadata.truncation = true;
    assert_eq!(seconds(&cut), 0);
    let many = vec![address(60); 300];
    assert_eq!(seconds(&answer(ResponseCode::NoError, &many, &[])), 0);
    let mut trailing = with(ResponseCode::NoError).to_vec().unwrap();
    trailing.push(0);
    assert_eq!(kept(&trailing, RecordType::A, Instant::now()), None);
}

#[test]
fn times_to_live_run_on() {
    let (cache, start) = (Cache::default(), Instant::now());
    let asked = asking(|_| ());
    let mut message = answer(ResponseCode::NoError, &[address(60)], &[]);
    message.set_edns(edns(vec![cookie()]));
    let key = key(&asked).unwrap();
    cache.keep(key.clone(), &message.to_vec().unwrap(), start);
    let after = |seconds| cache.get(&key, start + Duration::from_secs(seconds));
    let later = Message::from_vec(&after(25).unwrap()).unwrap();
    assert_eq!(later.answers[0].ttl, 35);
    assert_eq!(later.answers[0].data, address(0).data);
    let edns = later.edns.unwrap();
    assert_eq!(
        (edns.max_payload(), edns.options().options.len()),
        (1232, 0)
    );
    assert!(after(59).is_some());
    assert_eq!((after(60), cache.len()), (None, 0));
}

#[test]
fn an_answer_serves_those_who_asked_the_same_of_the_same() {
    let plain = key(&asking(|_| ())).unwrap();
    let in_capitals = asking(|message| {
        message.queries[0] = Query::query(name("WWW.example.COM."), RecordType::A);
    });
    assert_eq!(key(&in_capitals).unwrap(), plain);
    let with_edns = key(&asking(|message| message.edns = Some(edns(vec![])))).unwrap();
    let with_cookie = key(&asking(|message| message.edns = Some(edns(vec![cookie()])))).unwrap();
    assert_eq!(with_edns, with_cookie);
    let others: [fn(&mut Message); 6] = [
        |message| message.metadata.recursion_desired = false,
        |message| message.metadata.checking_disabled = true,
        |message| message.metadata.authentic_data = true,
        |message| message.edns = Some(edns(vec![])),
        |message| {
            let mut edns = edns(vec![]);
            edns.set_dnssec_ok(true);
            message.edns = Some(edns);
        },
        |message| message.queries[0] = Query::query(name(ASKED), RecordType::AAAA),
    ];
    let mut keys: Vec<Key> = others
        .iter()
        .filter_map(|change| key(&asking(change)))
        .collect();
    assert_eq!(keys.len(), others.len());
    let elsewhere = Upstreams {
        place: Place::Namespace(std::path::Path::new("/x").into()),
        servers: Vec::new(),
    };
    keys.extend(Key::of(&asking(|_| ()), &Arc::new(elsewhere)));
    keys.push(plain);
    for (at, one) in keys.iter().enumerate() {
        assert!(!keys[at + 1..].contains(one), "{one:?}");
    }
    let subnet = (
        EdnsCode::Unknown(65_001),
        EdnsOption::Unknown(65_001, vec![1]),
    );
    assert_eq!(
        key(&asking(|message| message.edns = Some(edns(vec![subnet])))),
        None
    );
    let chaos = asking(|message| {
        message.queries[0].set_query_class(DNSClass::CH);
    });
    assert_eq!(key(&chaos), None);
}

#[test]
fn the_number_of_answers_is_bounded() {
    let (cache, now) = (Cache::default(), Instant::now());
    let bytes = answer(ResponseCode::NoError, &[address(60)], &[])
        .to_vec()
        .unwrap();
    let first = key(&asking(|_| ())).unwrap();
    for number in 0..2 * MAX_CACHED {
        let key = Key {
            name: format!("n{number}.example").parse().unwrap(),
            ..first.clone()
        };
        cache.keep(key, &bytes, now);
    }
    assert!(cache.len() <= MAX_CACHED, "{}", cache.len());
    assert!(cache.len() > MAX_CACHED / 2, "{}", cache.len());
}

proptest! {
    #[test]
    fn any_bytes_are_looked_at(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = kept(&bytes, RecordType::A, Instant::now());
    }

    /// Whatever is kept of a damaged answer keeps its length and all but its times to live.
    #[test]
    fn damaged_answers_stay_within_bounds(
        at in any::<prop::sample::Index>(),
        octet in any::<u8>(),
        age in 0u64..100_000,
    ) {
        let mut message = answer(ResponseCode::NoError, &[address(60), address(70)], &[soa(9, 9)]);
        message.set_edns(edns(vec![cookie()]));
        let mut bytes = message.to_vec().unwrap();
        let at = HEADER + at.index(bytes.len() - HEADER);
        bytes[at] = octet;
        let (cache, start) = (Cache::default(), Instant::now());
        let key = key(&asking(|_| ())).unwrap();
        cache.keep(key.clone(), &bytes, start);
        if let Some(answer) = cache.get(&key, start + Duration::from_secs(age)) {
            prop_assert!(answer.len() <= bytes.len());
            prop_assert_eq!(&answer[..HEADER], &bytes[..HEADER]);
        }
    }
}
