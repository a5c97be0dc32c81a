//! Names in wire format, and the host's resolv.conf.

use netd::{kernel::resolv, model::WireName};

/// What is read is at the beginning of the bytes, in lower case, and the same when read again.
pub fn name(bytes: &[u8]) {
    let Ok((name, length)) = WireName::read(bytes) else {
        return;
    };
    assert_eq!(name.as_bytes().len(), length);
    assert!(name.as_bytes().eq_ignore_ascii_case(&bytes[..length]));
    assert_eq!(WireName::read(name.as_bytes()), Ok((name.clone(), length)));
    assert!(length <= 255 && name.labels().all(|label| (1..=63).contains(&label.len())));
    if let Some(address) = name.reversed() {
        assert_eq!(WireName::reverse(address), name);
    }
    if let Some(key) = name.key(7) {
        assert_eq!(key.name[..length], *name.as_bytes());
    }
}

/// Any text is read, and gives no more than it has lines and words.
pub fn resolv_conf(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let conf = resolv::parse(&text);
    assert!(conf.servers.len() <= text.lines().count());
    let words = text.split_whitespace().count();
    assert!(conf.search.len() + conf.options.len() <= words);
    let external = resolv::external(&conf);
    assert!(external.iter().all(|server| conf.servers.contains(server)));
    assert!(
        external
            .iter()
            .all(|server| !server.to_canonical().is_loopback())
    );
}
