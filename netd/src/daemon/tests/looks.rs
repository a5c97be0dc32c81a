//! Looks at the datapath that take long: nobody waits behind them, and they end with the agent.

use std::thread;

use super::rig::Rig;

#[test]
fn nobody_waits_behind_a_walk_over_the_flows() {
    let rig = Rig::new();
    rig.walks.hold();
    thread::scope(|scope| {
        let listing = scope.spawn(|| rig.out("flow ls -f json"));
        rig.walks.wait_for(1);
        assert_eq!(rig.out("drops -f json"), "");
        assert_eq!(rig.out("status -f {{.networks}}"), "3\n");
        rig.out("network create app");
        rig.out("sandbox create --name web --network app");
        assert_eq!(rig.out("flow flush"), "0 flow halves removed\n");
        assert!(!listing.is_finished());
        rig.walks.let_go();
        assert_eq!(listing.join().expect("it is listed"), "");
    });
}

#[test]
fn a_walk_ends_when_the_agent_is_to_stop() {
    let mut rig = Rig::new();
    rig.walks.hold();
    thread::scope(|scope| {
        let listing = scope.spawn(|| rig.run("flow ls"));
        rig.walks.wait_for(1);
        rig.tell_to_stop();
        let printed = listing.join().expect("an answer");
        assert_eq!((printed.exit, printed.out.as_str()), (1, ""));
        assert_eq!(printed.messages, "netd: the agent is stopping\n");
    });
    rig.stop();
    rig.start();
    rig.walks.let_go();
    assert_eq!(rig.out("flow ls -f json"), "");
}
