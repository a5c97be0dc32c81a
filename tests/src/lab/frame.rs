//! Raw frames, for what no ordinary client would send.

use anyhow::Result;

use super::Namespace;

/// An EtherType for local experiments (IEEE 802).
pub const EXPERIMENTAL: u16 = 0x88b5;

impl Namespace {
    /// Sends a frame as it is, without the frame check sequence.
    pub fn send_frame(&self, interface: &str, frame: &[u8]) -> Result<()> {
        let octal: String = frame.iter().map(|byte| format!("\\{byte:03o}")).collect();
        let pipe = format!("printf '{octal}' | socat -u - INTERFACE:{interface}");
        self.spawn_words(vec!["sh".into(), "-c".into(), pipe])?
            .wait(std::time::Duration::from_secs(5))
            .and_then(|finished| {
                anyhow::ensure!(finished.succeeded(), "{}", finished.describe());
                Ok(())
            })
    }
}

/// An Ethernet frame with a payload that is easy to see in a capture.
///
/// # Panics
/// If a MAC is none.
#[track_caller]
pub fn ethernet(to: &str, from: &str, ethertype: u16) -> Vec<u8> {
    let mut frame = octets(to);
    frame.extend(octets(from));
    frame.extend(ethertype.to_be_bytes());
    frame.extend([0x6e; 46]);
    frame
}

#[track_caller]
fn octets(mac: &str) -> Vec<u8> {
    let octets: Vec<u8> = mac
        .split(':')
        .map(|octet| match u8::from_str_radix(octet, 16) {
            Ok(octet) => octet,
            Err(error) => panic!("{mac}: {error}"),
        })
        .collect();
    assert_eq!(octets.len(), 6, "{mac}");
    octets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_has_its_addresses_first() {
        let frame = ethernet("ff:ff:ff:ff:ff:ff", "02:00:00:00:00:01", EXPERIMENTAL);
        assert_eq!(frame.len(), 60);
        assert_eq!(frame[..6], [0xff; 6]);
        assert_eq!(frame[6..14], [2, 0, 0, 0, 0, 1, 0x88, 0xb5]);
    }
}
