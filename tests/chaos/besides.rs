//! What members do with what they have beside a card: coupons, points, a balance, and
//! addresses.

use std::sync::Arc;

use app::rest::Answer;
use http::Method as Verb;
use serde_json::{Value, json};

use crate::{
    actor::{Actor, legal, won},
    command::Command,
    customer::units,
    model::{Account, Besides, Fate, Method, Why},
};

/// So many addresses a member keeps.
const HOUSES: usize = 3;
/// An account that the bank finds, and one that it does not.
const ACCOUNTS: [&str; 2] = ["110-234-567890", "110-234-560000"];

/// A bank account; of so many of a hundred there is none.
pub(crate) fn bank_account(dice: &mut crate::dice::Dice, wrong: u32) -> Value {
    let number = ACCOUNTS[usize::from(dice.percent(wrong))];
    json!({ "bankCode": "004", "accountNumber": number, "holder": "Kim" })
}

impl Besides {
    /// Asks for it in an order's body.
    pub(crate) fn add_to(&self, body: &mut Value) {
        if let Some(coupon) = &self.coupon {
            body["couponId"] = json!(coupon);
        }
        if self.points > 0 {
            body["points"] = json!(self.points.to_string());
        }
        if self.wallet > 0 {
            body["walletAmount"] = won(self.wallet);
        }
        if let Some((address, _)) = &self.address {
            body["addressId"] = json!(address);
        }
    }

    /// Whether an order says that it is paid so.
    pub(crate) fn are_in(&self, order: &Value) -> bool {
        let coupon = order["couponId"].as_str().unwrap_or_default();
        coupon == self.coupon.as_deref().unwrap_or_default()
            && order["pointsUsed"].as_str().map_or(0, |it| it.parse().unwrap_or(-1)) == self.points
            && units(&order["walletUsed"]) == self.wallet
    }
}

impl Actor<'_> {
    /// What a member has, and pays an order with.
    pub(crate) async fn besides(
        &mut self,
        account: &Arc<Account>,
        lines: &[(usize, i64)],
    ) -> Besides {
        let least = self.least(lines);
        // Mostly a part; now and then as much as there may be, or more.
        let most = if self.dice.percent(10) { least } else { (least / 8).max(1) };
        let mut besides = Besides::default();
        if self.dice.percent(50) {
            let coupons = self.of(account, "coupons").await;
            let coupons = coupons["coupons"].as_array().cloned().unwrap_or_default();
            let issued = |it: &&Value| it["state"] == "ISSUED";
            let issued: Vec<_> = coupons.iter().filter(issued).collect();
            besides.coupon = self.dice.pick(&issued).map(|it| text(it, "id"));
        }
        if self.dice.percent(50) {
            let mileage = self.of(account, "mileage").await;
            let balance = text(&mileage, "balance").parse().unwrap_or(0_i64);
            besides.points = if balance > 0 { self.dice.between(1..=balance.min(most)) } else { 0 };
        }
        if self.dice.percent(40) {
            besides.wallet = self.dice.between(1..=most);
        }
        if self.dice.percent(50) {
            besides.address = self.dice.pick(&account.addresses()).cloned();
        }
        besides
    }

    /// Something of a member's.
    async fn of(&mut self, account: &Arc<Account>, what: &str) -> Value {
        let path = format!("/v1/members/{}/{what}", account.id);
        let ended = Command::get(account, "look", path).insist(self.shop, &mut self.dice).await;
        ended.with(200).map(|answer| answer.body.clone()).unwrap_or_default()
    }

    /// What lines cost at least, at any price that there was.
    fn least(&self, lines: &[(usize, i64)]) -> i64 {
        let model = self.shop.model();
        let least = |place: &usize| model.products[*place].prices.iter().min().copied();
        lines.iter().map(|(place, many)| least(place).unwrap_or_default() * many).sum()
    }

    /// What an order may be refused for.
    pub(crate) fn may_be_answered(
        &self,
        besides: &Besides,
        lines: &[(usize, i64)],
        method: Method,
    ) -> Vec<(u16, &'static str)> {
        let mut allowed = vec![(401, "")];
        if let Some(coupon) = &besides.coupon {
            allowed.extend([(409, "COUPON_EXPIRED"), (409, "COUPON_MINIMUM")]);
            let model = self.shop.model();
            let same = |it: &&crate::model::Intent| it.besides.coupon.as_ref() == Some(coupon);
            if model.intents.iter().filter(same).count() > 1 {
                allowed.push((409, "COUPON_REDEEMED"));
            }
        }
        if besides.points > 0 {
            allowed.push((409, "INSUFFICIENT_POINTS"));
        }
        if besides.wallet > 0 && method == Method::Card {
            allowed.push((409, "INSUFFICIENT_BALANCE"));
        }
        // A coupon may leave less than points and wallet are to pay; an address may be gone.
        let tight = besides.coupon.is_some() && besides.points + besides.wallet > 0;
        let more = besides.points + besides.wallet > self.least(lines);
        if tight || more || besides.address.is_some() {
            allowed.push((400, ""));
        }
        allowed
    }

    /// A member has some of the balance sent to a bank account.
    pub(crate) async fn pay_out(&mut self) {
        let Some(account) = self.somebody() else { return };
        let amount = self.dice.between(1..=8_000);
        let place = account.moves(Why::PayOut, -amount);
        let to = bank_account(&mut self.dice, 25);
        let path = format!("/v1/members/{}/wallet:payOut", account.id);
        let body = json!({ "amount": won(amount), "account": to });
        let command = Command::post(&account, "pay out", path, body);
        let command = command.keyed(self.shop, &mut self.dice);
        let ended = self.maybe_twice(&command).await;
        account.has_moved(place, fate(ended.answer.as_ref()));
        if let Some(answer) = &ended.answer {
            let allowed = [(200, ""), (409, "INSUFFICIENT_BALANCE"), (401, "")];
            legal(self.shop, &command, answer, &allowed);
            if answer.status == 200 && units(&answer.body["amount"]) != amount {
                self.shop.wrong(&command.about, format!("{amount} to be paid out: {answer}"));
            }
        }
        self.shop.count("payouts asked for", u64::from(ended.with(200).is_some()));
        self.keep(command, &ended);
    }

    /// A member has another address from now on, or one less.
    pub(crate) async fn move_house(&mut self) {
        let Some(account) = self.somebody() else { return };
        let known = account.addresses();
        let path = format!("/v1/members/{}/addresses", account.id);
        if known.len() >= HOUSES {
            let Some((id, _)) = self.dice.pick(&known).cloned() else { return };
            account.moves_from(&id);
            let command =
                Command::post(&account, "delete address", format!("{path}/{id}"), Value::Null);
            let command = Command { method: Verb::DELETE, ..command }.about([id]);
            let command = command.keyed(self.shop, &mut self.dice);
            // Asked for twice, the second finds none.
            if let Some(answer) = &self.maybe_twice(&command).await.answer {
                legal(self.shop, &command, answer, &[(200, ""), (204, ""), (404, ""), (401, "")]);
            }
            return;
        }
        let number = self.dice.between(1..=99_999);
        let body = json!({
            "recipient": format!("Kim {number}"), "phone": "010-1234-5678", "postcode": "03001",
            "line1": format!("Sejong-daero {number}"), "line2": "", "memo": "",
        });
        let command = Command::post(&account, "add address", path, body.clone());
        let command = command.keyed(self.shop, &mut self.dice);
        let ended = self.maybe_twice(&command).await;
        if let Some(answer) = &ended.answer {
            legal(self.shop, &command, answer, &[(201, ""), (409, "ADDRESSES_FULL"), (401, "")]);
        }
        if let Some(answer) = ended.with(201) {
            account.lives_at(answer.text("id"), body);
        }
        self.keep(command, &ended);
    }
}

/// What an answer to a movement of money means.
pub(crate) fn fate(answer: Option<&Answer>) -> Fate {
    match answer {
        None => Fate::Unknown,
        Some(answer) if answer.status.is_success() => Fate::Done,
        Some(_) => Fate::Refused,
    }
}

fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_default().to_owned()
}
