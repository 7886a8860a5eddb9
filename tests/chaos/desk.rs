//! What the shop does by hand: it corrects balances and stock, issues coupons, sees to
//! deposits that are held, and says who works here.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Value, json};

use crate::{
    actor::{Actor, legal, won},
    besides::{bank_account, fate},
    command::{Command, sign_in},
    customer::units,
    model::{Account, Why},
};

/// Terms of coupons: all of an order, and a part of it with a maximum and a minimum; some for a short
/// time.
const POLICIES: [(&str, u64); 3] = [
    (r#"{"percent": 100}"#, 0),
    (r#"{"percent": 15, "maximum": {"currencyCode": "KRW", "units": "1500", "nanos": 0}}"#, 3_000),
    (r#"{"amount": {"currencyCode": "KRW", "units": "2000", "nanos": 0}}"#, 1_000),
];
const VALID_DAYS: [u64; 3] = [30, 12, 2];
/// People who work here, or do not any more.
const CLERKS: usize = 2;

impl Actor<'_> {
    /// Who works here, and on what terms coupons are issued.
    pub(crate) async fn open_desk(&mut self) {
        let admin = Arc::clone(&self.shop.admin);
        for ((discount, minimum), days) in POLICIES.into_iter().zip(VALID_DAYS) {
            let discount: Value = serde_json::from_str(discount).expect("JSON");
            let body = json!({
                "displayName": format!("{days} days"), "discount": discount, "validDays": days,
                "minimumTotal": won(i64::try_from(minimum).unwrap_or_default()),
            });
            let path = "/v1/couponPolicies".to_owned();
            let command = Command::post(&admin, "make a policy", path, body);
            let command = command.keyed(self.shop, &mut self.dice);
            let ended = command.insist(self.shop, &mut self.dice).await;
            let policy = ended.with(201).map(|answer| answer.text("policy")).expect("a policy");
            self.shop.model().answered.policies.push(policy);
        }
        for number in 0..CLERKS {
            let (email, password) = (format!("clerk-{number}@example.com"), "correct horse");
            let body = json!({ "email": email, "password": password, "displayName": "Clerk" });
            let command = Command::post(&admin, "sign up", "/v1/members".to_owned(), body);
            let command = Command { who: None, ..command }.keyed(self.shop, &mut self.dice);
            let ended = command.insist(self.shop, &mut self.dice).await;
            let id = ended.with(201).map(|answer| answer.text("id")).expect("a member");
            let clerk = Account::new(id, email, password.to_owned());
            self.shop.model().clerks.push(Arc::new(clerk));
        }
    }

    /// A reason that nothing else has.
    fn a_reason(&mut self) -> String {
        format!("because {:x}", self.dice.between(0..=i64::MAX))
    }

    /// A balance was wrong.
    pub(crate) async fn adjust_wallet(&mut self) {
        let Some(account) = self.somebody() else { return };
        let amount = if self.dice.percent(60) {
            self.dice.between(1..=20_000)
        } else {
            -self.dice.between(1..=6_000)
        };
        let reason = self.a_reason();
        let place = account.moves(Why::Adjustment, amount);
        let path = format!("/v1/members/{}/wallet:adjust", account.id);
        let body = json!({ "amount": won(amount), "reason": reason });
        let command = Command::post(&Arc::clone(&self.shop.admin), "adjust wallet", path, body);
        let command = command.about([account.id.clone()]).keyed(self.shop, &mut self.dice);
        let ended = self.maybe_twice(&command).await;
        account.has_moved(place, fate(ended.answer.as_ref()));
        if let Some(answer) = &ended.answer {
            let short = (409, "INSUFFICIENT_BALANCE");
            let allowed: &[_] = if amount < 0 { &[(200, ""), short] } else { &[(200, "")] };
            legal(self.shop, &command, answer, allowed);
        }
        if ended.with(200).is_some() {
            self.by_hand("WALLET_ADJUSTED", &account.id, reason);
        }
        self.keep(command, &ended);
    }

    fn by_hand(&self, action: &'static str, subject: &str, reason: String) {
        self.shop.count("done by hand", 1);
        self.shop.model().answered.by_hand.push((action, subject.to_owned(), reason));
    }

    /// Members get coupons.
    pub(crate) async fn issue_coupons(&mut self) {
        let policies = self.shop.model().answered.policies.clone();
        let Some(policy) = self.dice.pick(&policies).cloned() else { return };
        let mut members = BTreeMap::new();
        for _ in 0..self.dice.between(1..=3) {
            if let Some(account) = self.somebody() {
                members.insert(account.id.clone(), account);
            }
        }
        let ids: Vec<_> = members.keys().cloned().collect();
        let body = json!({ "policy": policy, "memberIds": ids });
        let path = "/v1/coupons:issue".to_owned();
        let command = Command::post(&Arc::clone(&self.shop.admin), "issue coupons", path, body);
        let command = command.about(ids.clone()).keyed(self.shop, &mut self.dice);
        let ended = self.maybe_twice(&command).await;
        if let Some(answer) = &ended.answer {
            // Coupon may not have heard of somebody yet.
            legal(self.shop, &command, answer, &[(200, ""), (400, "")]);
        }
        if let Some(answer) = ended.with(200) {
            let list = |field: &str| answer.body[field].as_array().cloned().unwrap_or_default();
            let (coupons, gone) = (list("coupons"), list("withdrawnMemberIds"));
            for coupon in &coupons {
                let to = coupon["memberId"].as_str().unwrap_or_default();
                match members.get(to) {
                    Some(account) => account.is_issued_a_coupon(),
                    None => self.shop.wrong(&ids, format!("nobody asked for {coupon}")),
                }
            }
            if coupons.len() + gone.len() != members.len() {
                self.shop.wrong(&ids, format!("to {ids:?} were issued {answer}"));
            }
            self.shop.count("coupons issued", u64::try_from(coupons.len()).unwrap_or_default());
        }
        self.keep(command, &ended);
    }

    /// Stock was counted, and there was more or less of it.
    pub(crate) async fn adjust_stock(&mut self) {
        let (place, product) = self.a_product(0);
        let delta = if self.dice.percent(60) {
            self.dice.between(1..=9)
        } else {
            -self.dice.between(1..=4)
        };
        let reason = self.a_reason();
        self.shop.model().products[place].lessened += (-delta).max(0);
        let path = format!("/v1/products/{}:adjustStock", product.id);
        let body = json!({ "delta": delta, "reason": reason });
        let command = Command::post(&Arc::clone(&self.shop.seller), "adjust stock", path, body);
        let command = command.about([product.id.clone()]).keyed(self.shop, &mut self.dice);
        let ended = self.maybe_twice(&command).await;
        if let Some(answer) = &ended.answer {
            let short = (409, "INSUFFICIENT_STOCK");
            let allowed: &[_] = if delta < 0 { &[(200, ""), short] } else { &[(200, "")] };
            legal(self.shop, &command, answer, allowed);
        }
        if ended.with(200).is_some() {
            self.shop.model().products[place].restocked += delta;
            self.by_hand("STOCK_ADJUSTED", &product.id, reason);
        }
        self.keep(command, &ended);
    }

    /// A deposit that is held goes back, into a wallet, or pays something.
    pub(crate) async fn see_to_deposit(&mut self) {
        let seller = Arc::clone(&self.shop.seller);
        let Some(deposit) = self.one_of(&seller, "deposits?state=HELD", "deposits").await else {
            return;
        };
        let id = text(&deposit, "id");
        let about = [id.clone(), text(&deposit, "orderId")];
        let path = |verb: &str| format!("/v1/deposits/{id}:{verb}");
        let mut allowed = vec![(200, ""), (409, "DEPOSIT_NOT_HELD")];
        let (mut to, amount) = (None, units(&deposit["heldAmount"]));
        let command = match self.dice.between(0..=99) {
            0..35 => {
                let body = json!({ "account": bank_account(&mut self.dice, 30) });
                Command::post(&seller, "refund deposit", path("refund"), body)
            }
            35..60 => {
                let Some(account) = self.somebody() else { return };
                let body = json!({ "memberId": account.id });
                to = Some((account.moves(Why::Credit, amount), account));
                Command::post(&seller, "credit deposit", path("credit"), body)
            }
            _ => {
                let waiting = "payments?state=WAITING_FOR_DEPOSIT";
                let Some(payment) = self.one_of(&seller, waiting, "payments").await else { return };
                let over =
                    ["DEPOSIT_EXPIRED", "DEPOSIT_CONFIRMED", "PAYMENT_CANCELLED", "NO_DEPOSIT"];
                allowed.extend(over.map(|reason| (409, reason)));
                let body = json!({ "paymentId": text(&payment, "id") });
                let command = Command::post(&seller, "match deposit", path("match"), body);
                command.about([text(&payment, "orderId")])
            }
        };
        let command = command.about(about).keyed(self.shop, &mut self.dice);
        let ended = self.maybe_twice(&command).await;
        if let Some(answer) = &ended.answer {
            legal(self.shop, &command, answer, &allowed);
        }
        if let Some((place, account)) = &to {
            account.has_moved(*place, fate(ended.answer.as_ref()));
        }
        if let Some(answer) = ended.with(200) {
            self.seen_to(&command, &answer.body);
        }
        self.keep(command, &ended);
    }

    /// What was answered of a deposit that was seen to.
    fn seen_to(&self, command: &Command, deposit: &Value) {
        let (id, state) = (text(deposit, "id"), text(deposit, "state"));
        let mut model = self.shop.model();
        let answered = &mut model.answered;
        let right = match command.what {
            "refund deposit" => {
                *answered.refunded.entry(id).or_default() += 1;
                state == "REFUNDING"
            }
            "credit deposit" => {
                answered.credited.insert(id);
                state == "CREDITED"
            }
            _ => {
                if state == "MATCHED" {
                    answered.matched.insert(id);
                }
                ["MATCHED", "HELD"].contains(&&*state)
            }
        };
        drop(model);
        self.shop.count("held deposits seen to", 1);
        if !right {
            self.shop.wrong(&command.about, format!("{}: answered {deposit}", command.what));
        }
    }

    /// One of a list that the shop sees.
    async fn one_of(&mut self, who: &Arc<Account>, path: &str, list: &str) -> Option<Value> {
        let path = format!("/v1/{path}&pageSize=20");
        let ended = Command::get(who, "look", path).insist(self.shop, &mut self.dice).await;
        let all = ended.with(200)?.body[list].as_array().cloned().unwrap_or_default();
        self.dice.pick(&all).cloned()
    }

    /// Somebody sells from now on, or does not any more.
    pub(crate) async fn change_roles(&mut self) {
        let clerks = self.shop.model().clerks.clone();
        let Some(clerk) = self.dice.pick(&clerks).cloned() else { return };
        let sells = self.shop.model().answered.sells.get(&clerk.id).copied().unwrap_or(false);
        let (what, verb) =
            if sells { ("revoke role", "revokeRole") } else { ("grant role", "grantRole") };
        let path = format!("/v1/members/{}:{verb}", clerk.id);
        let body = json!({ "role": "SELLER" });
        let command = Command::post(&Arc::clone(&self.shop.admin), what, path, body);
        let command = command.about([clerk.id.clone()]).keyed(self.shop, &mut self.dice);
        let ended = self.maybe_twice(&command).await;
        if let Some(answer) = &ended.answer {
            legal(self.shop, &command, answer, &[(200, "")]);
        }
        if ended.with(200).is_none() {
            return;
        }
        self.shop.count("roles changed", 1);
        {
            let mut model = self.shop.model();
            if let Some((token, _)) = clerk.token().filter(|_| sells) {
                model.answered.revoked.push((clerk.id.clone(), token));
            }
            model.answered.sells.insert(clerk.id.clone(), !sells);
            *model.answered.changes.entry(clerk.id.clone()).or_default() += 1;
        }
        clerk.signed_in(None);
        self.may_sell(&clerk, !sells).await;
    }

    /// Whoever signs in now has the roles that were answered last.
    pub(crate) async fn may_sell(&mut self, clerk: &Arc<Account>, sells: bool) {
        if sign_in(self.shop, clerk).await.is_none() {
            return;
        }
        let look = Command::get(clerk, "look for deposits", "/v1/deposits?pageSize=1".to_owned());
        if let Some(answer) = &look.insist(self.shop, &mut self.dice).await.answer {
            let expected = if sells { (200, "") } else { (403, "") };
            legal(self.shop, &look, answer, &[expected]);
        }
    }
}

fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_default().to_owned()
}
