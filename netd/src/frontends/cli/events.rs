//! `netd events`: what happens to networks and sandboxes, a line each as it happens, until it is ended.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use clap::Args;

use super::{
    Connection, Failure, Printed,
    filters::{Filter, Filters},
    format::Template,
};
use crate::frontends::api::{events::EventShape, timestamp::rfc3339};

/// Keys of `--filter`.
const KEYS: [&str; 5] = ["type", "event", "network", "sandbox", "label"];

/// `netd events`.
#[derive(Debug, Args)]
pub struct EventsArgs {
    /// Begin behind this revision (lists carry theirs); without it, now
    #[arg(long, value_name = "REVISION")]
    since: Option<u64>,
    /// type=network|sandbox, event=ACTION, network=NAME|ID, sandbox=NAME|ID, label=K[=V]; of one key any
    #[arg(long, value_name = "K=V")]
    filter: Vec<String>,
    /// json (a JSON text a line), '{{.A.B}}' or '{{json .A}}'; without it a text for people
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

/// Carries out the verb.
pub fn run(args: &EventsArgs) -> Result<Printed, Failure> {
    let filters = Filters::parse(&args.filter, &KEYS)?;
    let format = args.format.as_deref().filter(|format| *format != "text");
    let template = format.map(|format| Template::parse(format, "netd events"));
    let template = template.transpose()?;
    let path = match args.since {
        Some(since) => format!("/events?since={since}"),
        None => "/events".to_owned(),
    };
    let mut out = io::stdout().lock();
    args.connection.client()?.lines(&path, |line| {
        let bad =
            |error| Failure::refused(format!("the agent's answer is not understood: {error}"));
        let event: EventShape = serde_json::from_str(line).map_err(bad)?;
        if !passes(&event, &filters) {
            return Ok(true);
        }
        let line = match &template {
            None => text(&event),
            Some(template) => template.line(&serde_json::from_str(line).map_err(bad)?)?,
        };
        let written = writeln!(out, "{line}");
        // A reader that went away has seen enough.
        Ok(written.and_then(|()| out.flush()).is_ok())
    })?;
    Ok(Printed::default())
}

/// As Docker prints it.
fn text(event: &EventShape) -> String {
    let attributes = event.actor.attributes.iter();
    let attributes: Vec<String> = attributes.map(|(k, v)| format!("{k}={v}")).collect();
    format!(
        "{} {} {} {} ({})",
        rfc3339(event.time_nano),
        event.kind,
        event.action,
        event.actor.id,
        attributes.join(", ")
    )
}

/// Labels are a sandbox's.
fn passes(event: &EventShape, filters: &Filters) -> bool {
    let none = BTreeMap::new();
    let labels = match event.kind.as_str() {
        "sandbox" => &event.actor.attributes,
        _ => &none,
    };
    filters.pass(labels, |filter| matches(event, filter))
}

fn matches(event: &EventShape, Filter { key, value }: &Filter) -> bool {
    let attributes = &event.actor.attributes;
    let name = attributes.get("name").is_some_and(|name| name == value);
    let is_actor = |kind: &str| {
        event.kind == kind && (name || (!value.is_empty() && event.actor.id.starts_with(value)))
    };
    match key.as_str() {
        "type" => event.kind == *value,
        "event" => event.action == *value,
        "network" => is_actor("network"),
        "sandbox" => {
            let connected = attributes.get("sandbox");
            is_actor("sandbox")
                || connected.is_some_and(|id| !value.is_empty() && id.starts_with(value.as_str()))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{EventShape, Filters, passes, text};

    fn event(json: &str) -> EventShape {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn events_are_printed_and_picked() {
        let id = "466ac00ba0be8de010de8cca6d22e732124623304140cc685a7611816d40ca20";
        let connect = event(&format!(
            r#"{{"Type":"network","Action":"connect","Actor":{{"ID":"{id}","Attributes":{{"name":"evn","sandbox":"f325d6","type":"bridge"}}}},"scope":"local","time":1795291477,"timeNano":1795291477304212082,"revision":3}}"#
        ));
        assert_eq!(
            text(&connect),
            format!(
                "2026-11-21T20:04:37.304212082Z network connect {id} (name=evn, sandbox=f325d6, type=bridge)"
            )
        );
        let made = event(
            r#"{"Type":"sandbox","Action":"create","Actor":{"ID":"f325d6","Attributes":{"name":"e1","tier":"web"}},"scope":"local","time":1,"timeNano":1,"revision":3}"#,
        );
        for (key, value, of_connect, of_made) in [
            ("type", "network", true, false),
            ("event", "create", false, true),
            ("network", "evn", true, false),
            ("network", "466ac0", true, false),
            ("network", "e1", false, false),
            ("network", "", false, false),
            ("sandbox", "e1", false, true),
            ("sandbox", "f325", true, true),
            ("label", "tier", false, true),
            ("label", "tier=db", false, false),
            ("label", "type=bridge", false, false),
        ] {
            let filters = Filters::parse(&[format!("{key}={value}")], &super::KEYS).unwrap();
            assert_eq!(passes(&connect, &filters), of_connect, "{key}={value}");
            assert_eq!(passes(&made, &filters), of_made, "{key}={value}");
        }
    }
}
