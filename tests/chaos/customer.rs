//! What members do: buy, change their minds, receive, pay in, look, join, leave. All
//! at once, with few accounts and few products.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use app::rest::Answer;
use http::Method as Verb;
use serde_json::{Value, json};

use crate::{
    actor::{Actor, legal, won},
    command::{Command, Ended},
    model::{Account, Besides, Fate, Intent, Method, Standing, Why},
};

const METHODS: &[(u32, Method)] =
    &[(4, Method::Card), (4, Method::Wallet), (3, Method::BankTransfer)];
/// Of so many of the newest orders one is chosen to do something with.
const NEWEST: usize = 40;
/// So many accounts are open at least, and at most.
const FEWEST: usize = 5;
const MOST: usize = 9;

/// Products that are ordered when all is quiet, and within what time they are on their way.
const PROVEN: usize = 3;
const DELIVERED: Duration = Duration::from_mins(1);

/// What a member wants to buy, and how it is asked for.
struct Wish {
    method: Method,
    /// Places of products; one may stand twice.
    lines: Vec<(usize, i64)>,
    besides: Besides,
    declined: bool,
    /// What it may cost.
    expected: Option<i64>,
}

impl Wish {
    /// Each product once.
    fn merged(&self) -> Vec<(usize, i64)> {
        let mut merged: Vec<(usize, i64)> = Vec::new();
        for (place, quantity) in &self.lines {
            match merged.iter_mut().find(|(known, _)| known == place) {
                Some((_, sum)) => *sum += quantity,
                None => merged.push((*place, *quantity)),
            }
        }
        merged
    }
}

impl Actor<'_> {
    /// Somebody does something.
    pub(crate) async fn customer(&mut self) {
        match self.dice.between(0..=99) {
            0..45 => self.place().await,
            45..53 => self.cancel().await,
            53..60 => self.cancel_lines().await,
            60..65 => self.ask_return().await,
            65..70 => self.confirm_receipt().await,
            70..77 => self.top_up().await,
            77..80 => self.pay_out().await,
            80..83 => self.move_house().await,
            83..93 => self.look().await,
            93..97 => self.repeat().await,
            97 => self.sign_up().await,
            98 => self.withdraw().await,
            _ => self.ask_for_nonsense().await,
        }
    }

    pub(crate) fn somebody(&mut self) -> Option<Arc<Account>> {
        let accounts = self.shop.model().accounts.clone();
        let open: Vec<_> =
            accounts.into_iter().filter(|a| a.standing() == Standing::Open).collect();
        self.dice.pick(&open).cloned()
    }

    fn wish(&mut self) -> Wish {
        let products = self.shop.model().products.len();
        let last = i64::try_from(products).unwrap_or(1) - 1;
        let many = self.dice.between(1..=3);
        let lines = (0..many).map(|_| {
            let place = usize::try_from(self.dice.between(0..=last)).unwrap_or_default();
            (place, self.dice.between(1..=4))
        });
        let mut wish = Wish {
            lines: lines.collect(),
            method: self.dice.weighed(METHODS),
            besides: Besides::default(),
            declined: self.dice.percent(10),
            expected: None,
        };
        wish.declined &= wish.method == Method::Card;
        if self.dice.percent(20) {
            let model = self.shop.model();
            let price = |place: usize| model.products[place].prices.last().copied();
            let sum = wish.lines.iter().map(|(at, many)| price(*at).unwrap_or_default() * many);
            wish.expected = Some(sum.sum());
        }
        wish
    }

    async fn place(&mut self) {
        let Some(account) = self.somebody() else { return };
        let mut wish = self.wish();
        if self.dice.percent(45) {
            wish.besides = self.besides(&account, &wish.lines).await;
        }
        self.order(&account, wish).await;
    }

    /// Whoever orders now is delivered to, soon.
    pub(crate) async fn prove_alive(&mut self) {
        let Some(account) = self.somebody() else { return };
        for place in 0..PROVEN {
            let (method, lines) = (Method::Card, vec![(place, 1)]);
            let besides = Besides::default();
            let wish = Wish { method, lines, besides, declined: false, expected: None };
            let Some(order) = self.order(&account, wish).await else { return };
            let command = Command::get(&account, "look", format!("/v1/orders/{order}"));
            let command = command.about([order.clone()]);
            let began = Instant::now();
            loop {
                let ended = command.insist(self.shop, &mut self.dice).await;
                if ended.with(200).is_some_and(|answer| {
                    ["DELIVERING", "DELIVERED"].contains(&&*answer.text("state"))
                }) {
                    break;
                }
                if began.elapsed() > DELIVERED * testkit::patience() {
                    let what = format!("not delivered within {DELIVERED:?} of calm: {order}");
                    return self.shop.wrong(&command.about, what);
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }

    /// Orders; answers the order's id.
    async fn order(&mut self, account: &Arc<Account>, wish: Wish) -> Option<String> {
        let command = {
            let model = self.shop.model();
            let id = |place: usize| model.products[place].id.clone();
            let lines = wish
                .lines
                .iter()
                .map(|(place, many)| json!({ "productId": id(*place), "quantity": many }));
            let mut body = json!({
                "paymentMethod": wish.method.name(),
                "lines": lines.collect::<Vec<_>>(),
            });
            if wish.method == Method::Card {
                body["cardToken"] = if wish.declined { "tok_declined" } else { "tok_visa" }.into();
            }
            if let Some(expected) = wish.expected {
                body["expectedTotal"] = won(expected);
            }
            wish.besides.add_to(&mut body);
            let products = wish.lines.iter().map(|(place, _)| id(*place));
            Command::post(account, "place order", "/v1/orders".to_owned(), body).about(products)
        };
        let command = command.keyed(self.shop, &mut self.dice);
        let place =
            self.shop.model().asks(account, wish.method, wish.merged(), wish.besides.clone());
        let ended = self.maybe_twice(&command).await;
        self.placed(place, &wish, &command, &ended);
        let order = ended.with(201).map(|answer| answer.text("id"));
        self.keep(command, &ended);
        order
    }

    /// Takes in what became of an order.
    fn placed(&mut self, place: usize, wish: &Wish, command: &Command, ended: &Ended) {
        let Some(answer) = &ended.answer else {
            self.shop.model().intents[place].fate = Fate::Unknown;
            return;
        };
        let mut allowed = self.may_be_answered(&wish.besides, &wish.merged(), wish.method);
        let paid = wish.declined && units(&answer.body["payable"]) != 0;
        allowed.extend((!paid).then_some((201, "")));
        allowed.extend(wish.declined.then_some((409, "CARD_DECLINED")));
        allowed.extend(wish.expected.map(|_| (409, "PRICE_CHANGED")));
        legal(self.shop, command, answer, &allowed);
        if answer.status != 201 {
            self.shop.model().intents[place].fate = Fate::Refused;
            return;
        }
        let (id, total) = (answer.text("id"), answer.number("total/units").unwrap_or(-1));
        let mut model = self.shop.model();
        let intent = &mut model.intents[place];
        (intent.fate, intent.order, intent.total) = (Fate::Done, Some(id.clone()), total);
        let (intent, products) = (intent.clone(), model.products.clone());
        drop(model);
        let mut sum = 0;
        let mut lines = Vec::new();
        for line in answer.body["lines"].as_array().into_iter().flatten() {
            let place = products.iter().position(|product| line["productId"] == product.id);
            let price = units(&line["unitPrice"]);
            let quantity = line["quantity"].as_i64().unwrap_or_default();
            if !place.is_some_and(|place| products[place].prices.contains(&price)) {
                self.shop.wrong(&command.about, format!("{price} was never the price: {line}"));
            }
            sum += price * quantity;
            lines.push((place.unwrap_or(usize::MAX), quantity));
        }
        let mine = intent.account.id == answer.text("memberId");
        let expected = wish.expected.is_none_or(|expected| expected == total);
        let besides = wish.besides.are_in(&answer.body);
        if lines != intent.lines || sum != total || !mine || !expected || !besides {
            let what = format!("asked for {} by {}, got {answer}", command.body, intent.account.id);
            self.shop.wrong(&[command.about.clone(), vec![id]].concat(), what);
        }
    }

    /// One of the newest orders of somebody whose account is open, and who that is.
    pub(crate) fn an_order(
        &mut self,
        of: impl Fn(&Intent) -> bool,
    ) -> Option<(Arc<Account>, String)> {
        let orders: Vec<_> = {
            let model = self.shop.model();
            let intents = model.intents.iter().rev().filter(|intent| {
                intent.order.is_some() && intent.account.standing() == Standing::Open && of(intent)
            });
            let order = |intent: &Intent| {
                (Arc::clone(&intent.account), intent.order.clone().unwrap_or_default())
            };
            intents.take(NEWEST).map(order).collect()
        };
        self.dice.pick(&orders).cloned()
    }

    async fn cancel(&mut self) {
        let Some((account, order)) = self.an_order(|_| true) else { return };
        let (before, transfer) = {
            let mut model = self.shop.model();
            let Some(intent) = model.order(&order) else { return };
            intent.cancel_asked = true;
            ((intent.cancelled, intent.closed), intent.method == Method::BankTransfer)
        };
        let path = format!("/v1/orders/{order}:cancel");
        let command = Command::post(&account, "cancel", path, json!({})).about([order.clone()]);
        let command = command.keyed(self.shop, &mut self.dice);
        let ended = self.maybe_twice(&command).await;
        if let Some(answer) = &ended.answer {
            let allowed: &[_] = match (before, transfer) {
                ((true, _), _) => &[(200, ""), (401, "")],
                ((_, true), false) => &[(409, "ORDER_CLOSED"), (401, "")],
                (_, false) => {
                    &[(200, ""), (409, "ORDER_DISPATCHED"), (409, "ORDER_CLOSED"), (401, "")]
                }
                (_, true) => &[
                    (200, ""),
                    (409, "DEPOSIT_CONFIRMED"),
                    (409, "ORDER_DISPATCHED"),
                    (409, "ORDER_CLOSED"),
                    (401, ""),
                ],
            };
            legal(self.shop, &command, answer, allowed);
        }
        if let Some(answer) = ended.with(200) {
            if answer.text("state") != "CANCELLED" {
                self.shop.wrong(&command.about, format!("cancelled, and yet {answer}"));
            }
            if let Some(intent) = self.shop.model().order(&order) {
                intent.cancelled = true;
            }
        }
        self.keep(command, &ended);
    }

    async fn confirm_receipt(&mut self) {
        let Some((account, order)) = self.an_order(|intent| !intent.cancelled) else { return };
        let path = format!("/v1/orders/{order}:confirmReceipt");
        let command = Command::post(&account, "confirm receipt", path, json!({}));
        let command = command.about([order.clone()]).keyed(self.shop, &mut self.dice);
        let ended = self.maybe_twice(&command).await;
        if let Some(answer) = &ended.answer {
            let reasons = ["NOT_DELIVERING", "ORDER_CANCELLED", "ORDER_CANCELLING"];
            let refusals = reasons.map(|reason| (409, reason));
            let allowed = [&refusals[..], &[(200, ""), (401, "")]].concat();
            legal(self.shop, &command, answer, &allowed);
        }
        if let Some(answer) = ended.with(200) {
            if answer.text("state") != "CLOSED" {
                self.shop.wrong(&command.about, format!("received, and yet {answer}"));
            }
            if let Some(intent) = self.shop.model().order(&order) {
                intent.closed = true;
            }
        }
        self.keep(command, &ended);
    }

    pub(crate) async fn top_up(&mut self) {
        let Some(account) = self.somebody() else { return };
        let most = if self.dice.percent(10) { 300_000 } else { 30_000 };
        let amount = self.dice.between(1..=most);
        let place = account.moves(Why::TopUp, amount);
        let path = format!("/v1/members/{}/wallet:topUp", account.id);
        let body = json!({ "amount": won(amount), "cardToken": "tok_visa" });
        let command = Command::post(&account, "top up", path, body);
        let command = command.keyed(self.shop, &mut self.dice);
        let ended = self.maybe_twice(&command).await;
        let fate = match &ended.answer {
            None => Fate::Unknown,
            Some(answer) if answer.status == 200 => Fate::Done,
            Some(_) => Fate::Refused,
        };
        account.has_moved(place, fate);
        if let Some(answer) = &ended.answer {
            legal(self.shop, &command, answer, &[(200, ""), (401, "")]);
            let balance = answer.number("balance/units").unwrap_or_default();
            if fate == Fate::Done && balance < amount {
                self.shop.wrong(&command.about, format!("topped up by {amount}: {answer}"));
            }
        }
        self.keep(command, &ended);
    }

    pub(crate) async fn sign_up(&mut self) {
        let open =
            self.shop.model().accounts.iter().filter(|a| a.standing() == Standing::Open).count();
        if open >= MOST {
            return;
        }
        let email = format!("{:x}@example.com", self.dice.between(0..=i64::MAX));
        let taken = self.somebody().filter(|_| self.dice.percent(10));
        let email = taken.as_ref().map_or(email, |taken| taken.email.clone());
        let password = "correct horse";
        let body = json!({ "email": email, "password": password, "displayName": "Kim" });
        let command = Command {
            who: None,
            what: "sign up",
            method: Verb::POST,
            path: "/v1/members".to_owned(),
            body,
            key: String::new(),
            if_match: None,
            about: vec![email.clone()],
        };
        let command = command.keyed(self.shop, &mut self.dice);
        let ended = self.maybe_twice(&command).await;
        if let Some(answer) = &ended.answer {
            let allowed: &[_] =
                if taken.is_some() { &[(409, "EMAIL_TAKEN")] } else { &[(201, "")] };
            legal(self.shop, &command, answer, allowed);
        }
        if let Some(answer) = ended.with(201) {
            let account = Account::new(answer.text("id"), email, password.to_owned());
            self.shop.model().accounts.push(Arc::new(account));
        }
        self.keep(command, &ended);
    }

    async fn withdraw(&mut self) {
        // Of those who have something, few may leave.
        let poor = |a: &&Arc<Account>| a.standing() == Standing::Open && a.moved().is_empty();
        let poor = self.shop.model().accounts.iter().find(poor).cloned();
        let chosen = if self.dice.percent(50) { poor } else { None };
        let Some(account) = chosen.or_else(|| self.somebody()) else { return };
        let open = |a: &&Arc<Account>| a.standing() == Standing::Open;
        if self.shop.model().accounts.iter().filter(open).count() <= FEWEST {
            return;
        }
        let by_admin = self.dice.percent(50);
        if !by_admin && crate::command::sign_in(self.shop, &account).await.is_none() {
            return;
        }
        account.stands(Standing::Leaving);
        let who = if by_admin { Arc::clone(&self.shop.admin) } else { Arc::clone(&account) };
        let path = format!("/v1/members/{}:withdraw", account.id);
        let command = Command::post(&who, "withdraw", path, json!({})).about([account.id.clone()]);
        let command = command.keyed(self.shop, &mut self.dice);
        let ended = self.maybe_twice(&command).await;
        let stays = ended.answer.as_ref().filter(|answer| {
            let reason = answer.text("reason");
            answer.status == 409 && (reason == "OPEN_ORDERS" || reason == "WALLET_NOT_EMPTY")
        });
        match ended.with(200) {
            Some(answer) if answer.text("state") == "WITHDRAWN" => account.stands(Standing::Gone),
            _ if stays.is_some() => account.stands(Standing::Open),
            _ => {
                let said = ended.answer.as_ref().map(ToString::to_string).unwrap_or_default();
                self.shop.wrong(&command.about, format!("not withdrawn: {said}"));
            }
        }
    }

    async fn look(&mut self) {
        let look = self.dice.between(0..=3);
        if look == 0 {
            let Some((account, order)) = self.an_order(|_| true) else { return };
            let path = format!("/v1/orders/{order}");
            let (began, command) = (Instant::now(), Command::get(&account, "look", path));
            let command = command.about([order.clone()]);
            if let Some(answer) = command.insist(self.shop, &mut self.dice).await.with(200) {
                self.seen(&order, answer, began);
            }
            return;
        }
        let Some(account) = self.somebody() else { return };
        let path = match look {
            1 => format!("/v1/members/{}/wallet", account.id),
            2 => "/v1/products".to_owned(),
            _ => format!("/v1/mypage/{}", account.id),
        };
        let command = Command::get(&account, "look", path);
        let ended = command.insist(self.shop, &mut self.dice).await;
        let Some(answer) = &ended.answer else { return };
        let allowed = if look == 3 {
            vec![(200, ""), (404, ""), (401, "")]
        } else {
            vec![(200, ""), (401, "")]
        };
        legal(self.shop, &command, answer, &allowed);
        let stocks = answer.body["products"].as_array().cloned().unwrap_or_default();
        let below = stocks.iter().any(|product| product["stock"].as_i64().is_none_or(|s| s < 0))
            || answer.number("balance/units").is_some_and(|balance| balance < 0);
        if below {
            self.shop.wrong(&command.about, format!("below zero: {answer}"));
        }
    }

    /// States go forward: what is over stays so.
    fn seen(&mut self, order: &str, answer: &Answer, began: Instant) {
        let state = answer.text("state");
        let mut model = self.shop.model();
        let Some(intent) = model.order(order) else { return };
        let before = intent.seen.replace((state.clone(), Instant::now()));
        drop(model);
        let Some((before, _)) = before.filter(|(_, at)| *at < began) else { return };
        if before != state && (rank(&before) > rank(&state) || rank(&before) >= OVER) {
            self.shop.wrong(&[order.to_owned()], format!("{before} became {state}: {answer}"));
        }
    }

    async fn ask_for_nonsense(&mut self) {
        let Some(account) = self.somebody() else { return };
        let unknown = "00000000-0000-7000-8000-000000000000";
        let line = |id: &str, many: i64| json!([{ "productId": id, "quantity": many }]);
        let (lines, status) = match self.dice.between(0..=2) {
            0 => (line(unknown, 1), 400),
            1 => (line(&self.shop.model().products[0].id, 0), 400),
            _ => (json!([]), 400),
        };
        let body = json!({ "paymentMethod": "WALLET", "lines": lines });
        let command = Command::post(&account, "place nonsense", "/v1/orders".to_owned(), body);
        let command = command.keyed(self.shop, &mut self.dice);
        if let Some(answer) = command.insist(self.shop, &mut self.dice).await.answer {
            legal(self.shop, &command, &answer, &[(status, ""), (401, "")]);
        }
    }
}

/// From here on nothing changes any more.
const OVER: u8 = 7;

/// How far an order has come; one that is being cancelled may still go on.
fn rank(state: &str) -> u8 {
    match state {
        "AWAITING_DEPOSIT" => 1,
        "PAID" => 2,
        "PREPARED" => 3,
        "DELIVERING" => 4,
        "DELIVERED" => 5,
        "CANCELLING" => 6,
        "CLOSED" | "CANCELLED" => OVER,
        _ => 0,
    }
}

/// The units of an amount.
pub(crate) fn units(money: &Value) -> i64 {
    money["units"].as_str().and_then(|units| units.parse().ok()).unwrap_or(-1)
}
