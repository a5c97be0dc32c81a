//! What the demo shows, step by step. Each step checks what it shows.

use anyhow::{Context, Result, bail};
use netd_tests::lab::addresses::{HOST, HOST6, OUTSIDE, PUBLIC, PUBLIC6};

use super::{
    Place::{Host, Outside},
    stage::Stage,
};

/// All steps in order.
pub fn all(stage: &mut Stage) -> Result<()> {
    let played = steps(stage);
    if played.is_err()
        && let Ok(agent) = stage.agent()
    {
        eprintln!("\n--- the agent's log\n{}", agent.log());
    }
    played
}

fn steps(stage: &mut Stage) -> Result<()> {
    start(stage)?;
    network(stage)?;
    names(stage)?;
    tcp(stage)?;
    published(stage)?;
    outwards(stage)?;
    isolation(stage)?;
    restart(stage)?;
    inside(stage)
}

fn start(stage: &mut Stage) -> Result<()> {
    stage.title("1. A host with an uplink, an agent on it, and no packet filter");
    stage.run_expecting(Host, "ip -brief address show dev eth0", &[HOST, HOST6])?;
    stage.start_agent()?;
    stage.run_head(Host, "netd status", 5)
}

fn network(stage: &mut Stage) -> Result<()> {
    stage.title("2. A network and two sandboxes, one with a published port");
    stage.run(Host, "netd network create --ipv6 app")?;
    stage.run(
        Host,
        "netd sandbox create --name web --network app -p 8080:80",
    )?;
    stage.run(Host, "netd sandbox create --name client --network app")?;
    stage.run_expecting(Host, "netd sandbox ls", &["web", "client"])?;
    stage.serve(
        Host,
        "netd exec web -- socat TCP4-LISTEN:80,fork,reuseaddr EXEC:'hello web'",
    )
}

fn names(stage: &mut Stage) -> Result<()> {
    stage.title("3. Names: answered by a BPF program from a map");
    let web = address(stage, "web")?;
    stage.run_expecting(Host, "netd exec client -- getent ahosts web", &[&web])?;
    stage.run_expecting(
        Host,
        &format!("netd exec client -- dig +short -x {web}"),
        &["web.app."],
    )?;
    Ok(())
}

fn tcp(stage: &mut Stage) -> Result<()> {
    stage.title("4. TCP between them");
    let client = address(stage, "client")?;
    let seen = format!("hello from web, you are {client}");
    stage.run_expecting(Host, "netd exec client -- curl -s http://web/", &[&seen])?;
    Ok(())
}

fn published(stage: &mut Stage) -> Result<()> {
    stage.title("5. The published port from outside: the server sees the client's own address");
    let seen = format!("hello from web, you are {OUTSIDE}");
    stage.run_expecting(Outside, &format!("curl -s http://{HOST}:8080/"), &[&seen])?;
    stage.run_expecting(Host, "netd port web", &["8080"])?;
    Ok(())
}

fn outwards(stage: &mut Stage) -> Result<()> {
    stage.title("6. From inside to outside: the server sees the host's address");
    stage.serve(
        Outside,
        "socat TCP4-LISTEN:80,fork,reuseaddr EXEC:'hello outside'",
    )?;
    stage.serve(
        Outside,
        "socat TCP6-LISTEN:80,fork,reuseaddr,ipv6only EXEC:'hello outside6'",
    )?;
    let seen = format!("hello from outside, you are {HOST}");
    let line = format!("netd exec client -- curl -s http://{PUBLIC}/");
    stage.run_expecting(Host, &line, &[&seen])?;
    let line = format!("netd exec client -- curl -s http://[{PUBLIC6}]/");
    stage.run_expecting(
        Host,
        &line,
        &["hello from outside6, you are [2001:0db8:0018:"],
    )?;
    Ok(())
}

fn isolation(stage: &mut Stage) -> Result<()> {
    stage.title("7. A sandbox of another network is kept out, and the drop has a reason");
    let web = address(stage, "web")?;
    stage.run(Host, "netd network create other")?;
    stage.run(Host, "netd sandbox create --name stranger --network other")?;
    stage.run_failing(
        Host,
        &format!("netd exec stranger -- curl -sS --max-time 1 http://{web}/"),
    )?;
    stage.run_expecting(Host, "netd drops", &["other-network"])?;
    Ok(())
}

fn restart(stage: &mut Stage) -> Result<()> {
    stage.title("8. The agent is killed: everything goes on without it");
    let web = address(stage, "web")?;
    let namespace = inspect(stage, "client")?["SandboxKey"]
        .as_str()
        .map(str::to_owned)
        .context("client has no namespace")?;
    let pid = stage.agent()?.pid();
    stage.note(&format!("kill -9 {pid}, the agent"));
    stage.agent()?.kill();
    let seen = format!("hello from web, you are {OUTSIDE}");
    stage.run_expecting(Outside, &format!("curl -s http://{HOST}:8080/"), &[&seen])?;
    // `netd exec` would ask the agent which sandbox is meant; its namespace needs nobody.
    let line = format!("nsenter --net={namespace} dig +short @127.0.0.11 web A");
    stage.run_expecting(Host, &line, &[&web])?;
    stage.start_agent()?;
    stage.run_expecting(Host, "netd sandbox ls", &["web", "client", "stranger"])?;
    Ok(())
}

fn inside(stage: &mut Stage) -> Result<()> {
    stage.title("9. What is inside: flows, maps with named fields, and an empty packet filter");
    stage.run_expecting(Host, "netd flow ls", &[HOST])?;
    let map = pinned(stage, "PORTS")?;
    stage.run_expecting(
        Host,
        &format!("bpftool map dump pinned {map}"),
        &["key", "value"],
    )?;
    let rules = stage.run(Host, "nft list ruleset")?;
    if !rules.trim().is_empty() {
        bail!("there are rules in the packet filter");
    }
    stage.note("no rule");
    Ok(())
}

/// The path of a pinned map; the directory carries the ABI version.
fn pinned(stage: &Stage, name: &str) -> Result<String> {
    let found = stage
        .lab()
        .host()
        .run_checked(&format!("find /sys/fs/bpf/netd -name {name}"))?;
    found
        .lines()
        .next()
        .map(str::to_owned)
        .with_context(|| format!("map {name} is not pinned below /sys/fs/bpf/netd"))
}

/// A sandbox's IPv4 address on its first network.
fn address(stage: &Stage, sandbox: &str) -> Result<String> {
    let inspected = inspect(stage, sandbox)?;
    let networks = inspected["Networks"].as_object();
    networks
        .and_then(|networks| networks.values().next())
        .and_then(|endpoint| endpoint["IPAddress"].as_str())
        .map(str::to_owned)
        .with_context(|| format!("{sandbox} has no address"))
}

/// What netd tells about a sandbox.
fn inspect(stage: &Stage, sandbox: &str) -> Result<serde_json::Value> {
    let text = stage
        .lab()
        .host()
        .run_checked(&format!("netd sandbox inspect {sandbox}"))?;
    let mut all: serde_json::Value = serde_json::from_str(&text)?;
    Ok(all[0].take())
}
