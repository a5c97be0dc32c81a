//! The fallback of kernels before 6.6: a bpf filter of a clsact qdisc, at a fixed priority and
//! handle, so that attaching again replaces it (`cls_bpf` swaps the program under RCU). A filter
//! has no pin; the pin of the attachment is the program itself.

use std::{fs, io, os::fd::AsFd, os::fd::AsRawFd};

use netd_common::abi::Program;
use rtnetlink::{
    packet_core::{
        NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REQUEST, NetlinkHeader,
        NetlinkMessage, NetlinkPayload,
    },
    packet_route::{
        RouteNetlinkMessage,
        tc::{
            TcAttribute, TcBpfFlags, TcFilterBpf, TcFilterBpfOption, TcHandle, TcMessage, TcOption,
        },
    },
    sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE},
};

use super::{error::if_file_there, layout::Layout, programs::Programs};
use crate::{model::IfName, plan::TcHook};

/// Filters of endpoints come first; those of uplinks after what others may have there.
const ENDPOINT_PRIORITY: u16 = 1;
const UPLINK_PRIORITY: u16 = 49_000;
/// netd's filter within its priority.
const HANDLE: TcHandle = TcHandle {
    major: 0,
    minor: 0x6e64,
};
/// ETH_P_ALL, as the lower half of `tcm_info` has it: network order.
const ALL_PROTOCOLS: u16 = 0x0003_u16.to_be();

/// A hook of a link.
pub(super) struct Place<'a> {
    link: &'a IfName,
    ifindex: u32,
    hook: TcHook,
    program: Program,
}

impl<'a> Place<'a> {
    pub(super) fn new(link: &'a IfName, ifindex: u32, hook: TcHook, program: Program) -> Place<'a> {
        Place {
            link,
            ifindex,
            hook,
            program,
        }
    }

    fn parent(&self) -> TcHandle {
        TcHandle {
            major: TcHandle::CLSACT.major,
            minor: match self.hook {
                TcHook::Ingress => TcHandle::MIN_INGRESS,
                TcHook::Egress => TcHandle::MIN_EGRESS,
            },
        }
    }

    fn priority(&self) -> u16 {
        match self.program {
            Program::FromUplink | Program::ToUplink => UPLINK_PRIORITY,
            _ => ENDPOINT_PRIORITY,
        }
    }

    fn message(&self, parent: TcHandle) -> TcMessage {
        TcMessage::with_index(self.ifindex.cast_signed()).with_parent(parent)
    }

    fn filter(&self) -> TcMessage {
        let mut message = self.message(self.parent());
        message.header.handle = HANDLE;
        message.header.info = u32::from(self.priority()) << 16 | u32::from(ALL_PROTOCOLS);
        message
    }
}

trait WithParent {
    fn with_parent(self, parent: TcHandle) -> Self;
}

impl WithParent for TcMessage {
    fn with_parent(mut self, parent: TcHandle) -> TcMessage {
        self.header.parent = parent;
        self
    }
}

/// Adds the qdisc where there is none, and the filter, or replaces its program.
pub(super) fn attach(
    programs: &mut Programs,
    place: &Place<'_>,
    layout: &Layout,
) -> anyhow::Result<()> {
    let name = place.program.name();
    let classifier = programs.classifier(place.program)?;
    if add_qdisc(place)? {
        let mark = layout.qdisc(place.link);
        if_file_there(fs::remove_file(&mark))?;
        classifier.pin(&mark)?;
    }
    let fd = classifier.fd()?.as_fd().as_raw_fd();
    let mut filter = place.filter();
    filter.attributes = vec![
        TcAttribute::Kind(TcFilterBpf::KIND.into()),
        TcAttribute::Options(vec![
            TcOption::Bpf(TcFilterBpfOption::ProgFd(fd.cast_unsigned())),
            TcOption::Bpf(TcFilterBpfOption::ProgName(name.into())),
            TcOption::Bpf(TcFilterBpfOption::Flags(TcBpfFlags::DirectAction)),
        ]),
    ];
    talk(RouteNetlinkMessage::NewTrafficFilter(filter), NLM_F_CREATE)?;
    let attachment = crate::plan::Attachment::Tc {
        link: place.link.clone(),
        hook: place.hook,
        program: place.program,
    };
    let pin = layout.link(&attachment);
    let new = layout.incoming().join(super::layout::pin_name(&attachment));
    if_file_there(fs::remove_file(&new))?;
    classifier.pin(&new)?;
    fs::rename(new, pin)?;
    Ok(())
}

/// Removes the filter, and the qdisc where netd added it and no filter is left in it.
pub(super) fn detach(place: &Place<'_>, layout: &Layout) -> anyhow::Result<()> {
    let gone = [libc::ENOENT, libc::EINVAL, libc::ENODEV];
    ignoring(
        talk(RouteNetlinkMessage::DelTrafficFilter(place.filter()), 0),
        &gone,
    )?;
    let mark = layout.qdisc(place.link);
    if !mark.exists() {
        return Ok(());
    }
    let both = [TcHook::Ingress, TcHook::Egress];
    for hook in both {
        let side = Place { hook, ..*place };
        if !filters(&side)?.is_empty() {
            return Ok(());
        }
    }
    let qdisc = place.message(TcHandle::CLSACT);
    ignoring(
        talk(RouteNetlinkMessage::DelQueueDiscipline(qdisc), 0),
        &gone,
    )?;
    if_file_there(fs::remove_file(mark))?;
    Ok(())
}

/// The mark of a qdisc passes from another version's pins to this one's.
pub(super) fn take_over(link: &IfName, from: &Layout, to: &Layout) -> io::Result<()> {
    if_file_there(fs::rename(from.qdisc(link), to.qdisc(link))).map(|_| ())
}

/// The program of netd's filter at that place.
pub(super) fn attached(place: &Place<'_>) -> io::Result<Option<u32>> {
    let filters = filters(place)?;
    let ours = filters.iter().find(|filter| {
        filter.header.handle == HANDLE && filter.header.info >> 16 == u32::from(place.priority())
    });
    Ok(ours.and_then(program_id))
}

fn program_id(filter: &TcMessage) -> Option<u32> {
    filter
        .attributes
        .iter()
        .filter_map(|attribute| match attribute {
            TcAttribute::Options(options) => Some(options),
            _ => None,
        })
        .flatten()
        .find_map(|option| match option {
            TcOption::Bpf(TcFilterBpfOption::ProgId(id)) => Some(*id),
            _ => None,
        })
}

/// Whether the qdisc had to be added.
fn add_qdisc(place: &Place<'_>) -> anyhow::Result<bool> {
    let mut qdisc = place.message(TcHandle::CLSACT);
    qdisc.header.handle = TcHandle {
        major: TcHandle::CLSACT.major,
        minor: 0,
    };
    qdisc.attributes = vec![TcAttribute::Kind("clsact".into())];
    let flags = NLM_F_CREATE | NLM_F_EXCL;
    match talk(RouteNetlinkMessage::NewQueueDiscipline(qdisc), flags) {
        Ok(_) => Ok(true),
        Err(error) if error.raw_os_error() == Some(libc::EEXIST) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Filters of one side; a link without the qdisc has none.
fn filters(place: &Place<'_>) -> io::Result<Vec<TcMessage>> {
    let message = RouteNetlinkMessage::GetTrafficFilter(place.message(place.parent()));
    let answers = ignoring(
        talk(message, NLM_F_DUMP),
        &[libc::ENOENT, libc::EINVAL, libc::ENODEV],
    )?;
    let filters = answers.into_iter().filter_map(|answer| match answer {
        RouteNetlinkMessage::NewTrafficFilter(filter)
            if filter.header.handle != TcHandle::UNSPEC =>
        {
            Some(filter)
        }
        _ => None,
    });
    Ok(filters.collect())
}

fn ignoring(
    result: io::Result<Vec<RouteNetlinkMessage>>,
    errors: &[i32],
) -> io::Result<Vec<RouteNetlinkMessage>> {
    match result {
        Err(error)
            if error
                .raw_os_error()
                .is_some_and(|code| errors.contains(&code)) =>
        {
            Ok(Vec::new())
        }
        result => result,
    }
}

/// One request and all its answers, on a socket of its own and without rtnetlink's connection: calls
/// of BPF do not wait for tasks, and this path is for old kernels, and seldom taken there.
fn talk(message: RouteNetlinkMessage, flags: u16) -> io::Result<Vec<RouteNetlinkMessage>> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
    header.sequence_number = 1;
    let mut request = NetlinkMessage::new(header, NetlinkPayload::from(message));
    request.finalize();
    let mut bytes = vec![0; request.buffer_len()];
    request.serialize(&mut bytes);
    socket.send(&bytes, 0)?;
    let mut answers = Vec::new();
    loop {
        let (datagram, _) = socket.recv_from_full()?;
        if take_answers(&datagram, &mut answers)? {
            return Ok(answers);
        }
    }
}

/// Reads one datagram; whether it was the last.
fn take_answers(datagram: &[u8], answers: &mut Vec<RouteNetlinkMessage>) -> io::Result<bool> {
    let mut rest = datagram;
    while !rest.is_empty() {
        let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        let length = usize::try_from(message.header.length).unwrap_or(usize::MAX);
        rest = rest
            .get(length.max(1).next_multiple_of(4)..)
            .unwrap_or_default();
        match message.payload {
            NetlinkPayload::Done(_) => return Ok(true),
            NetlinkPayload::Error(error) => {
                return match error.code {
                    None => Ok(true),
                    Some(_) => Err(error.to_io()),
                };
            }
            NetlinkPayload::InnerMessage(inner) => answers.push(inner),
            _ => {}
        }
    }
    Ok(false)
}
