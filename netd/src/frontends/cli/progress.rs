//! A line on the terminal while something takes longer than a second; gone when it is done. Nothing
//! where there is no terminal.

use std::{
    io::{self, IsTerminal, Write},
    pin::pin,
    time::Duration,
};

use tokio::time::timeout;

/// How long nothing is said.
const PATIENCE: Duration = Duration::from_secs(1);

/// Waits for the agent.
pub async fn waiting<T>(doing: impl Future<Output = T>) -> T {
    let mut stderr = io::stderr();
    if stderr.is_terminal() {
        told(doing, PATIENCE, &mut stderr).await
    } else {
        doing.await
    }
}

async fn told<T>(doing: impl Future<Output = T>, every: Duration, to: &mut impl Write) -> T {
    let mut doing = pin!(doing);
    let mut times: u32 = 0;
    loop {
        if let Ok(done) = timeout(every, &mut doing).await {
            if times > 0 {
                show(to, "\r\x1b[K");
            }
            return done;
        }
        times += 1;
        let seconds = (every * times).as_secs();
        show(to, &format!("\rwaiting for the agent: {seconds} s"));
    }
}

/// A terminal that went away is nobody's loss.
fn show(to: &mut impl Write, text: &str) {
    let _ = to.write_all(text.as_bytes()).and_then(|()| to.flush());
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::told;

    #[tokio::test]
    async fn only_what_takes_long_is_told_and_the_line_goes() {
        let mut out = Vec::new();
        assert_eq!(told(async { 7 }, Duration::from_secs(9), &mut out).await, 7);
        assert_eq!(out, b"");
        let slow = tokio::time::sleep(Duration::from_millis(200));
        told(slow, Duration::from_millis(1), &mut out).await;
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with("\rwaiting for the agent: 0 s"), "{text:?}");
        assert!(text.ends_with("\r\x1b[K"), "{text:?}");
    }
}
