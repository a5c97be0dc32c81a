//! Recorded commands: `$ docker …`, what was printed, `[rc=N]`; `% …` is for netd alone; `@ …`, before
//! them all, are flags of the agent.

/// One line to be typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Not recorded, but done: the words after `netd`.
    Besides(String),
    /// Recorded.
    Command(Command),
}

/// A recorded command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Command {
    /// The words after `docker`.
    pub words: String,
    /// What was printed to stdout and stderr.
    pub text: String,
    /// How it ended.
    pub exit: i32,
}

/// All steps of a recording.
///
/// # Panics
/// If it is none.
pub fn steps(recording: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut open: Option<Command> = None;
    for line in recording.lines() {
        let status = line
            .strip_prefix("[rc=")
            .and_then(|rest| rest.strip_suffix(']'));
        match (&mut open, status) {
            (Some(command), Some(status)) => {
                command.exit = status.parse().expect("an exit status");
                steps.extend(open.take().map(Step::Command));
            }
            (Some(command), None) => {
                command.text.push_str(line);
                command.text.push('\n');
            }
            (None, _) if line.is_empty() || line.starts_with(['#', '@']) => {}
            (None, _) => match (line.strip_prefix("$ docker "), line.strip_prefix("% ")) {
                (Some(words), _) => {
                    open = Some(Command {
                        words: words.to_owned(),
                        ..Command::default()
                    });
                }
                (None, Some(words)) => steps.push(Step::Besides(words.to_owned())),
                (None, None) => panic!("not a line of a recording: {line}"),
            },
        }
    }
    assert_eq!(open, None, "a command without its end");
    steps
}

/// The flags of the agent.
pub fn flags(recording: &str) -> &str {
    let mut lines = recording.lines();
    let flags = lines.find_map(|line| line.strip_prefix("@ "));
    flags.unwrap_or_default()
}

#[test]
fn recordings_are_read() {
    let text = "# a recording\n@ --bip 10.0.0.1/8\n% sandbox create\n$ docker network ls\na\n\n# b\n[rc=1]\n";
    let ls = Command {
        words: "network ls".to_owned(),
        text: "a\n\n# b\n".to_owned(),
        exit: 1,
    };
    let besides = Step::Besides("sandbox create".to_owned());
    assert_eq!(flags(text), "--bip 10.0.0.1/8");
    assert_eq!(steps(text), [besides, Step::Command(ls)]);
}
