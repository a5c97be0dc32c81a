//! DNS names as they are compared: wire format (RFC 1035 section 3.1), lower case, with the root
//! label. Made here for the names map, the agent's table and the questions; never compressed.

use std::{borrow::Borrow, fmt, net::IpAddr, str::FromStr};

use netd_common::{abi::name::NameKey, limits::MAX_NAME};

/// Octets of the longest name, its root label included (RFC 1035 section 2.3.4).
const MAX_WIRE: usize = 255;
/// Octets of the longest label.
const MAX_LABEL: usize = 63;

/// A checked name: lower-case wire format, at most 255 octets, ending with the root label.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WireName(Box<[u8]>);

/// Why something is not a [`WireName`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadWireName {
    /// An empty label or one with more than 63 octets.
    #[error("a label of {0:?} is empty or longer than 63 octets")]
    Label(String),
    /// More than 255 octets in wire format.
    #[error("the name {0:?} is longer than 255 octets")]
    Length(String),
    /// Bytes that are no uncompressed name: cut off, or a compression pointer.
    #[error("not a name in wire format")]
    Wire,
}

impl WireName {
    /// Reads an uncompressed name at the start of `bytes`; also how many octets it took.
    ///
    /// # Errors
    /// [`BadWireName::Wire`] where it is cut off, too long, or compressed.
    pub fn read(bytes: &[u8]) -> Result<(WireName, usize), BadWireName> {
        let mut end = 0;
        loop {
            let label = usize::from(*bytes.get(end).ok_or(BadWireName::Wire)?);
            if label > MAX_LABEL {
                return Err(BadWireName::Wire);
            }
            end += 1 + label;
            if end > MAX_WIRE {
                return Err(BadWireName::Wire);
            }
            if label == 0 {
                let name = bytes.get(..end).ok_or(BadWireName::Wire)?;
                return Ok((WireName(name.to_ascii_lowercase().into()), end));
            }
        }
    }

    /// The name whose PTR record tells an address's name: below `in-addr.arpa` or `ip6.arpa`.
    pub fn reverse(address: IpAddr) -> WireName {
        let mut wire = Vec::with_capacity(74);
        match address.to_canonical() {
            IpAddr::V4(address) => {
                for octet in address.octets().into_iter().rev() {
                    push_label(&mut wire, octet.to_string().as_bytes());
                }
                push_label(&mut wire, b"in-addr");
            }
            IpAddr::V6(address) => {
                for octet in address.octets().into_iter().rev() {
                    for digit in [octet & 15, octet >> 4] {
                        push_label(&mut wire, format!("{digit:x}").as_bytes());
                    }
                }
                push_label(&mut wire, b"ip6");
            }
        }
        push_label(&mut wire, b"arpa");
        wire.push(0);
        WireName(wire.into())
    }

    /// The octets, the root label included.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Labels, without the root.
    pub fn labels(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest: &[u8] = &self.0;
        std::iter::from_fn(move || {
            let (&length, tail) = rest.split_first()?;
            let (label, tail) = tail.split_at_checked(usize::from(length))?;
            rest = tail;
            (length != 0).then_some(label)
        })
    }

    /// The key of the names map; `None` where the name is too long for it (the agent answers).
    pub fn key(&self, scope: u32) -> Option<NameKey> {
        Some(NameKey {
            scope,
            name: self.padded()?,
            reserved: [0; 3],
        })
    }

    /// Zero filled, as the names map's fields have it; `None` where it is too long for them.
    pub fn padded(&self) -> Option<[u8; MAX_NAME]> {
        let mut name = [0; MAX_NAME];
        name.get_mut(..self.0.len())?.copy_from_slice(&self.0);
        Some(name)
    }

    /// The address that a reverse name stands for; `None` for any other name, and for other spellings
    /// (`02` for `2`), which no zone has.
    pub fn reversed(&self) -> Option<IpAddr> {
        let address = self.read_reverse()?;
        (WireName::reverse(address) == *self).then_some(address)
    }

    fn read_reverse(&self) -> Option<IpAddr> {
        let labels: Vec<&[u8]> = self.labels().collect();
        let (zone, digits) = (
            labels.get(labels.len().checked_sub(2)?..)?,
            labels.len() - 2,
        );
        let text = |label: &&[u8]| std::str::from_utf8(label).ok().map(str::to_owned);
        match (zone, digits) {
            ([b"in-addr", b"arpa"], 4) => {
                let mut octets = [0; 4];
                for (octet, label) in octets.iter_mut().zip(labels.iter().take(4).rev()) {
                    *octet = text(label)?.parse::<u8>().ok()?;
                }
                Some(IpAddr::from(octets))
            }
            ([b"ip6", b"arpa"], 32) => {
                let mut bits = 0u128;
                for label in labels.iter().take(32).rev() {
                    if label.len() != 1 {
                        return None;
                    }
                    bits = bits << 4 | u128::from(u8::from_str_radix(&text(label)?, 16).ok()?);
                }
                Some(IpAddr::from(bits.to_be_bytes()))
            }
            _ => None,
        }
    }
}

fn push_label(wire: &mut Vec<u8>, label: &[u8]) {
    debug_assert!((1..=MAX_LABEL).contains(&label.len()));
    wire.push(label.len() as u8);
    wire.extend(label.iter().map(u8::to_ascii_lowercase));
}

impl FromStr for WireName {
    type Err = BadWireName;

    /// Dotted text, with or without the last dot; every octet but the dot stands for itself.
    fn from_str(text: &str) -> Result<WireName, BadWireName> {
        let mut wire = Vec::with_capacity(text.len() + 2);
        for label in text.strip_suffix('.').unwrap_or(text).split('.') {
            if !(1..=MAX_LABEL).contains(&label.len()) {
                return Err(BadWireName::Label(text.to_owned()));
            }
            push_label(&mut wire, label.as_bytes());
        }
        wire.push(0);
        if wire.len() > MAX_WIRE {
            return Err(BadWireName::Length(text.to_owned()));
        }
        Ok(WireName(wire.into()))
    }
}

impl Borrow<[u8]> for WireName {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for WireName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.labels()
            .try_for_each(|label| write!(f, "{}.", label.escape_ascii()))?;
        if self.0.len() == 1 {
            f.write_str(".")?;
        }
        Ok(())
    }
}

impl fmt::Debug for WireName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_becomes_lower_case_wire_format() {
        let name: WireName = "A1.App.".parse().unwrap();
        assert_eq!(name.as_bytes(), b"\x02a1\x03app\0");
        assert_eq!(name.to_string(), "a1.app.");
        assert_eq!("a1.app".parse::<WireName>(), Ok(name));
    }

    #[test]
    fn empty_and_long_labels_are_refused() {
        for bad in ["", ".", "a..b", ".a", &"x".repeat(64)] {
            assert!(
                matches!(bad.parse::<WireName>(), Err(BadWireName::Label(_))),
                "{bad:?}"
            );
        }
        let long = ["x".repeat(63).as_str(); 4].join(".");
        assert!(matches!(
            long.parse::<WireName>(),
            Err(BadWireName::Length(_))
        ));
    }

    #[test]
    fn compressed_and_cut_off_names_are_refused() {
        for bad in [&b"\xc0\x0c"[..], b"\x01", b"\x01a", b"", b"\x40a\0"] {
            assert_eq!(WireName::read(bad), Err(BadWireName::Wire), "{bad:?}");
        }
    }

    #[test]
    fn reverse_names() {
        let v4 = WireName::reverse("172.19.0.2".parse().unwrap());
        assert_eq!(v4.to_string(), "2.0.19.172.in-addr.arpa.");
        let v6 = WireName::reverse("fd00::2".parse().unwrap());
        assert_eq!(
            v6.to_string(),
            "2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa."
        );
        assert!(v6.key(1).is_some());
        for other in [
            "a1.app",
            "02.0.19.172.in-addr.arpa",
            "+2.0.19.172.in-addr.arpa",
        ] {
            let name: WireName = other.parse().unwrap();
            assert_eq!(name.reversed(), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn reading_gives_back_what_text_made(labels in prop::collection::vec("[a-z0-9_-]{1,63}", 1..4)) {
            let name: WireName = labels.join(".").parse().unwrap();
            let mut bytes = name.as_bytes().to_vec();
            bytes.extend(b"rest");
            prop_assert_eq!(WireName::read(&bytes), Ok((name.clone(), bytes.len() - 4)));
            prop_assert_eq!(name.to_string().parse(), Ok(name));
        }

        #[test]
        fn reverse_there_and_back(address: IpAddr) {
            prop_assert_eq!(WireName::reverse(address).reversed(), Some(address.to_canonical()));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            if let Ok((name, used)) = WireName::read(&bytes) {
                prop_assert!(used <= bytes.len() && name.as_bytes().len() == used);
            }
        }
    }
}
