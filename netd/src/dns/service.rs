//! What becomes of a message that came over UDP or TCP: the common part of both transports.

use std::{net::IpAddr, sync::Arc};

use hickory_proto::op::ResponseCode;

use super::{
    answer::{self, Decision, Transport},
    counters::Counters,
    forward::Forwarder,
    limits::{
        MAX_CONNECTIONS, MAX_CONNECTIONS_PER_CLIENT, MAX_FORWARDED, MAX_FORWARDED_PER_CLIENT,
    },
    message::Question,
    slots::{Slot, Slots},
    table::{Client, Table},
};

/// What both transports share.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) counters: Counters,
    pub(super) connections: Slots,
    table: Table,
    forwarder: Forwarder,
    forwarded: Slots,
}

/// What a transport has to do with a message.
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
    question: Arc<Question>,
    client: Arc<Client>,
    transport: Transport,
    _slot: Slot,
}

impl Service {
    pub(super) fn new(table: Table) -> Service {
        Service {
            counters: Counters::default(),
            connections: Slots::new(MAX_CONNECTIONS, MAX_CONNECTIONS_PER_CLIENT),
            forwarder: Forwarder::new(table.clone()),
            forwarded: Slots::new(MAX_FORWARDED, MAX_FORWARDED_PER_CLIENT),
            table,
        }
    }

    pub(super) fn take(&self, message: &[u8], from: IpAddr, transport: Transport) -> Todo {
        let client = self.table.client(from);
        // Without randomness the first address comes first: an answer all the same.
        let random = getrandom::u32().unwrap_or_default();
        match answer::decide(message, client, &self.table, transport, random) {
            Decision::Answer { bytes, kind } => {
                self.counters.count_answer(kind);
                Todo::Send(bytes)
            }
            Decision::Forward(question, client) => match self.forwarded.take(from) {
                Some(slot) => {
                    Counters::count(&self.counters.forwarded);
                    Todo::Forward(Pending {
                        question: Arc::new(question),
                        client,
                        transport,
                        _slot: slot,
                    })
                }
                None => {
                    Counters::count(&self.counters.overload);
                    Todo::Send(question.answer(ResponseCode::ServFail, &[], usize::MAX))
                }
            },
            Decision::Ignore => {
                Counters::count(&self.counters.malformed);
                Todo::Nothing
            }
        }
    }

    pub(super) async fn forward(&self, pending: Pending) -> Vec<u8> {
        let Pending {
            question,
            client,
            transport,
            _slot,
        } = pending;
        match (
            self.forwarder.ask(&question, &client, transport).await,
            transport,
        ) {
            (Some(answer), Transport::Udp) => question.fit(answer),
            (Some(answer), Transport::Tcp) => answer,
            (None, _) => {
                Counters::count(&self.counters.failed);
                question.answer(ResponseCode::ServFail, &[], usize::MAX)
            }
        }
    }
}
