//! What the seller and the admin do: sell, restock, change prices, confirm deposits,
//! and edit what is written to whom.

use std::sync::Arc;

use http::Method as Verb;
use serde_json::{Value, json};

use crate::{
    actor::{Actor, legal, won},
    besides::bank_account,
    command::Command,
    customer::units,
    model::Product,
};

/// Products of which there is enough for every order of a run, and those of which there is not.
const PLENTY: i64 = 10_000_000;
const SCARCE: i64 = 15;
/// So many of each.
const EACH: usize = 3;
/// The texts of messages; a number tells one from the other.
pub(crate) const TEMPLATES: [&str; 2] = ["member-registered", "payment-approved"];

impl Actor<'_> {
    /// The seller does something.
    pub(crate) async fn seller(&mut self) {
        match self.dice.between(0..=99) {
            0..20 => self.confirm_deposit().await,
            20..42 => self.deposit().await,
            42..50 => self.see_to_deposit().await,
            50..55 => self.cancel_for_the_shop().await,
            55..59 => self.cancel_lines_for_the_shop().await,
            59..75 => self.send_parcel().await,
            75..82 => self.judge_return().await,
            82..86 => self.restock().await,
            86..90 => self.adjust_stock().await,
            90..96 => self.change_price().await,
            _ => self.repeat().await,
        }
    }

    /// The admin does something.
    pub(crate) async fn admin(&mut self) {
        match self.dice.between(0..=99) {
            0..25 => self.edit_template().await,
            25..50 => self.adjust_wallet().await,
            50..75 => self.issue_coupons().await,
            75..90 => self.change_roles().await,
            _ => self.repeat().await,
        }
    }

    /// What there is before anything happens.
    pub(crate) async fn open_shop(&mut self, members: usize) {
        for place in 0..2 * EACH {
            let stock = if place < EACH { PLENTY } else { SCARCE };
            let price = self.a_price(place);
            let name = format!("Bibimbap {place}");
            let body = json!({ "displayName": name, "price": won(price), "stock": stock });
            let path = "/v1/products".to_owned();
            let command = Command::post(&Arc::clone(&self.shop.seller), "register", path, body);
            let command = command.keyed(self.shop, &mut self.dice);
            let ended = command.insist(self.shop, &mut self.dice).await;
            let id = ended.with(201).map(|answer| answer.text("id")).expect("a product");
            let product = Product { id, stock, restocked: 0, lessened: 0, prices: vec![price] };
            self.shop.model().products.push(product);
        }
        for _ in 0..TEMPLATES.len() * 8 {
            self.edit_template().await;
        }
        self.open_desk().await;
        while self.shop.model().accounts.len() < members {
            self.sign_up().await;
        }
    }

    /// Its last digit says whose price it is.
    fn a_price(&mut self, place: usize) -> i64 {
        self.dice.between(50..=900) * 10 + i64::try_from(place).unwrap_or_default()
    }

    pub(crate) fn a_product(&mut self, from: usize) -> (usize, Product) {
        let products = self.shop.model().products.clone();
        let places: Vec<_> = products.into_iter().enumerate().skip(from).collect();
        self.dice.pick(&places).cloned().expect("products")
    }

    async fn restock(&mut self) {
        let (place, product) = self.a_product(EACH);
        let quantity = self.dice.between(1..=20);
        let path = format!("/v1/products/{}:restock", product.id);
        let body = json!({ "quantity": quantity });
        let command = Command::post(&Arc::clone(&self.shop.seller), "restock", path, body);
        let command = command.about([product.id]).keyed(self.shop, &mut self.dice);
        let ended = self.maybe_twice(&command).await;
        if let Some(answer) = &ended.answer {
            legal(self.shop, &command, answer, &[(200, "")]);
        }
        if let Some(answer) = ended.with(200) {
            self.shop.model().products[place].restocked += quantity;
            if answer.number("stock").is_none_or(|stock| stock < quantity) {
                self.shop.wrong(&command.about, format!("restocked by {quantity}: {answer}"));
            }
        }
        self.keep(command, &ended);
    }

    async fn change_price(&mut self) {
        let (place, product) = self.a_product(0);
        let price = self.a_price(place);
        let path = format!("/v1/products/{}", product.id);
        let mut command = Command::post(
            &Arc::clone(&self.shop.seller),
            "change price",
            path,
            json!({ "price": won(price) }),
        );
        command.method = Verb::PATCH;
        command = command.about([product.id]).keyed(self.shop, &mut self.dice);
        let stale = self.dice.percent(10);
        if stale {
            command.if_match = Some("never".to_owned());
        } else {
            // It may have it from now on.
            self.shop.model().products[place].prices.push(price);
        }
        let ended = self.maybe_twice(&command).await;
        if let Some(answer) = &ended.answer {
            let allowed = if stale { (412, "STALE_ETAG") } else { (200, "") };
            legal(self.shop, &command, answer, &[allowed]);
            if answer.status == 200 && units(&answer.body["price"]) != price {
                self.shop.wrong(&command.about, format!("{price} was asked for: {answer}"));
            }
        }
        self.keep(command, &ended);
    }

    async fn confirm_deposit(&mut self) {
        let path = "/v1/payments?state=WAITING_FOR_DEPOSIT&pageSize=40".to_owned();
        let seller = Arc::clone(&self.shop.seller);
        let ended = Command::get(&seller, "look", path).insist(self.shop, &mut self.dice).await;
        let Some(list) = ended.with(200) else { return };
        let waiting = list.body["payments"].as_array().cloned().unwrap_or_default();
        let Some(payment) = self.dice.pick(&waiting) else { return };
        let text = |field: &str| payment[field].as_str().unwrap_or_default().to_owned();
        let (id, order) = (text("id"), text("orderId"));
        let wrong = self.dice.percent(15);
        let amount = due(payment) + i64::from(wrong);
        let body = json!({ "amount": won(amount), "depositorName": "Somebody Else" });
        let path = format!("/v1/payments/{id}:confirmDeposit");
        let command = Command::post(&seller, "confirm deposit", path, body);
        let command = command.about([id, order.clone()]).keyed(self.shop, &mut self.dice);
        let ended = self.maybe_twice(&command).await;
        if let Some(answer) = &ended.answer {
            let reasons = [
                "OUT_OF_STOCK",
                "DEPOSIT_EXPIRED",
                "PAYMENT_CANCELLED",
                "ORDER_CANCELLED",
                "NO_DEPOSIT",
                "DEPOSIT_CONFIRMED",
            ];
            // Whoever confirms what is confirmed already is answered so, whatever the amount.
            let mut allowed = vec![(200, "")];
            allowed.extend(reasons.map(|reason| (409, reason)));
            // What was due when somebody looked may be less now.
            let less = self.shop.model().order(&order).is_none_or(|intent| intent.parts_asked);
            if wrong || less {
                allowed.push((400, ""));
            }
            legal(self.shop, &command, answer, &allowed);
        }
        if let Some(answer) = ended.with(200)
            && answer.text("state") == "DONE"
        {
            self.shop.model().deposited.insert(order);
        }
        self.keep(command, &ended);
    }

    /// Something arrives on the bank account: all that is due, in one part or two, or for nothing.
    async fn deposit(&mut self) {
        let path = "/v1/payments?state=WAITING_FOR_DEPOSIT&pageSize=40".to_owned();
        let seller = Arc::clone(&self.shop.seller);
        let ended = Command::get(&seller, "look", path).insist(self.shop, &mut self.dice).await;
        let Some(list) = ended.with(200) else { return };
        let waiting = list.body["payments"].as_array().cloned().unwrap_or_default();
        let Some(payment) = self.dice.pick(&waiting) else { return };
        let text = |field: &str| payment[field].as_str().unwrap_or_default().to_owned();
        let (order, due) = (text("orderId"), due(payment));
        let mut reference = text("depositReference");
        if self.dice.percent(10) {
            reference.push('9');
        }
        let first = if self.dice.percent(30) { self.dice.between(1..=due) } else { due };
        for won_ in [first, due - first].into_iter().filter(|won| *won > 0) {
            let transaction = format!("{:x}", self.dice.between(0..=i64::MAX));
            let body = json!({
                "bankTransactionId": transaction, "amount": won(won_), "depositorName": "Somebody",
                "reference": reference,
            });
            let command = Command::post(&seller, "deposit", "/v1/deposits".to_owned(), body);
            let command = command.about([order.clone()]).keyed(self.shop, &mut self.dice);
            let ended = self.maybe_twice(&command).await;
            if let Some(answer) = &ended.answer {
                legal(self.shop, &command, answer, &[(200, ""), (201, "")]);
                if answer.status.is_success() {
                    self.shop.model().answered.deposits.insert(answer.text("id"), won_);
                }
                if answer.text("state") == "MATCHED" {
                    self.shop.model().deposited.insert(order.clone());
                }
            }
            self.keep(command, &ended);
        }
    }

    /// The shop cancels an order of somebody's.
    async fn cancel_for_the_shop(&mut self) {
        let Some((_, order)) = self.an_order(|intent| !intent.closed) else { return };
        if let Some(intent) = self.shop.model().order(&order) {
            intent.shop_asked = true;
        }
        let path = format!("/v1/orders/{order}:cancel");
        let seller = Arc::clone(&self.shop.seller);
        let mut body = json!({ "reason": "the shop cannot" });
        if self.dice.percent(50) {
            body["refundAccount"] = bank_account(&mut self.dice, 25);
        }
        let command = Command::post(&seller, "shop cancels", path, body).about([order.clone()]);
        let command = command.keyed(self.shop, &mut self.dice);
        let ended = self.maybe_twice(&command).await;
        if let Some(answer) = &ended.answer {
            legal(self.shop, &command, answer, &[(200, ""), (409, "ORDER_CLOSED")]);
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

    /// A parcel goes, or has arrived.
    async fn send_parcel(&mut self) {
        let seller = Arc::clone(&self.shop.seller);
        let gone = self.dice.percent(40);
        let state = if gone { "DISPATCHED" } else { "STARTED" };
        let look = format!("/v1/deliveries?state={state}&pageSize=20");
        let ended = Command::get(&seller, "look", look).insist(self.shop, &mut self.dice).await;
        let Some(answer) = ended.with(200) else { return };
        let deliveries = answer.body["deliveries"].as_array().cloned().unwrap_or_default();
        let Some(delivery) = self.dice.pick(&deliveries).cloned() else { return };
        let text = |field: &str| delivery[field].as_str().unwrap_or_default().to_owned();
        let (id, order) = (text("id"), text("orderId"));
        let (what, path, body) = if gone {
            ("delivered", format!("/v1/deliveries/{id}:markDelivered"), json!({}))
        } else {
            let body = json!({ "carrier": "CJ", "trackingNumber": id });
            ("dispatch", format!("/v1/deliveries/{id}:dispatch"), body)
        };
        let command = Command::post(&seller, what, path, body).about([order.clone()]);
        let command = command.keyed(self.shop, &mut self.dice);
        let ended = self.maybe_twice(&command).await;
        if let Some(answer) = &ended.answer {
            let reasons = ["ORDER_CANCELLED", "ORDER_CANCELLING", "ORDER_CLOSED"];
            let refusals = reasons.map(|reason| (409, reason));
            legal(self.shop, &command, answer, &[&refusals[..], &[(200, "")]].concat());
        }
        if ended.with(200).is_some() {
            let mut model = self.shop.model();
            if gone {
                model.answered.arrived.insert(id, order);
            } else {
                model.answered.dispatched.insert(id.clone(), id);
            }
        }
        self.keep(command, &ended);
    }

    async fn edit_template(&mut self) {
        let template = *self.dice.pick(&TEMPLATES).expect("templates");
        let number = self.dice.between(0..=i64::MAX);
        let text = if template == "payment-approved" {
            format!("{number:x} {{orderId}} {{memberId}}")
        } else {
            format!("{number:x} {{memberId}}")
        };
        // It may have it from now on.
        self.shop.model().texts.push((template, text.clone()));
        let path = format!("/v1/notificationTemplates/{template}");
        let admin = Arc::clone(&self.shop.admin);
        let mut command = Command::post(&admin, "edit template", path, json!({ "body": text }));
        command.method = Verb::PATCH;
        let command = command.about([template.to_owned()]).keyed(self.shop, &mut self.dice);
        let ended = self.maybe_twice(&command).await;
        if let Some(answer) = &ended.answer {
            legal(self.shop, &command, answer, &[(200, "")]);
        }
        self.keep(command, &ended);
    }
}

/// What is to be transferred for a payment, beside what the wallet pays.
fn due(payment: &Value) -> i64 {
    let parts = payment["parts"].as_array().into_iter().flatten();
    let transfer = parts.filter(|part| part["method"] == "BANK_TRANSFER");
    transfer.map(|part| units(&part["amount"])).sum()
}
