//! Program `dns` on the host: the same steps over plain tables and bytes.

use netd_common::{
    abi::name::NameKey,
    limits::{MAX_DNS_MESSAGE, MAX_NAME},
    packet::{
        Verdict, Work,
        checksum::add,
        dns::{
            Datagram, Exchange, Question,
            datagram::{turned_v4, turned_v6},
            onward::{back, to_resolver},
        },
        view::ETHERNET,
    },
};

use super::{
    apply::{replace, store},
    tables::PlainTables,
};

/// Makes `packet` the answer, if it can be given here; goes on with the work of `from_endpoint`.
pub fn decide(
    packet: &mut Vec<u8>,
    tables: &mut PlainTables,
    work: &mut Work,
    chance: u32,
) -> Verdict {
    match answer(packet, tables, work, chance) {
        Some(()) => back(work),
        None => to_resolver(tables, work).unwrap_or_else(Verdict::Drop),
    }
}

fn answer(packet: &mut Vec<u8>, tables: &mut PlainTables, work: &Work, chance: u32) -> Option<()> {
    let bytes = packet.as_slice();
    let datagram = Datagram::of(&work.view, &bytes)?;
    let mut exchange = Exchange {
        message: [0xee; MAX_DNS_MESSAGE],
        key: NameKey {
            scope: 0,
            name: [0; MAX_NAME],
            reserved: [0; 3],
        },
        question: Question::default(),
        len: 0,
        turn: 0,
    };
    exchange.expect(datagram.message_len)?;
    let message = &bytes[datagram.message()..][..datagram.message_len];
    store(&mut exchange.message, 0, message);
    let question = sum(&exchange);
    exchange.read_name()?;
    exchange.read_question()?;
    let scopes = tables.scopes(work.source.sandbox)?;
    exchange.answer(&scopes, tables, chance)?;
    let delta = add(!question, sum(&exchange));

    let len = exchange.octets() as usize;
    let turn = datagram.turn(&bytes, len, delta)?;
    packet.resize(turn.len as usize, 0);
    if datagram.is_v4 {
        let header = packet[ETHERNET..].first_chunk().copied()?;
        store(packet, ETHERNET, &turned_v4(header, len));
    } else {
        let header = packet[ETHERNET..].first_chunk().copied()?;
        store(packet, ETHERNET, &turned_v6(header, len));
    }
    store(packet, datagram.transport(), &turn.transport);
    let checksum = datagram.transport() + Datagram::UDP_CHECKSUM;
    replace(packet, checksum, turn.content_delta, true);
    replace(packet, checksum, turn.pseudo_delta, true);
    store(packet, datagram.message(), &exchange.message[..len]);
    Some(())
}

/// The sum of the message's words, as `bpf_csum_diff` takes it.
fn sum(exchange: &Exchange) -> u32 {
    let (words, _) = exchange.message[..exchange.words() as usize].as_chunks::<4>();
    words
        .iter()
        .fold(0, |sum, word| add(sum, u32::from_ne_bytes(*word)))
}
