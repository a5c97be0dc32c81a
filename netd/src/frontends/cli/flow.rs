//! `netd flow …`: the flow table.

use clap::{Args, Subcommand};
use serde::Serialize;

use super::{
    Connection, Failure, Printed,
    client::read,
    format::{Column, ListFormat},
};
use crate::frontends::api::reports::{FlowList, FlowReport, Flushed};

/// `netd flow`.
#[derive(Debug, Subcommand)]
pub enum FlowVerb {
    /// List conversations with their translation, state, age and counters
    #[command(
        visible_alias = "list",
        after_help = "Example:\n  netd flow ls --sandbox web"
    )]
    Ls(LsArgs),
    /// Forget all conversations; their next packets are decided anew
    #[command(after_help = "Example:\n  netd flow flush")]
    Flush(FlushArgs),
}

/// `netd flow ls`.
#[derive(Debug, Args)]
pub struct LsArgs {
    /// Only those of this sandbox (name)
    #[arg(long)]
    sandbox: Option<String>,
    #[command(flatten)]
    format: ListFormat,
    #[command(flatten)]
    connection: Connection,
}

/// `netd flow flush`.
#[derive(Debug, Args)]
pub struct FlushArgs {
    #[command(flatten)]
    connection: Connection,
}

/// Carries out the verb.
pub fn run(verb: FlowVerb) -> Result<Printed, Failure> {
    match verb {
        FlowVerb::Ls(args) => ls(&args),
        FlowVerb::Flush(args) => {
            let flushed: Flushed = args.connection.client()?.delete("/flows")?;
            Ok(Printed::text(format!(
                "{} flow halves removed\n",
                flushed.halves
            )))
        }
    }
}

fn ls(args: &LsArgs) -> Result<Printed, Failure> {
    let answer = args.connection.client()?.get_bytes("/flows")?;
    let list: FlowList<'_> = read(&answer)?;
    let wanted = |flow: &&FlowReport<'_>| {
        let sandbox = args.sandbox.as_ref();
        sandbox.is_none_or(|sandbox| *sandbox == flow.sandbox)
    };
    let rows: Vec<Row<'_>> = list.flows.iter().filter(wanted).map(row).collect();
    args.format.print(&columns(), &rows, "netd flow ls")
}

fn columns<'a>() -> [Column<Row<'a>>; 10] {
    [
        ("SOURCE", |row| row.source.into()),
        ("DESTINATION", |row| row.destination.into()),
        ("PROTO", |row| row.protocol.into()),
        ("SANDBOX", |row| row.sandbox.into()),
        ("NAT", |row| row.nat.into()),
        ("TRANSLATED", |row| row.translated.as_str().into()),
        ("STATE", |row| row.state.into()),
        ("AGE", |row| row.age.as_str().into()),
        ("PACKETS", |row| row.packets.to_string().into()),
        ("BYTES", |row| row.bytes.to_string().into()),
    ]
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Row<'a> {
    source: &'a str,
    destination: &'a str,
    protocol: &'a str,
    sandbox: &'a str,
    network: &'a str,
    #[serde(rename = "NAT")]
    nat: &'a str,
    translated: String,
    translated_source: &'a str,
    translated_destination: &'a str,
    state: &'a str,
    age: String,
    age_seconds: u64,
    idle_seconds: u64,
    packets: u64,
    bytes: u64,
}

fn row<'a>(flow: &'a FlowReport<'_>) -> Row<'a> {
    // The side that the translation changed.
    let translated = match (
        flow.translated_source != flow.source,
        flow.translated_destination != flow.destination,
    ) {
        (true, false) => format!("from {}", flow.translated_source),
        (false, true) => format!("to {}", flow.translated_destination),
        (true, true) => format!(
            "from {} to {}",
            flow.translated_source, flow.translated_destination
        ),
        (false, false) => String::new(),
    };
    Row {
        source: &flow.source,
        destination: &flow.destination,
        protocol: &flow.protocol,
        sandbox: &flow.sandbox,
        network: &flow.network,
        nat: &flow.nat,
        translated,
        translated_source: &flow.translated_source,
        translated_destination: &flow.translated_destination,
        state: &flow.state,
        age: age(flow.age),
        age_seconds: flow.age,
        idle_seconds: flow.idle,
        packets: flow.packets,
        bytes: flow.bytes,
    }
}

/// `45s`, `12m`, `3h`, `9d`.
pub fn age(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds}s"),
        120..=7_199 => format!("{}m", seconds / 60),
        7_200..=172_799 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::{FlowReport, ListFormat, age, columns, row};

    #[test]
    fn flows_are_a_table() {
        let flow = FlowReport::example();
        let published = FlowReport {
            source: "[2001:db8::9]:5000".into(),
            destination: "[2001:db8::1]:8080".into(),
            translated_source: "[2001:db8::9]:5000".into(),
            translated_destination: "[fd00:1::2]:80".into(),
            nat: "published".into(),
            ..flow.clone()
        };
        let rows = [row(&flow), row(&published)];
        let printed = ListFormat::default().print(&columns(), &rows, "netd flow ls");
        expect![[r#"
            SOURCE               DESTINATION          PROTO     SANDBOX   NAT          TRANSLATED             STATE         AGE       PACKETS   BYTES
            172.18.0.2:40000     203.0.113.9:443      tcp       web       masquerade   from 192.0.2.7:40000   established   2m        12        3456
            [2001:db8::9]:5000   [2001:db8::1]:8080   tcp       web       published    to [fd00:1::2]:80      established   2m        12        3456
        "#]].assert_eq(&printed.unwrap().out);
    }

    #[test]
    fn ages_are_short() {
        let shown = [0, 119, 120, 7199, 7200, 172_800].map(age);
        assert_eq!(shown, ["0s", "119s", "2m", "119m", "2h", "2d"]);
    }
}
