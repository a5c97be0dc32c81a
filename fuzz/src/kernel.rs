//! What the kernel and the programs say: mounts, lists of ports, drop events.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _, path::Path};

use netd::{
    daemon::report::drop_event,
    frontends::api::drop_events::DropEventShape,
    kernel::{
        bpf::{
            drop_events,
            mountinfo::{self, Mount},
        },
        port_lists,
    },
    state::State,
};
use netd_common::abi::drops::{DROP_EVENT_VERSION, DropEvent};

/// No more mounts than lines, and what is read is the same when the kernel writes it again.
pub fn mountinfo(bytes: &[u8]) {
    let mounts = mountinfo::parse(bytes);
    assert!(mounts.len() <= bytes.split(|byte| *byte == b'\n').count());
    for mount in &mounts {
        assert_eq!(mountinfo::parse(&line(mount)), std::slice::from_ref(mount));
    }
    if let Some(root) = mountinfo::cgroup2_root(&mounts) {
        assert!(mounts.contains(root));
        assert_eq!(
            (root.root.as_path(), root.kind.as_str()),
            (Path::new("/"), "cgroup2")
        );
    }
}

/// As in proc_pid_mountinfo(5).
fn line(mount: &Mount) -> Vec<u8> {
    let mut line = b"1 2 3:4".to_vec();
    for path in [&mount.root, &mount.point] {
        field(path.as_os_str(), &mut line);
    }
    line.extend_from_slice(b" rw shared:5 - ");
    line.extend_from_slice(mount.kind.as_bytes());
    field(OsStr::new(&mount.source), &mut line);
    line.extend_from_slice(b" rw");
    line
}

fn field(text: &OsStr, line: &mut Vec<u8>) {
    line.push(b' ');
    for byte in text.as_bytes() {
        match byte {
            b' ' | b'\t' | b'\n' | b'\\' => line.extend(format!("\\{byte:03o}").bytes()),
            other => line.push(*other),
        }
    }
}

/// Ranges that go upwards, no more than there are parts, and the same when read again.
pub fn port_list(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let ranges = port_lists::ranges(&text);
    assert!(ranges.len() <= text.split(',').count());
    assert!(ranges.iter().all(|range| range.first <= range.last));
    let texts: Vec<String> = ranges.iter().map(ToString::to_string).collect();
    assert_eq!(port_lists::ranges(&texts.join(",")), ranges);
    if let Some((low, high)) = port_lists::pair(&text) {
        assert!(low <= high);
        assert_eq!(
            port_lists::pair(&format!("{low}\t{high}\n")),
            Some((low, high))
        );
    }
}

/// A record is of this layout or none; what is told of one comes back as it is.
pub fn drop_event_record(bytes: &[u8]) {
    let Some(event) = drop_events::read(bytes) else {
        let head = bytes.get(..2).map(|head| [head[0], head[1]]);
        let version = head.map(u16::from_ne_bytes);
        return assert!(
            bytes.len() < size_of::<DropEvent>() || version != Some(DROP_EVENT_VERSION)
        );
    };
    assert_eq!(
        drop_events::read(&bytes[..size_of::<DropEvent>()]),
        Some(event)
    );
    let shape = drop_event(&event, &State::default(), 7);
    assert!(!shape.reason.is_empty() && !shape.program.is_empty());
    assert_eq!(shape.source.is_empty(), shape.destination.is_empty());
    assert_eq!(shape.network.is_empty(), event.network == 0);
    let text = serde_json::to_string(&shape).expect("JSON");
    let again: DropEventShape = serde_json::from_str(&text).expect("what was written");
    assert_eq!(again, shape);
}
