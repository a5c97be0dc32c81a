//! `netd drops`: drop counters by reason, program and network.

use clap::Args;
use serde::Serialize;

use super::{
    Connection, Failure, Printed,
    format::{Column, ListFormat},
};
use crate::frontends::api::reports::{DropList, DropReport};

/// `netd drops`.
#[derive(Debug, Args)]
pub struct DropsArgs {
    #[command(flatten)]
    format: ListFormat,
    #[command(flatten)]
    connection: Connection,
}

/// Carries out the verb.
pub fn run(args: &DropsArgs) -> Result<Printed, Failure> {
    let list: DropList = args.connection.client()?.get("/drops")?;
    let rows: Vec<Row<'_>> = list.drops.iter().map(row).collect();
    args.format.print(&columns(), &rows, "netd drops")
}

fn columns<'a>() -> [Column<Row<'a>>; 6] {
    [
        ("REASON", |row| row.reason.into()),
        ("PROGRAM", |row| row.program.into()),
        ("NETWORK", |row| row.network.into()),
        ("PACKETS", |row| row.packets.to_string().into()),
        ("BYTES", |row| row.bytes.to_string().into()),
        ("MEANING", |row| row.explanation.into()),
    ]
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Row<'a> {
    reason: &'a str,
    explanation: &'a str,
    program: &'a str,
    network: &'a str,
    packets: u64,
    bytes: u64,
}

fn row(drop: &DropReport) -> Row<'_> {
    Row {
        reason: &drop.reason,
        explanation: &drop.explanation,
        program: &drop.program,
        network: &drop.network,
        packets: drop.packets,
        bytes: drop.bytes,
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::{DropReport, ListFormat, columns, row};

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
        let printed = ListFormat::default().print(&columns(), &rows, "netd drops");
        expect![[r#"
            REASON              PROGRAM         NETWORK   PACKETS   BYTES     MEANING
            other-network       from_endpoint   app       12        1008      A sentence.
            unknown-interface   from_endpoint             1         84        A sentence.
        "#]]
        .assert_eq(&printed.unwrap().out);
    }
}
