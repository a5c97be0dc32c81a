//! `netd drops`: drop counters by reason, program and network.

use clap::Args;
use serde_json::{Value, json};

use super::{Connection, Failure, Printed, format::ListFormat};
use crate::frontends::api::reports::{DropList, DropReport};

/// `netd drops`.
#[derive(Debug, Args)]
pub struct DropsArgs {
    #[command(flatten)]
    format: ListFormat,
    #[command(flatten)]
    connection: Connection,
}

const COLUMNS: [(&str, &str); 6] = [
    ("REASON", "Reason"),
    ("PROGRAM", "Program"),
    ("NETWORK", "Network"),
    ("PACKETS", "Packets"),
    ("BYTES", "Bytes"),
    ("MEANING", "Explanation"),
];

/// Carries out the verb.
pub fn run(args: &DropsArgs) -> Result<Printed, Failure> {
    let list: DropList = args.connection.client()?.get("/drops")?;
    let rows: Vec<Value> = list.drops.iter().map(row).collect();
    args.format.print(&COLUMNS, &rows, "netd drops")
}

fn row(drop: &DropReport) -> Value {
    json!({
        "Reason": drop.reason,
        "Explanation": drop.explanation,
        "Program": drop.program,
        "Network": drop.network,
        "Packets": drop.packets,
        "Bytes": drop.bytes,
    })
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::{COLUMNS, DropReport, ListFormat, row};

    #[test]
    fn drops_are_a_table() {
        let drop = |reason: &str, network: &str, packets| DropReport {
            reason: reason.to_owned(),
            explanation: "A sentence.".to_owned(),
            program: "from_endpoint".to_owned(),
            network: network.to_owned(),
            packets,
            bytes: packets * 84,
        };
        let rows = [
            drop("other-network", "app", 12),
            drop("unknown-interface", "", 1),
        ];
        let rows = rows.each_ref().map(row);
        let printed = ListFormat::default().print(&COLUMNS, &rows, "netd drops");
        expect![[r#"
            REASON              PROGRAM         NETWORK   PACKETS   BYTES     MEANING
            other-network       from_endpoint   app       12        1008      A sentence.
            unknown-interface   from_endpoint             1         84        A sentence.
        "#]]
        .assert_eq(&printed.unwrap().out);
    }
}
