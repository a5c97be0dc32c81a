//! The demo's stage: a lab, a running agent, servers in the background, and the way a step is shown
//! and checked. Knows nothing of what is played.

use std::io::{IsTerminal, stdout};

use anyhow::{Context, Result, bail};
use netd_tests::lab::{Agent, Background, Lab, Namespace};

use super::{Place, binary};

/// Lines of one command's output that are shown; a table may be longer than is good to read.
const SHOWN: usize = 24;

/// Answers any HTTP request with who it is and whom it sees.
const HELLO: &str = r#"#!/bin/sh
read -r request
printf 'HTTP/1.0 200 OK\r\n\r\nhello from %s, you are %s\n' "$1" "$SOCAT_PEERADDR"
"#;

/// The lab while the demo runs. Servers and the agent end with it.
pub struct Stage {
    servers: Vec<Background>,
    agent: Option<Agent>,
    lab: Lab,
    colours: bool,
}

impl Stage {
    /// Makes the lab.
    pub fn open() -> Result<Stage> {
        let lab = Lab::create("demo", &binary())?;
        lab.world().write("/run/lab/bin/hello", HELLO)?;
        lab.host()
            .run_checked("chmod 755 /run/lab/bin/hello")
            .context("the demo's web server")?;
        Ok(Stage {
            servers: Vec::new(),
            agent: None,
            lab,
            colours: stdout().is_terminal(),
        })
    }

    /// The lab.
    pub fn lab(&self) -> &Lab {
        &self.lab
    }

    /// The agent, once it was started.
    pub fn agent(&mut self) -> Result<&mut Agent> {
        self.agent.as_mut().context("the agent does not run")
    }

    /// Ends everything.
    pub fn close(self) {}

    /// The beginning of a step.
    pub fn title(&self, text: &str) {
        let (on, off) = self.colour("1");
        println!("\n{on}{text}{off}");
    }

    /// Shows and starts the agent.
    pub fn start_agent(&mut self) -> Result<()> {
        self.show_command(Place::Host, "netd run &");
        match &mut self.agent {
            Some(agent) => agent.start_again()?,
            None => self.agent = Some(self.lab.start_agent("")?),
        }
        Ok(())
    }

    /// Shows a command and starts it as a server.
    pub fn serve(&mut self, place: Place, line: &str) -> Result<()> {
        self.show_command(place, &format!("{line} &"));
        let mut server = self.namespace(place).spawn(line)?;
        // socat says nothing when it listens; a client that comes too early would be refused.
        std::thread::sleep(std::time::Duration::from_millis(200));
        if !server.is_running() {
            bail!("`{line}` ended at once: {}", server.stderr());
        }
        self.servers.push(server);
        Ok(())
    }

    /// Shows a command and all of its output, and checks that it succeeds.
    pub fn run(&self, place: Place, line: &str) -> Result<String> {
        self.show_command(place, line);
        let finished = self.namespace(place).run(line)?;
        self.show_output(&finished.stdout);
        self.show_output(&finished.stderr);
        if !finished.succeeded() {
            bail!("`{line}` failed ({})", finished.status);
        }
        Ok(finished.stdout)
    }

    /// Shows the first lines of a long output.
    pub fn run_head(&self, place: Place, line: &str, lines: usize) -> Result<()> {
        self.show_command(place, line);
        let output = self.namespace(place).run_checked(line)?;
        self.show_lines(&output, lines);
        Ok(())
    }

    /// Shows a command and its output, and checks that it holds all of `expected`.
    pub fn run_expecting(&self, place: Place, line: &str, expected: &[&str]) -> Result<String> {
        let output = self.run(place, line)?;
        for part in expected {
            if !output.contains(part) {
                bail!("`{line}` should have printed `{part}`");
            }
        }
        Ok(output)
    }

    /// Shows a command that has to fail, and how it did.
    pub fn run_failing(&self, place: Place, line: &str) -> Result<()> {
        self.show_command(place, line);
        let finished = self.namespace(place).run(line)?;
        self.show_output(&finished.stdout);
        self.show_output(&finished.stderr);
        match finished.status.code() {
            Some(0) => bail!("`{line}` should have failed"),
            Some(code) => self.note(&format!("exit code {code}")),
            None => self.note("ended by a signal"),
        }
        Ok(())
    }

    /// A remark between the lines.
    pub fn note(&self, text: &str) {
        let (on, off) = self.colour("2");
        println!("  {on}({text}){off}");
    }

    /// A host of the lab.
    pub fn namespace(&self, place: Place) -> &Namespace {
        match place {
            Place::Host => self.lab.host(),
            Place::Outside => self.lab.outside(),
            Place::Attacker => self.lab.attacker(),
        }
    }

    fn show_command(&self, place: Place, line: &str) {
        let (on, off) = self.colour("36");
        println!("  {on}{}$ {line}{off}", self.namespace(place).name());
    }

    fn show_output(&self, output: &str) {
        self.show_lines(output, SHOWN);
    }

    fn show_lines(&self, output: &str, most: usize) {
        let lines: Vec<&str> = output.lines().collect();
        for line in lines.iter().take(most) {
            println!("  {line}");
        }
        if lines.len() > most {
            self.note(&format!("{} more lines", lines.len() - most));
        }
    }

    fn colour(&self, code: &str) -> (String, &'static str) {
        if self.colours {
            (format!("\u{1b}[{code}m"), "\u{1b}[0m")
        } else {
            (String::new(), "")
        }
    }
}
