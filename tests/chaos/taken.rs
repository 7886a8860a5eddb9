//! Parts of orders are taken back: members and the shop cancel lines, members ask for returns, and the shop
//! judges them.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::{
    actor::{Actor, legal},
    besides::bank_account,
    command::Command,
    model::{Account, Intent},
};

/// Why an order may not be touched any more, or not yet.
const REFUSALS: [(u16, &str); 8] = [
    (401, ""),
    (409, "ORDER_CANCELLED"),
    (409, "ORDER_CANCELLING"),
    (409, "ORDER_CLOSED"),
    (409, "ORDER_DISPATCHED"),
    (409, "DEPOSIT_CONFIRMED"),
    (409, "PAYMENT_CANCELLED"),
    (409, "LINES_TAKEN"),
];

impl Actor<'_> {
    /// A member does not want some of an order any more.
    pub(crate) async fn cancel_lines(&mut self) {
        let Some((account, order)) = self.an_order(|_| true) else { return };
        self.cancel_some(&account, &order, false).await;
    }

    /// The shop cannot deliver some of an order.
    pub(crate) async fn cancel_lines_for_the_shop(&mut self) {
        let Some((_, order)) = self.an_order(|intent| !intent.closed) else { return };
        self.cancel_some(&Arc::clone(&self.shop.seller), &order, true).await;
    }

    async fn cancel_some(&mut self, who: &Arc<Account>, order: &str, by_shop: bool) {
        let Some(lines) = self.some_of(order) else { return };
        {
            let mut model = self.shop.model();
            let Some(intent) = model.order(order) else { return };
            // It may be all that is left.
            intent.parts_asked = true;
            intent.cancel_asked |= !by_shop;
            intent.shop_asked |= by_shop;
        }
        let path = format!("/v1/orders/{order}:cancelLines");
        let what = if by_shop { "shop cancels lines" } else { "cancel lines" };
        let mut body = json!({ "lines": lines });
        if self.dice.percent(30) {
            body["refundAccount"] = bank_account(&mut self.dice, 25);
        }
        let command = Command::post(who, what, path, body);
        let command = command.about([order.to_owned()]).keyed(self.shop, &mut self.dice);
        let ended = self.maybe_twice(&command).await;
        if let Some(answer) = &ended.answer {
            legal(self.shop, &command, answer, &[&REFUSALS[..], &[(200, "")]].concat());
        }
        if let Some(answer) = ended.with(200) {
            self.shop.count("lines cancelled", 1);
            if answer.text("state") == "CANCELLED"
                && let Some(intent) = self.shop.model().order(order)
            {
                intent.cancelled = true;
            }
        }
        self.keep(command, &ended);
    }

    /// Some pieces of one of an order's lines.
    fn some_of(&mut self, order: &str) -> Option<Value> {
        let (lines, products) = {
            let mut model = self.shop.model();
            let products: Vec<String> = model.products.iter().map(|it| it.id.clone()).collect();
            (model.order(order)?.lines.clone(), products)
        };
        let (place, bought) = *self.dice.pick(&lines)?;
        let quantity = self.dice.between(1..=bought);
        Some(json!([{ "productId": products[place], "quantity": quantity }]))
    }

    /// A member wants to give something back.
    pub(crate) async fn ask_return(&mut self) {
        // Mostly of what has arrived.
        let arrived: Vec<String> = self.shop.model().answered.arrived.values().cloned().collect();
        let any = self.dice.percent(20);
        let theirs = |intent: &Intent| intent.order.as_ref().is_some_and(|it| arrived.contains(it));
        let wanted = |intent: &Intent| !intent.cancelled && (any || theirs(intent));
        let Some((account, order)) = self.an_order(wanted) else { return };
        let Some(lines) = self.some_of(&order) else { return };
        let path = format!("/v1/orders/{order}/returns");
        let body = json!({ "lines": lines, "reason": "it does not fit" });
        let command = Command::post(&account, "ask for a return", path, body);
        let command = command.about([order.clone()]).keyed(self.shop, &mut self.dice);
        let ended = self.maybe_twice(&command).await;
        if let Some(answer) = &ended.answer {
            let more = [(201, ""), (409, "NOT_DELIVERED"), (409, "RETURN_PERIOD_OVER")];
            legal(self.shop, &command, answer, &[&REFUSALS[..], &more].concat());
        }
        if let Some(answer) = ended.with(201) {
            self.shop.model().answered.returns.entry(answer.text("id")).or_default();
        }
        self.keep(command, &ended);
    }

    /// The shop accepts a return, or rejects it.
    pub(crate) async fn judge_return(&mut self) {
        let seller = Arc::clone(&self.shop.seller);
        let look = "/v1/returns?state=REQUESTED&pageSize=20".to_owned();
        let ended = Command::get(&seller, "look", look).insist(self.shop, &mut self.dice).await;
        let Some(list) = ended.with(200) else { return };
        let asked = list.body["returns"].as_array().cloned().unwrap_or_default();
        let Some(wanted) = self.dice.pick(&asked) else { return };
        let text = |field: &str| wanted[field].as_str().unwrap_or_default().to_owned();
        let (id, order) = (text("id"), text("orderId"));
        let accepts = self.dice.percent(70);
        let (what, verb, other) = if accepts {
            ("accept a return", "accept", "RETURN_REJECTED")
        } else {
            ("reject a return", "reject", "RETURN_ACCEPTED")
        };
        let mut body = if accepts { json!({}) } else { json!({ "reason": "it was worn" }) };
        if accepts && self.dice.percent(40) {
            body["refundAccount"] = bank_account(&mut self.dice, 25);
        }
        let command = Command::post(&seller, what, format!("/v1/returns/{id}:{verb}"), body);
        let command = command.about([id.clone(), order]).keyed(self.shop, &mut self.dice);
        let ended = self.maybe_twice(&command).await;
        if let Some(answer) = &ended.answer {
            legal(
                self.shop,
                &command,
                answer,
                &[&REFUSALS[..], &[(200, ""), (409, other)]].concat(),
            );
        }
        if ended.with(200).is_some() {
            self.shop.count(if accepts { "returns accepted" } else { "returns rejected" }, 1);
            let state = if accepts { "ACCEPTED" } else { "REJECTED" };
            self.shop.model().answered.returns.insert(id, state);
        }
        self.keep(command, &ended);
    }
}

/// How many pieces of a line were not taken back.
pub(crate) fn pieces_kept(line: &Value) -> i64 {
    let count = |field: &str| line[field].as_i64().unwrap_or_default();
    count("quantity") - count("cancelledQuantity") - count("returnedQuantity")
}
