//! An operator reads log lines at night, without the code: each says what failed, on what, and what happens
//! next, in the field's words.

use super::{code, complain, files, root};

/// Phrases that say nothing to whoever does not know the code, and what to say instead.
const INSTEAD: [(&str, &str); 12] = [
    ("comes again", "retrying, restarting, reconnecting"),
    ("come again", "retry, reconnect"),
    ("any more", "no longer"),
    ("goes away", "unavailable"),
    ("is away", "is unavailable"),
    ("is back", "recovered"),
    ("has a look", "checks"),
    ("stands by", "is on standby"),
    ("at once", "immediately"),
    ("was told", "what was received"),
    ("is well", "is healthy"),
    ("void", "revoked"),
];

/// The message of each log line in a text.
fn messages(text: &str) -> Vec<String> {
    const LEVELS: [&str; 3] = ["tracing::info!(", "tracing::warn!(", "tracing::error!("];
    let code = code(text);
    let calls = LEVELS.iter().flat_map(|level| code.split(*level).skip(1));
    let message = |call: &str| {
        // The last literal before the call's end: fields come first.
        let call = call.split(");").next().unwrap_or_default();
        let call = call.split(")\n").next().unwrap_or_default();
        let literals: Vec<&str> = call.split('"').skip(1).step_by(2).collect();
        literals.last().filter(|literal| literal.contains(' ')).map(ToString::to_string)
    };
    calls.filter_map(message).collect()
}

/// What is wrong with a message.
fn wrong(message: &str) -> Option<String> {
    if message.ends_with(['.', '!']) {
        return Some("ends with a full stop".to_owned());
    }
    let first = message.split(' ').next().unwrap_or_default();
    let capital = first.starts_with(char::is_uppercase);
    let is_name =
        first.chars().skip(1).any(char::is_uppercase) || ["My", "Postgres"].contains(&first);
    if capital && !is_name {
        return Some("begins with a capital".to_owned());
    }
    let found = INSTEAD.iter().find(|(phrase, _)| message.contains(phrase));
    found.map(|(phrase, instead)| format!("{phrase:?}: say {instead:?}"))
}

#[test]
fn log_lines_speak_the_words_of_the_field() {
    let folders = ["app", "crates", "gateway", "ops", "services", "web"];
    let sources = folders.iter().flat_map(|folder| files(&root().join(folder), "rs"));
    let (mut all, mut complaints) = (0, Vec::new());
    for (file, text) in sources.filter(|(file, _)| file.contains("src/")) {
        for message in messages(&text) {
            all += 1;
            complaints.extend(wrong(&message).map(|why| format!("{file}: {message:?} {why}")));
        }
    }
    assert!(all > 40, "only {all} log lines are found");
    complain("a log line", &complaints);
}

#[test]
fn a_log_line_that_nobody_can_act_on_is_found_out() {
    let text = r#"
        tracing::warn!(%error, code = %it["code"], "the task comes again");
        tracing::info!(upstream, "circuit breaker closed");
    "#;
    assert_eq!(messages(text), ["circuit breaker closed", "the task comes again"]);
    assert!(wrong("the task comes again").is_some());
    assert!(wrong("Task failed").is_some());
    assert!(wrong("task failed.").is_some());
    assert_eq!(wrong("OTLP export recovered"), None);
    assert_eq!(wrong("task failed, retrying later"), None);
}
