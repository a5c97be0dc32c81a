//! The scene that most tests begin with: a running agent, the network `app` with both families, and
//! the sandboxes `web` and `client` on it.

use std::time::Duration;

use super::{Agent, Lab, Namespace};

/// How soon the agent tells what it did: a busy machine may be slow to find it.
const TOLD: Duration = Duration::from_secs(60);

/// Agent, network and sandboxes in a lab; all of it ends with this value.
pub struct App {
    /// A sandbox on `app`; servers run here.
    pub web: Namespace,
    /// Another sandbox on `app`.
    pub client: Namespace,
    /// The agent on the lab's host.
    pub agent: Agent,
    /// Everything around it. Last, since the rest lives in it.
    pub lab: Lab,
}

impl App {
    /// The scene without further options.
    #[track_caller]
    pub fn start(name: &str) -> App {
        App::with(name, "", "")
    }

    /// The scene with options for `network create` and for `sandbox create` of `web`.
    #[track_caller]
    pub fn with(name: &str, network: &str, web: &str) -> App {
        App::in_lab(Lab::new(name), network, web)
    }

    /// The scene in a lab that was prepared.
    #[track_caller]
    pub fn in_lab(lab: Lab, network: &str, web: &str) -> App {
        let agent = lab.agent("");
        lab.netd(&format!("network create --ipv6 {network} app"));
        lab.netd(&format!("sandbox create --name web --network app {web}"));
        lab.netd("sandbox create --name client --network app");
        App {
            web: lab.sandbox("web"),
            client: lab.sandbox("client"),
            agent,
            lab,
        }
    }

    /// Another network, `other`, and the sandbox `stranger` on it, which makes its own checksums.
    #[track_caller]
    pub fn stranger(&self) -> Namespace {
        self.lab.netd("network create --ipv6 other");
        self.lab
            .netd("sandbox create --name stranger --network other");
        let stranger = self.lab.sandbox("stranger");
        match stranger.offload("eth0", false) {
            Ok(()) => stranger,
            Err(error) => panic!("{error:#}"),
        }
    }

    /// Has sandboxes, host and outside make their own checksums at `eth0`, so that captures can judge
    /// them.
    #[track_caller]
    pub fn without_offloads(&self) {
        for at in [&self.web, &self.client, self.lab.host(), self.lab.outside()] {
            if let Err(error) = at.offload("eth0", false) {
                panic!("{}: {error:#}", at.name());
            }
        }
    }

    /// Waits until the agent's log has the text.
    ///
    /// # Panics
    /// If it does not say so.
    #[track_caller]
    pub fn says(&self, text: &str) {
        let what = format!("the agent says `{text}`");
        self.lab
            .wait_until(&what, TOLD, || self.agent.log().contains(text));
    }
}
