//! What was taken back of an order, as the events add up.

#![warn(clippy::arithmetic_side_effects, reason = "pieces that overflow are shown wrongly")]

use std::{collections::BTreeMap, time::SystemTime};

use base::{Error, Money};
use contracts::order::v1::{
    OrderEvent, OrderLine, Return, ReturnAccepted, ReturnRequested, TakenPieces,
    order_event::Event, r#return,
};
use prost::Message as _;

/// What was taken back of an order.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    /// How many pieces of a product were cancelled, how many returned, and how many returns ask for.
    pieces: BTreeMap<String, Counts>,
    /// The oldest first.
    pub(crate) returns: Vec<Return>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    cancelled: i32,
    returned: i32,
    asked: i32,
}

impl Taken {
    /// Adds up what order said, the oldest first. The returns of an order that was cancelled as a whole
    /// are not judged any more.
    pub(crate) fn of(
        events: &[(SystemTime, Vec<u8>)],
        member: &str,
        cancelled: bool,
    ) -> Result<Self, Error> {
        let mut taken = Self::default();
        for (at, body) in events {
            let event = OrderEvent::decode(body.as_slice())
                .map_err(|error| Error::internal(format!("stored event of an order: {error}")))?;
            taken.add(event.event, *at, member);
        }
        if cancelled {
            taken.judge(|it| it.state() == r#return::State::Requested, r#return::State::Cancelled);
        }
        Ok(taken)
    }

    fn add(&mut self, event: Option<Event>, at: SystemTime, member: &str) {
        match event {
            Some(Event::OrderLinesCancelled(it)) => {
                self.count(&it.lines, |counts, pieces| add(&mut counts.cancelled, pieces));
            }
            Some(Event::ReturnRequested(it)) => self.requested(it, at, member),
            Some(Event::ReturnAccepted(it)) => self.accepted(&it),
            Some(Event::ReturnRejected(it)) => {
                self.judge(|known| known.id == it.return_id, r#return::State::Rejected);
                let known = self.returns.iter_mut().find(|known| known.id == it.return_id);
                if let Some(known) = known {
                    known.reject_reason = it.reason;
                }
            }
            _ => {}
        }
    }

    fn count(&mut self, lines: &[TakenPieces], count: impl Fn(&mut Counts, i32)) {
        for line in lines {
            count(self.pieces.entry(line.product_id.clone()).or_default(), line.quantity);
        }
    }

    fn requested(&mut self, it: ReturnRequested, at: SystemTime, member: &str) {
        for line in &it.lines {
            add(&mut self.pieces.entry(line.product_id.clone()).or_default().asked, line.quantity);
        }
        self.returns.push(Return {
            id: it.return_id,
            order_id: it.order_id,
            member_id: member.to_owned(),
            lines: it.lines,
            reason: it.reason,
            state: r#return::State::Requested.into(),
            create_time: Some(at.into()),
            ..Return::default()
        });
    }

    fn accepted(&mut self, it: &ReturnAccepted) {
        self.judge(|known| known.id == it.return_id, r#return::State::Accepted);
        self.count(&it.lines, |counts, pieces| add(&mut counts.returned, pieces));
        let paid = it.lines.iter().flat_map(|line| [&line.payable_share, &line.wallet_share]);
        let paid = paid.flatten().map(|share| share.units).sum();
        let known = self.returns.iter_mut().find(|known| known.id == it.return_id);
        if let Some(known) = known {
            known.refunded = Some(Money::krw(paid).to_wire().into());
            known.points_restored = it.points;
        }
    }

    /// Ends returns, which ask for nothing any more.
    fn judge(&mut self, which: impl Fn(&Return) -> bool, state: r#return::State) {
        for known in self.returns.iter_mut().filter(|known| which(known)) {
            known.set_state(state);
            for line in &known.lines {
                let counts = self.pieces.entry(line.product_id.clone()).or_default();
                counts.asked = counts.asked.saturating_sub(line.quantity);
            }
        }
    }

    /// The lines, with what was taken back of each. Lines of one product are one.
    pub(crate) fn mark(&self, lines: &mut [OrderLine]) {
        for line in lines {
            let counts = self.counts(line);
            line.cancelled_quantity = counts.cancelled;
            line.returned_quantity = counts.returned;
        }
    }

    /// Whether the member has pieces that nothing has been said of.
    pub(crate) fn leaves(&self, lines: &[OrderLine]) -> bool {
        lines.iter().any(|line| {
            let Counts { cancelled, returned, asked } = self.counts(line);
            let taken = cancelled.saturating_add(returned).saturating_add(asked);
            line.quantity > taken
        })
    }

    fn counts(&self, line: &OrderLine) -> Counts {
        self.pieces.get(&line.product_id).copied().unwrap_or_default()
    }
}

fn add(count: &mut i32, pieces: i32) {
    *count = count.saturating_add(pieces);
}
