//! A message that a client sends: what the DNS program and the agent make of it, apart and together.

use std::{
    collections::HashMap,
    net::{Ipv4Addr, Ipv6Addr},
    sync::{Arc, OnceLock},
};

use hickory_proto::op::Message;
use netd::{
    dns::{
        Client, Record, Table,
        answer::{Decision, Kind, Transport, decide},
        message::{NoQuestion, Question},
    },
    model::WireName,
};
use netd_common::{
    abi::name::{Name, NameKey, Scopes, name_kind},
    limits::{DNS_EDNS_SIZE, MAX_DNS_MESSAGE, MAX_NAME, MAX_NAME_V4, MAX_NAME_V6},
    packet::dns::{Exchange, Names, Question as Fields, answer::MAX_ANSWER},
};

/// The one scope.
const SCOPE: u32 = 2;
/// Addresses of `many`, which no map entry holds.
const MANY: u8 = 100;

struct World {
    table: Table,
    map: Map,
    client: Arc<Client>,
}

struct Map(HashMap<NameKey, Name>);

impl Names for &Map {
    fn name(&mut self, key: &NameKey) -> Option<&Name> {
        self.0.get(key)
    }
}

/// Names that both know, and `many`, which is the agent's.
fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let (table, mut map) = (Table::new(), HashMap::new());
        let v4: Vec<Ipv4Addr> = (1..=3)
            .map(|last| Ipv4Addr::new(172, 18, 0, last))
            .collect();
        let v6 = vec![Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2)];
        let mut host = empty(name_kind::HOST);
        (host.count_v4, host.count_v6) = (3, 1);
        for (slot, address) in host.v4.iter_mut().zip(&v4) {
            *slot = address.octets();
        }
        host.v6[0] = v6[0].octets();
        for name in ["db", "db.app"] {
            let name = wire(name);
            map.insert(key(&name), host);
            let (v4, v6) = (v4.clone(), v6.clone());
            table.replace_name(SCOPE, name, Record::Host { v4, v6 });
        }
        let (reverse, target) = (WireName::reverse(v4[0].into()), wire("db.app"));
        let mut pointer = empty(name_kind::POINTER);
        pointer.target_len = target.as_bytes().len() as u8;
        pointer.target = target.padded().expect("a short name");
        map.insert(key(&reverse), pointer);
        table.replace_name(SCOPE, reverse, Record::Pointer(target));
        let many = (0..MANY).map(|last| Ipv4Addr::new(172, 18, 1, last));
        let record = Record::Host {
            v4: many.collect(),
            v6: Vec::new(),
        };
        map.insert(key(&wire("many")), empty(name_kind::AGENT));
        table.replace_name(SCOPE, wire("many"), record);
        let client = Client {
            scopes: vec![SCOPE],
            subnets: vec!["172.18.0.0/16".parse().expect("a subnet")],
            forward: true,
            ..Client::default()
        };
        World {
            table,
            map: Map(map),
            client: Arc::new(client),
        }
    })
}

fn wire(name: &str) -> WireName {
    name.parse().expect("a name")
}

fn key(name: &WireName) -> NameKey {
    name.key(SCOPE).expect("a short name")
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

/// The DNS program's answer; `None`: the agent's to give.
fn by_program(message: &[u8], turn: u32) -> Option<Vec<u8>> {
    let mut exchange = Exchange {
        message: [0xee; MAX_DNS_MESSAGE],
        key: NameKey {
            scope: 0,
            name: [0xee; MAX_NAME],
            reserved: [0xee; 3],
        },
        question: Fields::default(),
        len: 0,
        turn: 0,
    };
    // Program `dns` gets no longer ones: their packets are handed on.
    if message.len() > MAX_DNS_MESSAGE {
        return None;
    }
    exchange.expect(message.len())?;
    exchange.message[..message.len()].copy_from_slice(message);
    exchange.read_name()?;
    exchange.read_question()?;
    let mut scopes = Scopes {
        count: 1,
        ..Scopes::default()
    };
    scopes.scopes[0] = SCOPE;
    exchange.answer(&scopes, &mut &world().map, turn)?;
    Some(exchange.message[..exchange.len.into()].to_vec())
}

/// An answer goes back for a question alone, is none itself (else two servers could talk for ever), has
/// its id and fits; and both say the same.
pub fn question(bytes: &[u8]) {
    let Some((turn, message)) = bytes.split_first_chunk() else {
        return;
    };
    let turn = u32::from_be_bytes(*turn);
    let world = world();
    let program = by_program(message, turn);
    if let Some(answer) = &program {
        assert!(answer.len() <= MAX_ANSWER);
        is_an_answer(answer, message);
    }
    for transport in [Transport::Udp, Transport::Tcp] {
        let client = Some(world.client.clone());
        match decide(message, client, &world.table, transport, turn) {
            Decision::Answer { bytes, kind } => {
                is_an_answer(&bytes, message);
                if transport == Transport::Udp {
                    assert!(bytes.len() <= usize::from(DNS_EDNS_SIZE));
                }
                // The program does not look into an OPT record's options (RFC 6891 section 6.1.2
                // leaves them to who knows them); the agent's decoder does.
                if kind == Kind::Malformed && program.is_some() {
                    assert!(has_options(message), "{message:02x?}");
                } else if let Some(program) = &program {
                    assert_eq!(kind, Kind::Local);
                    let [program, agent] =
                        [program, &bytes].map(|answer| Message::from_vec(answer));
                    assert_eq!(program.ok(), agent.ok(), "{message:02x?}");
                }
            }
            Decision::Forward(question, _) => {
                assert_eq!(question.message, message);
                assert!(question.end <= message.len());
                assert_eq!(program, None, "what is known is not forwarded");
            }
            Decision::Ignore => assert_eq!(program, None),
        }
    }
    // Strangers have nothing but an error.
    if let Decision::Forward(..) = decide(message, None, &world.table, Transport::Udp, turn) {
        panic!("a stranger's question was forwarded");
    }
}

/// Whether a message that the program understood has an OPT record with options.
fn has_options(message: &[u8]) -> bool {
    const OPT: usize = 11;
    let name = message.get(12..).and_then(|rest| WireName::read(rest).ok());
    name.is_some_and(|(_, length)| message.len() > 12 + length + 4 + OPT)
}

fn is_an_answer(answer: &[u8], question: &[u8]) {
    assert_eq!(
        answer.first_chunk::<2>(),
        question.first_chunk::<2>(),
        "the id"
    );
    assert_eq!(Question::read(answer), Err(NoQuestion::Ignore));
    Message::from_vec(answer).expect("what netd writes can be read");
}
