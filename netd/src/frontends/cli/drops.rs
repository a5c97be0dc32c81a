//! `netd drops`: drop counters by reason, program and network; with `--follow`, packets as they are
//! dropped, a line each, until it is ended.

use std::io::{self, Write};

use clap::Args;
use serde::Serialize;

use super::{
    Connection, Failure, Printed,
    format::{Column, ListFormat},
};
use crate::frontends::api::{
    drop_events::DropEventShape,
    reports::{DropList, DropReport},
    timestamp::rfc3339,
};

/// `netd drops`.
#[derive(Debug, Args)]
pub struct DropsArgs {
    /// Show packets as they are dropped, instead of counters (text, or -f json: a JSON text a line)
    #[arg(long, conflicts_with = "quiet")]
    follow: bool,
    #[command(flatten)]
    format: ListFormat,
    #[command(flatten)]
    connection: Connection,
}

/// Carries out the verb.
pub fn run(args: &DropsArgs) -> Result<Printed, Failure> {
    if args.follow {
        return follow(args);
    }
    let list: DropList = args.connection.client()?.get("/drops")?;
    let rows: Vec<Row<'_>> = list.drops.iter().map(row).collect();
    args.format.print(&columns(), &rows, "netd drops")
}

fn follow(args: &DropsArgs) -> Result<Printed, Failure> {
    let as_json = args.format.is_json("netd drops --follow")?;
    let mut out = io::stdout().lock();
    args.connection.client()?.lines("/drops/events", |line| {
        let written = if as_json {
            writeln!(out, "{line}")
        } else {
            let event: DropEventShape = serde_json::from_str(line).map_err(|error| {
                Failure::refused(format!("the agent's answer is not understood: {error}"))
            })?;
            writeln!(out, "{}", text(&event))
        };
        // A reader that went away has seen enough.
        Ok(written.and_then(|()| out.flush()).is_ok())
    })?;
    Ok(Printed::default())
}

/// `TIME REASON PROGRAM network=N sandbox=S PROTOCOL SOURCE > DESTINATION, BYTES bytes (N more, N missed)`.
fn text(event: &DropEventShape) -> String {
    let mut text = format!(
        "{} {} {}",
        rfc3339(event.time_nano),
        event.reason,
        event.program
    );
    for (name, value) in [("network", &event.network), ("sandbox", &event.sandbox)] {
        if !value.is_empty() {
            text += &format!(" {name}={value}");
        }
    }
    if !event.protocol.is_empty() {
        text += &format!(
            " {} {} > {},",
            event.protocol, event.source, event.destination
        );
    }
    text += &format!(" {} bytes", event.bytes);
    match (event.untold, event.missed) {
        (0, 0) => {}
        (untold, 0) => text += &format!(" ({untold} more)"),
        (untold, missed) => text += &format!(" ({untold} more, {missed} events missed)"),
    }
    text
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

    use super::{DropEventShape, DropReport, ListFormat, columns, row, text};

    #[test]
    fn a_dropped_packet_is_a_line() {
        let mut event = DropEventShape {
            time_nano: 1_795_291_477_304_212_082,
            reason: "icc-off".to_owned(),
            explanation: "A sentence.".to_owned(),
            program: "from_endpoint".to_owned(),
            network: "app".to_owned(),
            sandbox: "web".to_owned(),
            ifindex: 7,
            protocol: "udp".to_owned(),
            source: "172.18.0.2:5353".to_owned(),
            destination: "172.18.0.3:53".to_owned(),
            bytes: 60,
            untold: 0,
            missed: 0,
        };
        expect!["2026-11-21T20:04:37.304212082Z icc-off from_endpoint network=app sandbox=web udp 172.18.0.2:5353 > 172.18.0.3:53, 60 bytes"]
            .assert_eq(&text(&event));
        (event.untold, event.missed) = (12, 3);
        event.protocol.clear();
        event.network.clear();
        event.sandbox.clear();
        expect!["2026-11-21T20:04:37.304212082Z icc-off from_endpoint 60 bytes (12 more, 3 events missed)"]
            .assert_eq(&text(&event));
    }

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
