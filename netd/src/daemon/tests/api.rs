//! Socket, handlers, verbs and store together, over the kernel in memory: what a user types and what
//! comes back.

use expect_test::expect;

use super::rig::Rig;

#[test]
fn networks_come_and_go() {
    let rig = Rig::new();
    let id = rig.out("network create --subnet 10.9.0.0/24 --label a=b app");
    assert_eq!(id.trim().len(), 64);
    rig.out("network create --internal inside");
    assert_eq!(
        rig.out("network ls -f {{.Name}}"),
        "app\nbridge\nhost\ninside\nnone\n"
    );
    assert_eq!(
        rig.out("network ls -q --filter name=app"),
        format!("{}\n", &id[..12])
    );
    assert_eq!(rig.out("network ls -q --no-trunc --filter label=a=b"), id);
    assert_eq!(
        rig.out("network ls -q --filter driver=null --filter name=host"),
        ""
    );
    let subnets = rig.out("network inspect -f {{json~.IPAM}} app");
    rig.refused(
        "network create app",
        expect![[r#"
        netd: network with name app already exists
    "#]],
    );
    rig.refused(
        "network create --subnet 10.9.0.128/25 more",
        expect![[r#"
        netd: Pool overlaps with other one on this address space
        try: netd network inspect shows the subnets in use
    "#]],
    );
    rig.refused(
        "network create -o com.docker.network.driver.mtu=abc more",
        expect![[r#"
            netd: failed to parse com.docker.network.driver.mtu value: abc (strconv.Atoi: parsing "abc": invalid syntax)
        "#]],
    );
    rig.refused(
        "network create -d overlay more",
        expect![[r#"
            netd: driver overlay is not built yet
            try: -d bridge or -d macvlan
        "#]],
    );
    rig.refused(
        "network create host",
        expect![[r#"
        netd: operation is not permitted on predefined host network
    "#]],
    );
    rig.refused(
        "network rm bridge",
        expect![[r#"
        netd: bridge is a pre-defined network and cannot be removed
    "#]],
    );
    rig.refused(
        "network rm nosuch",
        expect![[r#"
        netd: network nosuch not found
        try: netd network ls
    "#]],
    );
    expect![[r#"
        {"Driver":"default","Options":{},"Config":[{"Subnet":"10.9.0.0/24","Gateway":"10.9.0.1"}]}
    "#]]
    .assert_eq(&subnets);
    let printed = rig.run("network rm nosuch app nosuch2");
    assert_eq!((printed.out.as_str(), printed.exit), ("app\n", 1));
    assert_eq!(rig.out("network rm -f app"), "");
    assert_eq!(rig.out("network prune -f"), "Deleted Networks:\ninside\n");
    let printed = rig.run("network inspect nosuch");
    assert_eq!((printed.out.as_str(), printed.exit), ("[]\n", 1));
}

#[test]
fn sandboxes_come_and_go() {
    let rig = Rig::new();
    rig.out("network create --subnet 10.9.0.0/24 app");
    let id = rig.out("sandbox create --name web --network name=app,alias=w,ip=10.9.0.9 -p 8080:80 -p 7000-7099:7000-7099/udp");
    let short = &id[..12];
    assert_eq!(rig.out("sandbox ls -q"), format!("{short}\n"));
    expect![[r#"
        SANDBOX ID     NAME      STATE     NETWORKS   ADDRESSES   PORTS
        SHORTSHORTID   web       running   app        10.9.0.9    0.0.0.0:8080->80/tcp, [::]:8080->80/tcp, 0.0.0.0:7000-7099->7000-7099/udp, [::]:7000-7099->7000-7099/udp
    "#]].assert_eq(&rig.out("sandbox ls").replace(short, "SHORTSHORTID"));
    expect![[r#"
        80/tcp -> 0.0.0.0:8080
        80/tcp -> [::]:8080
        7000-7099/udp -> 0.0.0.0:7000-7099
        7000-7099/udp -> [::]:7000-7099
    "#]]
    .assert_eq(&rig.out("port web"));
    assert_eq!(rig.out("port web 7005/udp"), "0.0.0.0:7005\n[::]:7005\n");
    rig.refused(
        "port web 81",
        expect![[r#"
        netd: No public port '81/tcp' published for web
    "#]],
    );
    rig.refused(
        "port nosuch",
        expect![[r#"
        netd: No such sandbox: nosuch
        try: netd sandbox ls
    "#]],
    );
    let names = rig.out("sandbox inspect -f {{json~.Networks.app.DNSNames}} web");
    assert_eq!(names, format!("[\"web\",\"w\",\"{short}\"]\n"));
    assert_eq!(
        rig.out("sandbox inspect -f {{.Networks.app.IPAddress}} web"),
        "10.9.0.9\n"
    );
    let key = format!("/run/netd/netns/{id}");
    assert_eq!(rig.out("sandbox inspect -f {{.SandboxKey}} web"), key);
    rig.refused("sandbox create --name web", expect![[r#"
        netd: Conflict. The sandbox name "/web" is already in use by sandbox "538453d700000007abababababababababababababababababababababababab".
    "#]]);
    rig.refused(
        "sandbox create -p 8080:81",
        expect![[r#"
        netd: Bind for 0.0.0.0:8080 failed: port is already allocated
        try: netd sandbox ls shows who publishes it
    "#]],
    );
    rig.refused(
        "sandbox create --network app --ip 10.9.0.9",
        expect![[r#"
        netd: Address already in use
    "#]],
    );
    rig.refused(
        "sandbox create --network nosuch",
        expect![[r#"
        netd: network nosuch not found
        try: netd network ls
    "#]],
    );
    rig.refused(
        "sandbox create --network-alias x",
        expect![[r#"
        netd: network-scoped aliases are only supported for user-defined networks
    "#]],
    );
    assert_eq!(rig.out("inspect -f {{.Name}} web app"), "web\napp\n");
    rig.refused("network rm app", expect![[r#"
        netd: error while removing network: network app id b54cda2600000006abababababababababababababababababababababababab has active endpoints
        try: netd network inspect shows them; netd network disconnect -f removes one
    "#]]);
    assert_eq!(rig.out("network connect bridge web"), "");
    rig.refused(
        "network connect app web",
        expect![[r#"
        netd: endpoint with name web already exists in network app
    "#]],
    );
    assert_eq!(rig.out("network disconnect bridge web"), "");
    rig.refused("network disconnect bridge web", expect![[r#"
        netd: sandbox 538453d700000007abababababababababababababababababababababababab is not connected to network bridge
    "#]]);
    assert_eq!(rig.out("sandbox rm web"), "web\n");
    rig.refused(
        "sandbox rm web",
        expect![[r#"
        netd: No such sandbox: web
        try: netd sandbox ls
    "#]],
    );
    assert_eq!(rig.out("sandbox rm -f web"), "");
    assert_eq!(rig.out("sandbox ls -q"), "");
}

#[test]
fn modes_without_a_network_of_their_own() {
    let rig = Rig::new();
    let printed = rig.run("sandbox create --name h --network host -p 80:80");
    assert_eq!(printed.exit, 0);
    let warning = "WARNING: Published ports are discarded when using host network mode\n";
    assert_eq!(printed.messages, warning);
    let reserved = rig.run("sandbox create --name n --network none -p 80:80");
    assert_eq!(reserved.exit, 0);
    assert_eq!(
        rig.out("sandbox inspect -f {{json~.Ports}} n"),
        "{\"80/tcp\":null}\n"
    );
    rig.refused(
        "network connect host n",
        expect![[r#"
        netd: sandbox cannot be disconnected from host network or connected to host network
    "#]],
    );
    rig.refused(
        "sandbox create --network container:h -p 1:1",
        expect![[r#"
        netd: conflicting options: port publishing and the container type network mode
    "#]],
    );
    rig.out("sandbox create --name s --network container:n");
    rig.refused(
        "sandbox rm n",
        expect![[r#"
            netd: sandbox n shares its network namespace with others: s
            try: remove those first, or -f to remove them with it
        "#]],
    );
    assert_eq!(rig.out("sandbox rm -f n"), "n\n");
    rig.refused(
        "sandbox rm s",
        expect![[r#"
            netd: No such sandbox: s
            try: netd sandbox ls
        "#]],
    );
}

#[test]
fn what_was_answered_is_there_after_a_restart() {
    let mut rig = Rig::new();
    rig.out("network create --subnet 10.9.0.0/24 app");
    rig.out("sandbox create --name web --network app");
    let before = (
        rig.out("network inspect app"),
        rig.out("sandbox inspect web"),
    );
    rig.stop();
    let printed = rig.run("network ls");
    assert!(
        printed.messages.starts_with("netd: no agent at "),
        "{printed:?}"
    );
    rig.start();
    let after = (
        rig.out("network inspect app"),
        rig.out("sandbox inspect web"),
    );
    assert_eq!(before, after);
}

#[test]
fn the_same_create_again_gets_the_same_answer() {
    let mut rig = Rig::new();
    let id = "ab".repeat(32);
    let create = format!("sandbox create --id {id} --name web --dns 9.9.9.9");
    assert_eq!(rig.out(&create), format!("{id}\n"));
    assert_eq!(rig.out(&create), format!("{id}\n"));
    rig.stop();
    rig.start();
    assert_eq!(rig.out(&create), format!("{id}\n"));
    assert_eq!(rig.out("sandbox ls -q").lines().count(), 1);
    let other = format!("sandbox create --id {id} --name web --dns 9.9.9.8");
    rig.refused(&other, expect![[r#"
        netd: id abababababababababababababababababababababababababababababababab was created with another body
    "#]]);
    let body = format!(r#"{{"id":"{id}","name":"web"}}"#);
    let (status, _) = rig.raw("POST /v1/sandboxes", body.as_bytes());
    assert_eq!(status, "HTTP/1.1 409 Conflict");
    // The id is free again with its object.
    rig.out("sandbox rm web");
    assert_eq!(rig.out(&other), format!("{id}\n"));
}

#[test]
fn bad_requests_are_answered_and_the_agent_goes_on() {
    let rig = Rig::new();
    let large = format!(r#"{{"name":"{}"}}"#, "x".repeat(2 << 20));
    for (head, body, status, code) in [
        ("POST /v1/networks", "{", "400 Bad Request", "bad_request"),
        ("POST /v1/networks", "", "400 Bad Request", "bad_request"),
        ("POST /v1/networks", "[]", "400 Bad Request", "bad_request"),
        (
            "POST /v1/networks",
            "\u{0}\u{1}",
            "400 Bad Request",
            "bad_request",
        ),
        (
            "POST /v1/networks",
            r#"{"name":"a","colour":1}"#,
            "400 Bad Request",
            "bad_request",
        ),
        (
            "POST /v1/networks",
            r#"{"name":7}"#,
            "400 Bad Request",
            "bad_request",
        ),
        (
            "POST /v1/networks",
            r#"{"name":"a"} x"#,
            "400 Bad Request",
            "bad_request",
        ),
        (
            "POST /v1/networks",
            &large,
            "413 Payload Too Large",
            "too_large",
        ),
        (
            "POST /v1/networks/prune",
            r#"{"all":true}"#,
            "400 Bad Request",
            "bad_request",
        ),
        (
            "DELETE /v1/networks/a?fore=true",
            "",
            "400 Bad Request",
            "bad_request",
        ),
        (
            "DELETE /v1/networks/a?force=yes",
            "",
            "400 Bad Request",
            "bad_request",
        ),
        (
            "DELETE /v1/networks/bridge",
            "",
            "403 Forbidden",
            "predefined",
        ),
        (
            "GET /v1/networks/%2e%2e%2fx",
            "",
            "404 Not Found",
            "no_such_network",
        ),
        ("GET /v1/sandboxes/%ff", "", "400 Bad Request", ""),
        ("GET /v1/nosuch", "", "404 Not Found", "no_such_path"),
        ("GET /v2/networks", "", "404 Not Found", "no_such_path"),
        (
            "PUT /v1/networks",
            "{}",
            "405 Method Not Allowed",
            "bad_method",
        ),
        (
            "POST /v1/networks/app/connect",
            r#"{"sandbox":"x"}"#,
            "404 Not Found",
            "no_such_network",
        ),
    ] {
        let (got, answer) = rig.raw(head, body.as_bytes());
        assert_eq!(got, format!("HTTP/1.1 {status}"), "{head} {answer}");
        let answer: serde_json::Value = serde_json::from_str(&answer).unwrap_or_default();
        assert_eq!(answer["code"].as_str().unwrap_or_default(), code, "{head}");
    }
    let (status, _) = rig.raw("\u{1}garbage", b"");
    assert_eq!(status, "HTTP/1.1 400 Bad Request");
    assert_eq!(rig.out("network ls -q").lines().count(), 3);
}

#[test]
fn a_thousand_ports_in_one_body_are_no_trouble() {
    let rig = Rig::new();
    let range = |first: u16| {
        let last = first + 9;
        format!(
            r#"{{"host":{{"first":{first},"last":{last}}},"target":{{"first":{first},"last":{last}}},"protocol":"udp"}}"#
        )
    };
    let ports: Vec<String> = (0..1000).map(|n| range(10_000 + 20 * n)).collect();
    let body = format!(r#"{{"name":"many","ports":[{}]}}"#, ports.join(","));
    let (status, answer) = rig.raw("POST /v1/sandboxes", body.as_bytes());
    assert_eq!(status, "HTTP/1.1 201 Created", "{answer}");
    assert_eq!(rig.out("port many").lines().count(), 2000);
    assert_eq!(
        rig.out("port many 29989/udp"),
        "0.0.0.0:29989\n[::]:29989\n"
    );
    assert_eq!(rig.out("sandbox rm many"), "many\n");
}

#[test]
fn lists_carry_the_revision() {
    let rig = Rig::new();
    let revision = || {
        let (_, body) = rig.raw("GET /v1/networks", b"");
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        body["revision"].as_u64().unwrap()
    };
    let before = revision();
    rig.out("network create app");
    assert_eq!(revision(), before + 1);
    rig.run("network create app");
    assert_eq!(revision(), before + 1);
}

#[test]
fn what_the_datapath_counts_is_asked_for() {
    let rig = Rig::new();
    assert_eq!(rig.out("drops -f json"), "");
    assert_eq!(rig.out("flow ls -f json"), "");
    assert_eq!(rig.out("flow flush"), "0 flow halves removed\n");
    let status = rig.out("status -f {{.networks}}");
    assert_eq!(status, "3\n");
    assert!(rig.out("version").contains("API v1 to v1"));
}
