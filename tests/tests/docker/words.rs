//! Answers of Docker and netd made alike: what is made anew each time (ids, times) and who speaks.

use regex_lite::Regex;

/// A Docker client's or daemon's words with `sandbox` for `container`, as netd is to say them.
pub fn of_docker(text: &str) -> String {
    let text = text.replace("container", "sandbox");
    let lines = text.lines().map(|line| {
        let daemons = line.strip_prefix("Error response from daemon: ");
        daemons.unwrap_or(line).to_owned()
    });
    alike(lines)
}

/// netd's words without who speaks and without its advice.
pub fn of_netd(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.starts_with("try: "));
    alike(lines.map(|line| line.strip_prefix("netd: ").unwrap_or(line).to_owned()))
}

/// Lines without ids and times, each with its end trimmed.
fn alike(lines: impl Iterator<Item = String>) -> String {
    let text = lines
        .map(|line| line.trim_end().to_owned())
        .collect::<Vec<_>>()
        .join("\n");
    plain(text.trim_end())
}

/// A text with `ID`, `SHORT` and `TIME` for what is made anew each time.
pub fn plain(text: &str) -> String {
    let rules = [
        (r"\b[0-9a-f]{64}\b", "ID"),
        (r"\b[0-9a-f]{12}\b", "SHORT"),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", "TIME"),
        (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+ \+0000 UTC", "TIME"),
    ];
    rules
        .iter()
        .fold(text.to_owned(), |text, (expression, word)| {
            let expression = Regex::new(expression).expect("an expression");
            expression.replace_all(&text, *word).into_owned()
        })
}

#[test]
fn words_are_made_alike() {
    let id = "ab".repeat(32);
    let docker = format!("Error response from daemon: container {id} is not connected \n\n");
    let netd = format!("netd: sandbox {id} is not connected\ntry: netd sandbox ls\n");
    assert_eq!(of_docker(&docker), "sandbox ID is not connected");
    assert_eq!(of_docker(&docker), of_netd(&netd));
    assert_eq!(
        plain("SHORT abcdefabcdef 2026-11-21T19:39:41.361054725Z"),
        "SHORT SHORT TIME"
    );
}
