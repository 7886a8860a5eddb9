//! Tells a story on the terminal: what is asked, what comes back, what was
//! expected. Knows no story.

use std::{
    fmt::Display,
    io::IsTerminal as _,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use http::Method;
use serde_json::Value;

use crate::{
    console::say,
    rest::{Answer, Rest},
};

/// "Eventually" ends here.
const LIMIT: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(15);

/// A terminal, and how far the story has come.
pub(super) struct Stage {
    steps: usize,
    colours: bool,
    began: Instant,
}

impl Stage {
    /// Opens with the story's title.
    pub(super) fn open(title: &str) -> Self {
        let colours = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let stage = Self { steps: 0, colours, began: Instant::now() };
        say(stage.paint("1", title));
        stage
    }

    /// Begins a story.
    pub(super) fn story(&mut self, title: &str) {
        say(format_args!("\n{}", self.paint("1;35", &format!("──  {title}"))));
    }

    /// Begins a step.
    pub(super) fn step(&mut self, what: &str) {
        self.steps += 1;
        let heading = format!("{:>2}  {what}", self.steps);
        say(format_args!("\n{}", self.paint("1;36", &heading)));
    }

    /// Sends a request and shows both ways; anything but a 2xx is an error.
    pub(super) async fn call(
        &self,
        client: &Rest,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Answer> {
        let answer = self.exchange(client, method, path, body).await?;
        if !answer.status.is_success() {
            bail!("{path} answered {answer}");
        }
        Ok(answer)
    }

    /// Sends a request that is to be refused with this status and reason.
    pub(super) async fn refused(
        &self,
        client: &Rest,
        method: Method,
        path: &str,
        body: Option<Value>,
        (status, reason): (u16, &str),
    ) -> Result<()> {
        let answer = self.exchange(client, method, path, body).await?;
        self.expect("status", &answer.status.as_u16(), &status)?;
        self.expect("reason", &answer.text("reason"), &reason.to_owned())
    }

    async fn exchange(
        &self,
        client: &Rest,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Answer> {
        let shown = body.as_ref().map(|body| without_secrets(body).to_string());
        let ask = format!("{method} {path} {}", shown.unwrap_or_default());
        say(format_args!("    {}", self.paint("2", ask.trim_end())));
        let asked = Instant::now();
        let answer = client.send(method, path, body, &[]).await?;
        let took = format!("{} in {} ms", answer.status, asked.elapsed().as_millis());
        say(format_args!("    {}", self.paint("2", &took)));
        Ok(answer)
    }

    /// Checks a value that is there already.
    pub(super) fn expect<T: PartialEq + Display>(
        &self,
        what: &str,
        actual: &T,
        expected: &T,
    ) -> Result<()> {
        if actual == expected {
            self.passed(&format!("{what:<9} {}", grouped(&expected.to_string())));
            Ok(())
        } else {
            self.failed(what, expected, actual)
        }
    }

    /// Reads a value until it is what is expected, but not for longer than five seconds.
    pub(super) async fn eventually<T: PartialEq + Display>(
        &self,
        what: &str,
        expected: T,
        read: impl AsyncFn() -> Result<T>,
    ) -> Result<()> {
        let began = Instant::now();
        loop {
            let actual = read().await?;
            if actual == expected {
                self.passed(&format!("{what:<9} {}", grouped(&expected.to_string())));
                return Ok(());
            }
            if began.elapsed() > LIMIT {
                return self.failed(what, &expected, &actual);
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Reads a growing list until it ends with `expected`, showing each item as it comes.
    /// `seen` items were shown before; answers how many have been by now.
    pub(super) async fn follow(
        &self,
        expected: &[&str],
        seen: usize,
        read: impl AsyncFn() -> Result<Vec<String>>,
    ) -> Result<usize> {
        let began = Instant::now();
        let mut shown = 0;
        loop {
            let list = read().await?;
            let new = list.get(seen..).unwrap_or_default();
            for item in &new[shown.min(new.len())..] {
                if expected.get(shown) != Some(&item.as_str()) {
                    self.failed("next", expected.get(shown).unwrap_or(&"nothing"), item)?;
                }
                let after = format!("after {} ms", began.elapsed().as_millis());
                self.passed(&format!("{item}  {}", self.paint("2", &after)));
                shown += 1;
            }
            if shown == expected.len() {
                return Ok(seen + shown);
            }
            if began.elapsed() > LIMIT {
                self.failed("next", expected[shown], "nothing")?;
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// The curtain.
    pub(super) fn close(&self) {
        let took = self.began.elapsed().as_secs_f32();
        let end = format!("All as it should be, in {took:.1} s.");
        say(format_args!("\n{}", self.paint("1;32", &end)));
    }

    fn passed(&self, what: &str) {
        say(format_args!("    {} {what}", self.paint("32", "✓")));
    }

    fn failed(&self, what: &str, expected: impl Display, actual: impl Display) -> Result<()> {
        say(format_args!("    {} {what}: {actual} instead of {expected}", self.paint("31", "✗")));
        bail!("step {}: {what} is {actual}, not {expected}", self.steps)
    }

    fn paint(&self, style: &str, text: &str) -> String {
        if self.colours { format!("\x1b[{style}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// 999,999 of 999999; anything but a number as it is.
fn grouped(text: &str) -> String {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.to_owned();
    }
    let groups: Vec<_> = text.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(",")
}

fn without_secrets(body: &Value) -> Value {
    let mut shown = body.clone();
    if let Some(password) = shown.get_mut("password") {
        *password = Value::from("•••");
    }
    shown
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn stage() -> Stage {
        Stage { steps: 1, colours: false, began: Instant::now() }
    }

    #[test]
    fn a_step_that_turns_out_otherwise_fails() {
        stage().expect("stock", &990, &990).unwrap();
        let failure = stage().expect("stock", &1000, &990).unwrap_err().to_string();
        assert_eq!(failure, "step 1: stock is 1000, not 990");
    }

    #[tokio::test]
    async fn a_milestone_out_of_order_fails() {
        let history = async || Ok(vec!["PLACED".to_owned(), "CANCELLED".to_owned()]);
        assert_eq!(stage().follow(&["CANCELLED"], 1, history).await.unwrap(), 2);
        assert!(stage().follow(&["PLACED", "PAID"], 0, history).await.is_err());
    }

    #[test]
    fn numbers_are_grouped_by_thousands() {
        let all = ["0", "990", "1000", "999999", "DONE"].map(grouped);
        assert_eq!(all, ["0", "990", "1,000", "999,999", "DONE"]);
    }

    #[test]
    fn passwords_are_not_shown() {
        let shown = without_secrets(&json!({ "email": "a@b", "password": "secret" }));
        assert_eq!(shown, json!({ "email": "a@b", "password": "•••" }));
    }
}
