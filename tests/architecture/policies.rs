//! A policy gets the events that it names, and applies those that it gets.

use std::collections::BTreeSet;

use super::{code, complain, modules_called};

/// `ORDER_PAID` as its message is called: `OrderPaid`.
fn camel(constant: &str) -> String {
    let word = |word: &str| word[..1].to_owned() + &word[1..].to_lowercase();
    constant.split('_').map(word).collect()
}

/// The events that the policies of a file name in their `TYPES`, and those that its code matches by a name
/// (`Event::OrderPaid(it)`; with `_` it is passed over).
fn named_and_applied(file: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let code = code(file);
    let types = code.split("const TYPES:").skip(1).filter_map(|rest| rest.split(';').next());
    let constants = types.flat_map(|list| {
        list.split("Event::").skip(1).filter_map(|rest| rest.split([',', ']', '\n']).next())
    });
    let matched = code.split("Event::").skip(1).filter_map(|rest| {
        let (name, rest) = rest.split_once('(')?;
        let is_name = name.chars().all(char::is_alphanumeric) && !rest.starts_with('_');
        is_name.then(|| name.to_owned())
    });
    (constants.map(camel).collect(), matched.collect())
}

/// What is wrong with a file of policies.
fn wrong(file: &str) -> Vec<String> {
    let (named, applied) = named_and_applied(file);
    let all_name_them =
        file.matches("impl Policy<").count() == file.matches("const TYPES:").count();
    let passed_over =
        named.difference(&applied).map(|it| format!("{it} is named, and not applied"));
    let never = applied.difference(&named).filter(|_| all_name_them);
    passed_over.chain(never.map(|it| format!("{it} is applied, and never comes"))).collect()
}

#[test]
fn a_policy_names_the_events_that_it_applies() {
    let mut files = modules_called("policy");
    // What a policy keeps of who did what is read off its events beside it.
    for (file, text) in &mut files {
        let beside = super::root().join(&*file).with_file_name("audit.rs");
        text.push_str(&std::fs::read_to_string(beside).unwrap_or_default());
    }
    assert!(files.len() >= 9, "they are elsewhere");
    let names: usize = files.iter().map(|(_, text)| named_and_applied(text).0.len()).sum();
    assert!(names > 15, "TYPES are elsewhere");
    let wrong = files.iter().flat_map(|(file, text)| {
        wrong(text).into_iter().map(move |what| format!("{file}: {what}"))
    });
    complain("policies", &wrong.collect::<Vec<_>>());
}

#[test]
fn an_event_that_is_named_or_applied_in_vain_is_found_out() {
    let policy = |types: &str| {
        format!(
            "impl Policy<OrderEvent> for Orders {{\n    const TYPES: &'static [&'static str] = &[{types}];\n    \
             match it {{\n        Some(Event::OrderPaid(it)) => go(it),\n        \
             Some(Event::OrderPlaced(_)) | None => {{}}\n    }}\n}}\n"
        )
    };
    assert_eq!(wrong(&policy("OrderEvent::ORDER_PAID")), [""; 0]);
    let both = wrong(&policy("OrderEvent::ORDER_PLACED"));
    assert_eq!(
        both,
        ["OrderPlaced is named, and not applied", "OrderPaid is applied, and never comes"]
    );
}
