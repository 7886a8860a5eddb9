//! Somebody who does one thing after the other until the shop closes: a stream of
//! decisions, and what was done, to be asked for again.

use std::collections::VecDeque;

use app::rest::Answer;
use serde_json::{Value, json};

use crate::{
    command::{Command, Ended},
    dice::Dice,
    model::Standing,
    shop::Shop,
};

/// Commands that are kept to be repeated.
const KEPT: usize = 50;

/// One of many.
pub(crate) struct Actor<'a> {
    pub(crate) shop: &'a Shop,
    pub(crate) dice: Dice,
    /// A second stream, for what is asked twice at once.
    other: Dice,
    done: VecDeque<(Command, Answer)>,
}

/// What somebody does for a living.
#[derive(Clone, Copy)]
pub(crate) enum Role {
    Customer,
    Seller,
    Admin,
}

impl<'a> Actor<'a> {
    pub(crate) fn new(shop: &'a Shop, name: &str) -> Self {
        let dice = Dice::of(shop.seed, name);
        let other = Dice::of(shop.seed, &format!("{name} at once"));
        Self { shop, dice, other, done: VecDeque::new() }
    }

    /// Acts until the shop closes, and then finishes what it has begun.
    pub(crate) async fn act(mut self, role: Role) {
        while !self.shop.closing.is_cancelled() {
            match role {
                Role::Customer => self.customer().await,
                Role::Seller => self.seller().await,
                Role::Admin => self.admin().await,
            }
            self.shop.operations.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let pause = match role {
                Role::Customer | Role::Seller => self.dice.millis(10..=250),
                Role::Admin => self.dice.millis(150..=900),
            };
            let closing = self.shop.closing.clone();
            closing.run_until_cancelled(tokio::time::sleep(pause)).await;
        }
    }

    /// Insists on a command; now and then twice at once, as a client does whose user is in a hurry.
    pub(crate) async fn maybe_twice(&mut self, command: &Command) -> Ended {
        if !self.dice.percent(6) {
            return command.insist(self.shop, &mut self.dice).await;
        }
        let (one, other) = tokio::join!(
            command.insist(self.shop, &mut self.dice),
            command.insist(self.shop, &mut self.other)
        );
        let done = |ended: &Ended| ended.answer.as_ref().is_some_and(|a| a.status.is_success());
        if let (Some(first), Some(second)) = (&one.answer, &other.answer)
            && done(&one)
            && done(&other)
            && first.text("id") != second.text("id")
        {
            let what = format!("{}: two answers to one key: {first}, {second}", command.what);
            self.shop.wrong(&command.about, what);
        }
        // What was done counts, and then what is not known.
        if done(&one) || (other.answer.is_some() && !done(&other)) { one } else { other }
    }

    /// Keeps what was done, to be asked for again.
    pub(crate) fn keep(&mut self, command: Command, ended: &Ended) {
        let Some(answer) = ended.answer.as_ref().filter(|a| a.status.is_success()) else { return };
        if self.done.len() == KEPT {
            self.done.pop_front();
        }
        self.done.push_back((command, answer.clone()));
    }

    /// The same command again, long after: the same answer. Another one with its key: 422.
    pub(crate) async fn repeat(&mut self) {
        let open = |command: &Command| {
            command.who.as_ref().is_none_or(|who| who.standing() == Standing::Open)
        };
        let known: Vec<_> =
            self.done.iter().filter(|(command, _)| open(command)).cloned().collect();
        let Some((mut command, before)) = self.dice.pick(&known).cloned() else { return };
        let changed = command.what == "top up" && self.dice.percent(50);
        if changed {
            command.body = json!({ "amount": won(1), "cardToken": "tok_visa" });
        }
        let ended = command.insist(self.shop, &mut self.dice).await;
        let Some(answer) = ended.answer.filter(|answer| answer.status != 401) else { return };
        if changed && before.number("balance/units") != Some(1) {
            legal(self.shop, &command, &answer, &[(422, "IDEMPOTENCY_KEY_REUSED")]);
            return;
        }
        let replayed = answer.headers.contains_key("idempotency-replayed");
        if !replayed || answer.body != before.body || answer.status != before.status {
            let what = format!("{}: first {before}, then {answer}", command.what);
            self.shop.wrong(&command.about, what);
        }
        self.shop.count("replayed long after", 1);
    }
}

/// Whether a definite answer is one of those that there may be; an empty reason stands for any.
pub(crate) fn legal(shop: &Shop, command: &Command, answer: &Answer, allowed: &[(u16, &str)]) {
    let (status, reason) = (answer.status.as_u16(), answer.text("reason"));
    let is = |(code, why): &(u16, &str)| *code == status && (why.is_empty() || *why == reason);
    if !allowed.iter().any(is) {
        let what = format!("{} {}: answered {answer}", command.what, command.path);
        shop.wrong(&command.about, what);
    }
}

/// Won, as the contracts write it.
pub(crate) fn won(amount: i64) -> Value {
    json!({ "currencyCode": "KRW", "units": amount.to_string(), "nanos": 0 })
}
