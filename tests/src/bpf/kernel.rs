//! Packets decided in the kernel: the built object over real maps, run by `BPF_PROG_TEST_RUN`.
//! Nothing is attached, and no packet goes anywhere: where a redirect leads cannot be seen this
//! way, only that there is one, the packet's bytes, and the counters and flows afterwards.

use std::{collections::BTreeMap, time::Duration};

use aya::{
    Ebpf,
    maps::{
        Array, HashMap, LpmTrie, Map, PerCpuArray, PerCpuHashMap, PerCpuValues, ProgramArray,
        lpm_trie::Key,
    },
    programs::{Program as Loaded, SchedClassifier, TestRun as _, TestRunOptions},
    util::nr_cpus,
};
use netd_common::{
    abi::{
        Program,
        drops::{DropCount, DropKey},
        endpoint::{Endpoint, EndpointKey, Subnet},
        flow::{Flow, FlowKey},
        fragment::{FragmentKey, Fragments, Parked},
        host::{Config, HostAddress, Uplink},
        link::{LinkKey, OpenPorts},
        maps,
        name::{Name, NameKey, Scopes},
        port::{Port, PortKey},
        tail_calls,
    },
    packet::icmp_error::Budget,
};
use zerocopy::{FromBytes as _, Immutable, IntoBytes};

use super::{Input, Object, Output, World, action, load, namespace, raw};

/// Room for the packet afterwards.
const LARGEST: usize = 2_048;
/// Octets of `struct __sk_buff` up to and with `ifindex`.
const CONTEXT: usize = 44;
/// Where `ingress_ifindex` and `ifindex` are in it.
const INGRESS_IFINDEX: usize = 36;
const IFINDEX: usize = 40;
/// Who decides packets: the hooks' programs, and those that they hand packets to.
pub const PROGRAMS: [Program; 9] = [
    Program::FromEndpoint,
    Program::ToEndpoint,
    Program::FromUplink,
    Program::ToUplink,
    Program::FromUplinkL3,
    Program::ToUplinkL3,
    Program::Dns,
    Program::Icmp,
    Program::Fragments,
];

/// The kernel's side.
pub struct Kernel {
    ebpf: Ebpf,
    drops: BTreeMap<DropKey, u64>,
    /// The packet afterwards.
    after: Box<[u8; LARGEST]>,
}

impl Kernel {
    /// Does `job` with the plain object's programs over the world's maps and interfaces.
    pub fn with<R: Send>(world: &World, job: impl FnOnce(&mut Kernel) -> R + Send) -> R {
        super::require_root();
        namespace::inside(world, || {
            let mut ebpf = Object::Plain.open();
            for program in PROGRAMS {
                load(&mut ebpf, program);
            }
            let mut kernel = Kernel {
                ebpf,
                drops: BTreeMap::new(),
                after: Box::new([0; LARGEST]),
            };
            kernel.fill(world);
            job(&mut kernel)
        })
    }

    /// What becomes of a packet; the kernel's error where it does not take it for a test.
    pub fn run(&mut self, input: &Input) -> Result<Output, String> {
        let mut bytes = Vec::new();
        let (action, _) = self.decide(input, &mut bytes)?;
        // A packet whose sender gets an ICMP error is dropped, too; one that passes may end a flow.
        let dropped = self.new_drop();
        if action == action::REDIRECT && dropped.is_some() {
            self.allow_errors();
        }
        Ok(Output {
            action,
            bytes,
            dropped,
        })
    }

    /// The same without counters, for who decides many: what the program returns, and how long it took
    /// by the kernel's clock (with two readings of it); `bytes` becomes the packet afterwards. Once,
    /// since a program that is repeated gets the packet as it left it.
    pub fn decide(
        &mut self,
        input: &Input,
        bytes: &mut Vec<u8>,
    ) -> Result<(i32, Duration), String> {
        let mut context = [0; CONTEXT];
        context[INGRESS_IFINDEX..IFINDEX].copy_from_slice(&input.ingress.to_ne_bytes());
        context[IFINDEX..].copy_from_slice(&input.ifindex.to_ne_bytes());
        let name = input.program.name();
        let Some(Loaded::SchedClassifier(classifier)) = self.ebpf.program(name) else {
            panic!("{name} is no hook of packets");
        };
        let options = TestRunOptions {
            data_in: Some(&input.bytes),
            data_out: Some(&mut *self.after),
            ctx_in: Some(&context),
            ..TestRunOptions::new()
        };
        let result = classifier
            .test_run(options)
            .map_err(|error| format!("{error:?}"))?;
        bytes.clear();
        bytes.extend_from_slice(&self.after[..result.data_size_out as usize]);
        Ok((result.return_value as i32, result.duration))
    }

    /// The drop counters.
    pub fn drops(&self) -> BTreeMap<DropKey, u64> {
        let map = self.ebpf.map(maps::DROPS).expect("the map");
        let entries: PerCpuHashMap<_, [u8; size_of::<DropKey>()], [u8; size_of::<DropCount>()]> =
            PerCpuHashMap::try_from(map).expect("its types");
        let entries = entries.iter().map(|entry| {
            let (key, values) = entry.expect("an entry");
            let key = DropKey::read_from_bytes(&key).expect("its size");
            let packets = values
                .iter()
                .map(|value| DropCount::read_from_bytes(value).expect("its size").packets);
            (key, packets.sum())
        });
        entries.collect()
    }

    /// The flows in `FLOWS` and in `NEW_FLOWS`.
    pub fn flows(&self) -> [BTreeMap<FlowKey, Flow>; 2] {
        [maps::FLOWS, maps::NEW_FLOWS].map(|name| {
            let map = self.ebpf.map(name).expect("the map");
            let entries: HashMap<_, [u8; size_of::<FlowKey>()], [u8; size_of::<Flow>()]> =
                HashMap::try_from(map).expect("its types");
            entries
                .iter()
                .map(|entry| {
                    let (key, value) = entry.expect("an entry");
                    let key = FlowKey::read_from_bytes(&key).expect("its size");
                    (key, Flow::read_from_bytes(&value).expect("its size"))
                })
                .collect()
        })
    }

    /// Forgets every flow, so that another conversation finds the world as it was.
    pub fn forget_flows(&mut self) {
        for name in [maps::FLOWS, maps::NEW_FLOWS] {
            self.empty::<{ size_of::<FlowKey>() }, { size_of::<Flow>() }>(name);
        }
        self.empty::<4, 8>(maps::FLOW_COUNTS);
    }

    /// Forgets every fragment.
    pub fn forget_fragments(&mut self) {
        self.empty::<{ size_of::<FragmentKey>() }, { size_of::<Fragments>() }>(maps::FRAGMENTS);
        self.empty::<4, { size_of::<Parked>() }>(maps::PARKED);
    }

    fn empty<const K: usize, const V: usize>(&mut self, name: &str) {
        let mut entries: HashMap<_, [u8; K], [u8; V]> =
            HashMap::try_from(self.map(name)).expect("its types");
        let keys: Result<Vec<_>, _> = entries.keys().collect();
        for key in keys.expect("the keys") {
            entries.remove(&key).expect("it is there");
        }
    }

    /// Fills the budget of ICMP errors: a comparison runs faster than they may be made. All zero is full.
    pub fn allow_errors(&mut self) {
        const SIZE: usize = size_of::<Budget>();
        let mut budgets: PerCpuArray<_, [u8; SIZE]> =
            PerCpuArray::try_from(self.map("ICMP_BUDGET")).expect("its type");
        let full = vec![[0; SIZE]; nr_cpus().expect("the number of CPUs")];
        let full = PerCpuValues::try_from(full).expect("one each");
        budgets.set(0, full, 0).expect("room");
    }

    fn classifier(&mut self, program: Program) -> &mut SchedClassifier {
        match self.ebpf.program_mut(program.name()) {
            Some(Loaded::SchedClassifier(classifier)) => classifier,
            _ => panic!("{} is no hook of packets", program.name()),
        }
    }

    /// The drop counter that has grown since the last drop; nothing unless it is one, by one.
    fn new_drop(&mut self) -> Option<DropKey> {
        let now = self.drops();
        let mut grown = now
            .iter()
            .filter(|(key, packets)| self.drops.get(key).copied().unwrap_or(0) != **packets);
        let found = match (grown.next(), grown.next()) {
            (Some((key, packets)), None) => {
                let before = self.drops.get(key).copied().unwrap_or(0);
                (*packets == before + 1).then_some(*key)
            }
            _ => None,
        };
        self.drops = now;
        found
    }

    /// Puts the world's entries, over those with the same keys.
    pub fn fill(&mut self, world: &World) {
        const ENDPOINT: usize = size_of::<Endpoint>();
        for (ifindex, endpoint) in &world.interfaces {
            self.insert::<4, ENDPOINT>(maps::INTERFACES, ifindex, endpoint);
        }
        for (key, endpoint) in &world.endpoints {
            self.insert::<{ size_of::<EndpointKey>() }, ENDPOINT>(maps::ENDPOINTS, key, endpoint);
        }
        for (address, entry) in &world.host_addresses {
            self.insert::<16, { size_of::<HostAddress>() }>(maps::HOST_ADDRESSES, address, entry);
        }
        for (ifindex, uplink) in &world.uplinks {
            self.insert::<4, { size_of::<Uplink>() }>(maps::UPLINKS, ifindex, uplink);
        }
        for (key, open) in &world.open {
            self.insert::<{ size_of::<LinkKey>() }, { size_of::<OpenPorts>() }>(
                maps::LINKS,
                key,
                open,
            );
        }
        for (key, name) in &world.names {
            self.insert::<{ size_of::<NameKey>() }, { size_of::<Name>() }>(maps::NAMES, key, name);
        }
        for (sandbox, scopes) in &world.scopes {
            self.insert::<4, { size_of::<Scopes>() }>(maps::SCOPES, sandbox, scopes);
        }
        for (address, bits, subnet) in &world.subnets {
            self.insert_prefix::<16, { size_of::<Subnet>() }>(
                maps::SUBNETS,
                *bits,
                address,
                subnet,
            );
        }
        for (key, bits, port) in &world.ports {
            self.insert_prefix::<{ size_of::<PortKey>() }, { size_of::<Port>() }>(
                maps::PORTS,
                *bits,
                key,
                port,
            );
        }
        let map = self.map(maps::CONFIG);
        let mut config: Array<_, [u8; size_of::<Config>()]> =
            Array::try_from(map).expect("its types");
        config.set(0, raw(&world.config), 0).expect("room");
        for (index, program) in [
            (tail_calls::DNS, Program::Dns),
            (tail_calls::ICMP, Program::Icmp),
            (tail_calls::FRAGMENTS, Program::Fragments),
        ] {
            let program = self.classifier(program).fd().expect("loaded");
            let program = program.try_clone().expect("a descriptor");
            let mut calls = ProgramArray::try_from(self.map(maps::TAIL_CALLS)).expect("its type");
            calls.set(index, &program, 0).expect("room");
        }
    }

    fn insert<const K: usize, const V: usize>(
        &mut self,
        name: &str,
        key: &(impl IntoBytes + Immutable),
        value: &(impl IntoBytes + Immutable),
    ) {
        let map = self.map(name);
        let mut entries: HashMap<_, [u8; K], [u8; V]> = HashMap::try_from(map).expect("its types");
        entries.insert(raw(key), raw(value), 0).expect("room");
    }

    fn insert_prefix<const K: usize, const V: usize>(
        &mut self,
        name: &str,
        bits: u32,
        key: &(impl IntoBytes + Immutable),
        value: &(impl IntoBytes + Immutable),
    ) {
        let map = self.map(name);
        let mut entries: LpmTrie<_, [u8; K], [u8; V]> = LpmTrie::try_from(map).expect("its types");
        let key = Key::new(bits, raw(key));
        entries.insert(&key, raw(value), 0).expect("room");
    }

    fn map(&mut self, name: &str) -> &mut Map {
        let map = self.ebpf.map_mut(name);
        map.unwrap_or_else(|| panic!("the object has no map {name}"))
    }
}
