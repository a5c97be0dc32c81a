//! Drop counters with the names of their reasons, programs and networks.

use std::collections::BTreeMap;

use netd_common::{DropReason, abi::Program};

use crate::{
    frontends::api::reports::{DropList, DropReport},
    kernel::DropRecord,
    state::State,
};

/// Most packets first; numbers that this netd does not know are shown as they are.
pub fn drops(records: &[DropRecord], state: &State) -> DropList {
    let names: BTreeMap<u32, String> = state
        .networks()
        .map(|network| (network.index, network.name.to_string()))
        .collect();
    let mut drops: Vec<DropReport> = records
        .iter()
        .filter(|record| record.count.packets > 0)
        .map(|record| report(record, &names))
        .collect();
    drops.sort_by(|a, b| {
        let by_text =
            || (&a.reason, &a.program, &a.network).cmp(&(&b.reason, &b.program, &b.network));
        b.packets.cmp(&a.packets).then_with(by_text)
    });
    DropList { drops }
}

fn report(record: &DropRecord, names: &BTreeMap<u32, String>) -> DropReport {
    let key = record.key;
    let reason = DropReason::from_number(key.reason);
    let program = Program::from_number(key.program);
    let network = match key.network {
        0 => String::new(),
        index => names
            .get(&index)
            .cloned()
            .unwrap_or_else(|| format!("#{index}")),
    };
    DropReport {
        reason: reason.map_or_else(|| key.reason.to_string(), |reason| reason.name().to_owned()),
        explanation: reason.map_or("", DropReason::explanation).trim().to_owned(),
        program: program.map_or_else(
            || key.program.to_string(),
            |program| program.name().to_owned(),
        ),
        network,
        packets: record.count.packets,
        bytes: record.count.bytes,
    }
}

#[cfg(test)]
mod tests {
    use netd_common::abi::drops::{DropCount, DropKey};

    use super::{DropRecord, State, drops};

    #[test]
    fn counters_get_their_names() {
        let record = |reason, program, network, packets| DropRecord {
            key: DropKey {
                reason,
                program,
                network,
            },
            count: DropCount {
                packets,
                bytes: packets * 100,
            },
        };
        let records = [
            record(5, 1, 0, 2),
            record(17, 1, 9, 30),
            record(999, 88, 0, 1),
            record(1, 1, 0, 0),
        ];
        let list = drops(&records, &State::default());
        let shown: Vec<_> = list
            .drops
            .iter()
            .map(|d| {
                (
                    d.reason.as_str(),
                    d.program.as_str(),
                    d.network.as_str(),
                    d.packets,
                )
            })
            .collect();
        assert_eq!(
            shown,
            [
                ("other-network", "from_endpoint", "#9", 30),
                ("spoofed-address", "from_endpoint", "", 2),
                ("999", "88", "", 1),
            ]
        );
        assert_eq!(
            list.drops[1].explanation,
            "The source address is not the endpoint's."
        );
    }
}
