//! What the server knows of the clients that send packets without waiting for answers.

use std::net::SocketAddr;

use crate::load::message::{Counts, Kind, Message};

/// Clients remembered; the oldest is forgotten.
const CLIENTS: usize = 64;

/// Counts per client, the latest last.
#[derive(Default)]
pub struct Clients(Vec<Client>);

struct Client {
    address: SocketAddr,
    /// The number expected next: a lower one came before.
    next: u64,
    counts: Counts,
}

impl Clients {
    /// Takes a datagram in; what is to be answered.
    pub fn take(&mut self, from: SocketAddr, octets: &[u8]) -> Option<Message> {
        let Some(message) = Message::read(octets) else {
            // Damaged: nobody can say what it was, but a client that counts will hear of it.
            if let Some(client) = self.of(from) {
                client.counts.wrong += 1;
            }
            return None;
        };
        match message.kind {
            Kind::Question => Some(Message::new(Kind::Answer, message.number)),
            Kind::Begin => {
                self.begin(from);
                Some(Message::new(Kind::Answer, message.number))
            }
            Kind::Packet | Kind::PacketTell | Kind::Tell => {
                let client = self.of(from)?;
                if message.kind != Kind::Tell {
                    client.count(message.number);
                }
                (message.kind != Kind::Packet).then_some(Message {
                    kind: Kind::Answer,
                    number: message.number,
                    counts: client.counts,
                })
            }
            // Of TCP, or not for servers.
            Kind::Last | Kind::Vanish | Kind::Stream | Kind::Answer => None,
        }
    }

    fn begin(&mut self, address: SocketAddr) {
        self.0.retain(|client| client.address != address);
        if self.0.len() == CLIENTS {
            self.0.remove(0);
        }
        self.0.push(Client {
            address,
            next: 0,
            counts: Counts::default(),
        });
    }

    fn of(&mut self, address: SocketAddr) -> Option<&mut Client> {
        // The latest is nearly always the one that sends.
        self.0
            .iter_mut()
            .rev()
            .find(|client| client.address == address)
    }
}

impl Client {
    fn count(&mut self, number: u64) {
        if number >= self.next {
            self.next = number + 1;
            self.counts.right += 1;
        } else {
            self.counts.wrong += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_counted_once_each() {
        let mut clients = Clients::default();
        let from = "192.0.2.1:1000".parse().unwrap();
        let send = |clients: &mut Clients, kind, number| {
            clients.take(from, &Message::new(kind, number).write())
        };
        assert_eq!(send(&mut clients, Kind::Tell, 0), None, "not begun");
        assert!(send(&mut clients, Kind::Begin, 0).is_some());
        for number in [0, 1, 2, 2, 1, 5] {
            assert_eq!(send(&mut clients, Kind::Packet, number), None);
        }
        let mut damaged = Message::new(Kind::Packet, 6).write();
        damaged[40] ^= 1;
        assert_eq!(clients.take(from, &damaged), None);
        let told = send(&mut clients, Kind::PacketTell, 7).unwrap();
        assert_eq!(told.counts, Counts { right: 5, wrong: 3 });
        assert!(send(&mut clients, Kind::Begin, 0).is_some());
        let told = send(&mut clients, Kind::Tell, 0).unwrap();
        assert_eq!(told.counts, Counts::default(), "begun anew");
    }
}
