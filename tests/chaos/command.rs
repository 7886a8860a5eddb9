//! A command, and how it is insisted on: it is sent again with the same key until the
//! answer is definite, as a client does that must not do a thing twice.

use std::{
    fmt::Write as _,
    sync::Arc,
    time::{Duration, Instant},
};

use app::rest::Answer;
use http::Method;
use serde_json::{Value, json};

use crate::{
    dice::Dice,
    model::{Account, Standing},
    shop::Shop,
};

/// Longer than the gateway takes for anything; a stopped process answers nothing at all.
const PATIENCE: Duration = Duration::from_secs(8);
/// Between two times.
const FIRST_PAUSE: Duration = Duration::from_millis(30);
const LAST_PAUSE: Duration = Duration::from_secs(1);
/// A token is good for longer.
const FRESH: Duration = Duration::from_mins(10);

/// Something to be done once.
#[derive(Clone)]
pub(crate) struct Command {
    /// Who asks; nobody for what anyone may.
    pub(crate) who: Option<Arc<Account>>,
    pub(crate) what: &'static str,
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) body: Value,
    pub(crate) key: String,
    /// An etag, for `If-Match`.
    pub(crate) if_match: Option<String>,
    /// The ids of what it concerns.
    pub(crate) about: Vec<String>,
}

/// How it ended.
pub(crate) struct Ended {
    /// Definite; none when nobody can ask any more.
    pub(crate) answer: Option<Answer>,
}

impl Ended {
    /// Its definite answer, if it has this status.
    pub(crate) fn with(&self, status: u16) -> Option<&Answer> {
        self.answer.as_ref().filter(|answer| answer.status == status)
    }
}

impl Command {
    /// A POST by somebody.
    pub(crate) fn post(who: &Arc<Account>, what: &'static str, path: String, body: Value) -> Self {
        let about = vec![who.id.clone()];
        Self {
            who: Some(Arc::clone(who)),
            what,
            method: Method::POST,
            path,
            body,
            key: String::new(),
            if_match: None,
            about,
        }
    }

    /// A look by somebody.
    pub(crate) fn get(who: &Arc<Account>, what: &'static str, path: String) -> Self {
        Self { method: Method::GET, ..Self::post(who, what, path, Value::Null) }
    }

    /// The same with a key, from the seed.
    pub(crate) fn keyed(self, shop: &Shop, dice: &mut Dice) -> Self {
        let key = format!("{:x}-{:x}", shop.seed, dice.between(0..=i64::MAX));
        Self { key, ..self }
    }

    /// The same, concerning these as well.
    pub(crate) fn about(mut self, ids: impl IntoIterator<Item = String>) -> Self {
        self.about.extend(ids);
        self
    }

    /// Insists on a definite answer.
    pub(crate) async fn insist(&self, shop: &Shop, dice: &mut Dice) -> Ended {
        let (mut doubted, mut pause) = (false, FIRST_PAUSE);
        loop {
            let leaves = self.who.as_ref().is_some_and(|who| who.standing() != Standing::Open);
            if leaves && self.who.as_ref().is_some_and(|who| who.token().is_none()) {
                return Ended { answer: None };
            }
            // Some have no patience, and ask again while the first time is under way.
            let patience = if dice.percent(4) { dice.millis(1..=300) } else { PATIENCE };
            let answer = self.send(shop, patience).await;
            if let Some(answer) = answer.filter(|answer| self.is_definite(shop, answer)) {
                let replayed = answer.headers.contains_key("idempotency-replayed");
                shop.count("answered by a repeated key", u64::from(doubted && replayed));
                // Whoever has left is not let in, whatever became of what they had asked for.
                let lost = answer.status == 401 && doubted;
                return Ended { answer: (!lost).then_some(answer) };
            }
            doubted = true;
            if shop.is_overdue() {
                let what = format!("{} was never answered for good ({})", self.what, self.path);
                shop.wrong(&self.about, what);
                return Ended { answer: None };
            }
            tokio::time::sleep(pause + dice.millis(0..=50)).await;
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }

    /// Whether that is all that will ever be said; what must not be said at all is noted.
    fn is_definite(&self, shop: &Shop, answer: &Answer) -> bool {
        let status = answer.status.as_u16();
        let leaves = self.who.as_ref().is_some_and(|who| who.standing() != Standing::Open);
        if status == 401 && !leaves {
            shop.wrong(&self.about, format!("{}: not let in: {answer}", self.what));
        }
        match status {
            503 if answer.text("reason") == "OUTCOME_PENDING" => shop.count("in doubt", 1),
            503 => shop.count("unavailable", 1),
            504 => shop.count("timed out", 1),
            500..600 => {
                shop.wrong(&self.about, format!("{}: a fault of ours: {answer}", self.what));
            }
            _ => {}
        }
        if status == 503 && !answer.headers.contains_key("retry-after") {
            shop.wrong(&self.about, format!("{}: 503 without Retry-After: {answer}", self.what));
        }
        status < 500
    }

    /// Sends it once, and notes that.
    pub(crate) async fn send(&self, shop: &Shop, patience: Duration) -> Option<Answer> {
        let mut rest = shop.rest.clone();
        if let Some(who) = &self.who {
            let token = sign_in(shop, who).await?;
            rest = rest.with_token(token);
        }
        let mut headers = Vec::new();
        if !self.key.is_empty() {
            headers.push(("idempotency-key", self.key.as_str()));
        }
        if let Some(etag) = &self.if_match {
            headers.push(("if-match", etag.as_str()));
        }
        let body = (!self.body.is_null()).then(|| self.body.clone());
        let began = Instant::now();
        let sent = rest.send(self.method.clone(), &self.path, body, &headers);
        let answer = tokio::time::timeout(patience, sent).await;
        let took = began.elapsed().as_millis();
        let (text, answer) = match answer {
            Ok(Ok(answer)) => (brief(&answer), Some(answer)),
            Ok(Err(error)) => (format!("no answer: {error:#}"), None),
            Err(_) => (format!("given up after {patience:?}"), None),
        };
        let mut about = self.about.clone();
        for field in ["id", "orderId", "paymentId"] {
            let id = answer.as_ref().map(|answer| answer.text(field)).unwrap_or_default();
            if !id.is_empty() {
                about.push(id);
            }
        }
        let body =
            if self.method == Method::GET { String::new() } else { format!(" {}", self.body) };
        let Self { what, path, key, .. } = self;
        shop.history.note(about, format!("{what}: {path}{body} [{key}] -> {text} ({took} ms)"));
        answer
    }
}

/// Signs in, or has done so; none while member does not answer.
pub(crate) async fn sign_in(shop: &Shop, who: &Account) -> Option<String> {
    if let Some((token, since)) = who.token()
        && (since.elapsed() < FRESH || who.standing() != Standing::Open)
    {
        return Some(token);
    }
    let body = json!({ "email": who.email, "password": who.password });
    let sent = shop.rest.post("/v1/sessions", body);
    let answer = tokio::time::timeout(PATIENCE, sent).await.ok()?.ok()?;
    if answer.status.is_success() {
        let token = answer.text("accessToken");
        who.signed_in(Some(token.clone()));
        return Some(token);
    }
    let open = who.standing() == Standing::Open;
    if !answer.status.is_server_error() && open {
        shop.wrong(std::slice::from_ref(&who.id), format!("cannot sign in: {answer}"));
    }
    None
}

/// An answer in a line.
pub(crate) fn brief(answer: &Answer) -> String {
    let status = answer.status.as_u16();
    let replayed = answer.headers.contains_key("idempotency-replayed");
    let mut text = format!("{status}{}", if replayed { " replayed" } else { "" });
    let fields = ["reason", "detail", "id", "state", "cancelReason", "stock", "balance/units"];
    for field in fields {
        let value = answer.text(field);
        if !value.is_empty() {
            let _ = write!(text, " {field}={value}");
        }
    }
    text
}
