//! What becomes of a message that came over UDP or TCP: the common part of both transports.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use hickory_proto::op::ResponseCode;
use netd_common::packet::dns::exchange::TURN;

use super::{
    answer::{self, Decision, Transport},
    counters::Counters,
    forward::Forwarder,
    limits::{
        MAX_CONNECTIONS, MAX_CONNECTIONS_PER_CLIENT, MAX_FORWARDED, MAX_FORWARDED_PER_CLIENT,
    },
    message::Question,
    slots::{Slot, Slots},
    table::{Asker, Client, Table},
};

/// What both transports share, in all namespaces; what upstreams said outlives the sockets.
#[derive(Debug)]
pub struct Service {
    pub(super) counters: Counters,
    pub(super) connections: Slots,
    table: Table,
    forwarder: Forwarder,
    forwarded: Slots,
    turn: AtomicU32,
}

/// What a transport has to do with a message.
#[expect(
    clippy::large_enum_variant,
    reason = "it lives on the stack for a moment; a box would be an allocation for each question"
)]
pub(super) enum Todo {
    /// Send this.
    Send(Vec<u8>),
    /// Send what [`Service::forward`] gives for this.
    Forward(Pending),
    /// Nothing.
    Nothing,
}

/// A question for the upstreams.
pub(super) struct Pending {
    question: Question,
    client: Arc<Client>,
    transport: Transport,
    _slot: Slot,
}

impl Service {
    /// A service that answers from `table`.
    pub fn new(table: Table) -> Service {
        Service {
            counters: Counters::default(),
            connections: Slots::new(MAX_CONNECTIONS, MAX_CONNECTIONS_PER_CLIENT),
            forwarder: Forwarder::new(table.clone()),
            forwarded: Slots::new(MAX_FORWARDED, MAX_FORWARDED_PER_CLIENT),
            table,
            turn: AtomicU32::new(0),
        }
    }

    /// Who asks within their own namespaces.
    pub(super) fn table(&self) -> &Table {
        &self.table
    }

    pub(super) fn take(&self, message: &[u8], from: Asker, transport: Transport) -> Todo {
        let client = self.table.client(from);
        let turn = self.turn.fetch_add(TURN, Ordering::Relaxed);
        match answer::decide(message, client, &self.table, transport, turn) {
            Decision::Answer { bytes, kind } => {
                self.counters.count_answer(kind);
                Todo::Send(bytes)
            }
            Decision::Forward(question, client) => self.look_up(question, client, from, transport),
            Decision::Ignore => {
                Counters::count(&self.counters.malformed);
                Todo::Nothing
            }
        }
    }

    fn look_up(
        &self,
        question: Question,
        client: Arc<Client>,
        from: Asker,
        transport: Transport,
    ) -> Todo {
        if let Some(answer) = self.forwarder.known(&question, &client) {
            Counters::count(&self.counters.cached);
            return Todo::Send(fit(&question, answer, transport));
        }
        let Some(slot) = self.forwarded.take(from) else {
            Counters::count(&self.counters.overload);
            return Todo::Send(question.answer(ResponseCode::ServFail, &[], usize::MAX));
        };
        Counters::count(&self.counters.forwarded);
        Todo::Forward(Pending {
            question,
            client,
            transport,
            _slot: slot,
        })
    }

    pub(super) async fn forward(&self, pending: Pending) -> Vec<u8> {
        let Pending {
            question,
            client,
            transport,
            _slot,
        } = pending;
        match self.forwarder.ask(&question, &client, transport).await {
            Some(answer) => fit(&question, answer, transport),
            None => {
                Counters::count(&self.counters.failed);
                question.answer(ResponseCode::ServFail, &[], usize::MAX)
            }
        }
    }
}

fn fit(question: &Question, answer: Vec<u8>, transport: Transport) -> Vec<u8> {
    match transport {
        Transport::Udp => question.fit(answer),
        Transport::Tcp => answer,
    }
}
