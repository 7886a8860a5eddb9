//! Refunds to cards: what the acquirer is asked for, what it has said, and what somebody settled by hand
//! when it refused.

use base::{Error, error::not_found, id::Uuid};
use eventlog::Draft;
use pg::Tx;

use super::{
    ledger::{Account, Kind, Ledger, Move, Side},
    refund::{Stored, lock, lock_payment, select_refunds},
    wallet,
};
use crate::{
    acquirer::{Part, Refunded},
    domain::{
        Method, OrderId, Refusal,
        refund::{Of, Refund, RefundId, RefundState},
        wallet::{Note, TopUpId, put_in},
    },
    tasks, wire,
};

/// What a card has to have back.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Owed {
    /// All that is left of what it was charged for an order.
    Whole(OrderId),
    /// What this refund says.
    Part(RefundId),
    /// What it was charged for a wallet that it did not fill.
    TopUp(TopUpId),
}

/// What the acquirer is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    refund: RefundId,
    /// What the acquirer knows the charge by.
    pub(crate) charge: Uuid,
    /// Absent: all that is left of the charge.
    pub(crate) part: Option<Part>,
}

/// Says what the acquirer is to be asked for; nothing when all is given back. Until [`answered`], nobody
/// settles it by hand.
pub(crate) async fn ask(tx: &mut Tx, owed: Owed) -> Result<Option<Asked>, Error> {
    let Some(id) = find(tx, owed).await? else { return Ok(None) };
    let Some(mut stored) = lock(tx, id).await? else { return Ok(None) };
    let (before, refund) = (stored.refund.state, &mut stored.refund);
    if refund.tender != Method::Card || !refund.ask() {
        return Ok(None);
    }
    let (amount, of, is_part) = (refund.amount, refund.of, refund.part.is_some());
    if before != refund.state {
        stored.save(tx).await?;
        stored.touch(tx).await?;
    }
    let (charge, by_amount) = match of {
        Of::Payment(order) => (order.0, is_part || elsewhere(tx, order).await?),
        Of::Charge(order) => (order.0, false),
        Of::TopUp(top_up) => (top_up.0, false),
    };
    Ok(Some(Asked { refund: id, charge, part: by_amount.then_some(Part { id: id.0, amount }) }))
}

async fn find(tx: &mut Tx, owed: Owed) -> Result<Option<RefundId>, Error> {
    let row = match owed {
        Owed::Part(id) => return Ok(Some(id)),
        Owed::Whole(order) => {
            lock_payment(tx, order).await?;
            tx.execute(FOUND_FOR_ORDER, &[&order.0]).await?;
            let sql = "select id from refund where order_id = $1 and tender = 'CARD'
                   and part_id is null and state <> 'REFUNDED'";
            tx.query_opt(sql, &[&order.0]).await?
        }
        Owed::TopUp(top_up) => {
            tx.execute(FOUND_FOR_TOP_UP, &[&top_up.0]).await?;
            let sql = "select id from refund where top_up_id = $1 and top_up_id is not null";
            tx.query_opt(sql, &[&top_up.0]).await?
        }
    };
    Ok(row.map(|row| RefundId(row.get(0))))
}

/// The refund of a charge that the version before has found, which makes none.
const FOUND_FOR_ORDER: &str = "
    insert into refund (id, order_id, void, member_id, tender, amount_minor, state)
    select t.id, t.order_id, true, p.member_id, 'CARD', p.amount_minor, 'REFUNDING'
    from ledger_transaction t join payment p using (order_id)
    where t.order_id = $1 and t.kind = 'CHARGE_FOUND'
      and not exists (select from ledger_transaction r
        where r.order_id = $1 and r.kind = 'CHARGE_RETURNED')
      and not exists (select from refund where order_id = $1 and void)";
const FOUND_FOR_TOP_UP: &str = "
    insert into refund (id, top_up_id, member_id, tender, amount_minor, state)
    select t.id, u.id, u.member_id, 'CARD', u.amount_minor, 'REFUNDING'
    from ledger_transaction t join top_up u on u.id = t.subject_id
    where t.subject_id = $1 and t.kind = 'CHARGE_FOUND'
      and not exists (select from ledger_transaction r
        where r.subject_id = $1 and r.kind = 'CHARGE_RETURNED')
    on conflict do nothing";

/// Whether the shop has given back a part of a charge in another way, so that the card is not owed all that
/// the acquirer would call left.
async fn elsewhere(tx: &mut Tx, order: OrderId) -> Result<bool, Error> {
    let sql = "select exists (select from refund where order_id = $1 and part_id is not null
           and settled_by is not null and tender <> 'CARD')";
    Ok(tx.query_one(sql, &[&order.0]).await?.get(0))
}

/// The acquirer has said what became of a refund.
pub(crate) async fn answered(tx: &mut Tx, asked: &Asked, said: &Refunded) -> Result<(), Error> {
    let Some(mut stored) = lock(tx, asked.refund).await? else { return Ok(()) };
    let before = stored.refund.state;
    let done = *said == Refunded::Done;
    stored.refund.answered(done);
    if stored.refund.state == before {
        return Ok(());
    }
    // Others know already that it is refused.
    let known = !done && !stored.failure.is_empty();
    stored.failure = match said {
        Refunded::Done => String::new(),
        Refunded::Refused(code) => code.clone(),
    };
    stored.save(tx).await?;
    if known {
        stored.touch(tx).await?;
    } else {
        stored.tell(tx).await?;
    }
    if !done {
        return Ok(());
    }
    match stored.refund.of {
        Of::Payment(order) if asked.part.is_none() => all_done(tx, order).await,
        Of::Payment(_) => Ok(()),
        Of::Charge(_) | Of::TopUp(_) => book(tx, settled(&stored.refund, Method::Card)).await,
    }
}

/// Nothing is left of a charge: its parts, too, are with the card again.
async fn all_done(tx: &mut Tx, order: OrderId) -> Result<(), Error> {
    let sql = concat!(
        select_refunds!(),
        " where order_id = $1 and tender = 'CARD' and state <> 'REFUNDED' order by id for update"
    );
    for row in tx.query(sql, &[&order.0]).await? {
        let mut stored = Stored::from_row(&row)?;
        stored.refund.state = RefundState::Refunded;
        stored.failure.clear();
        stored.save(tx).await?;
        stored.tell(tx).await?;
    }
    Ok(())
}

/// Has the acquirer asked again for a refund that it refuses.
pub(crate) async fn retry(tx: &mut Tx, id: RefundId, actor: Uuid) -> Result<Stored, Error> {
    let mut stored = lock(tx, id).await?.ok_or_else(not_found)?;
    stored.refund.retry()?;
    stored.save(tx).await?;
    stored.touch(tx).await?;
    tasks::give_back(tx, &stored.refund).await?;
    note(tx, &stored, wire::refund::retried(&stored.refund, actor)).await?;
    Ok(stored)
}

/// Keeps that the shop gives back by `tender` what the acquirer refuses to.
pub(crate) async fn settle(
    tx: &mut Tx,
    id: RefundId,
    tender: Method,
    by: Note,
) -> Result<Stored, Error> {
    let mut stored = lock(tx, id).await?.ok_or_else(not_found)?;
    stored.refund.settle(tender)?;
    if tender != Method::Card && stored.refund.part.is_some() && under_way(tx, &stored).await? {
        return Err(Refusal::RefundUnderWay.into());
    }
    stored.settled = Some(by.clone());
    stored.save(tx).await?;
    stored.tell(tx).await?;
    note(tx, &stored, wire::refund::settled(&stored.refund, &by)).await?;
    tasks::forget_refund(tx, &stored.refund).await?;
    if let (Of::Payment(_), Method::Card) = (stored.refund.of, tender) {
        // The ledger has had it with the card ever since.
        return Ok(stored);
    }
    let moved = settled(&stored.refund, tender).noted(by);
    if tender == Method::Wallet {
        let mut wallet = wallet::lock(tx, stored.refund.member).await?;
        wallet.balance = put_in(wallet.balance, stored.refund.amount)?;
        wallet.save(tx, moved, None).await?;
    } else {
        book(tx, moved).await?;
    }
    Ok(stored)
}

/// Whether the acquirer is being asked for all that is left of the charge that this is a part of.
async fn under_way(tx: &mut Tx, stored: &Stored) -> Result<bool, Error> {
    // By order, also while many are under way.
    let sql = "select exists (select from refund where order_id = $1 and part_id is null
           and tender = 'CARD' and state || '' = 'REFUNDING')";
    let order = stored.refund.of.order().map(|order| order.0);
    Ok(tx.query_one(sql, &[&order]).await?.get(0))
}

/// What a refund moves that is done by this tender. A charge that came to nothing is held until then; of a
/// payment's the card has been credited from the beginning, and the acquirer still owes what others pay.
fn settled(refund: &Refund, tender: Method) -> Move {
    let to = match tender {
        Method::Card => Side::from(Account::Card),
        Method::BankTransfer => Account::Bank.into(),
        Method::Wallet => refund.member.into(),
    };
    let returned = |to| Move::new(Kind::ChargeReturned, Account::Held, to, refund.amount);
    match refund.of {
        Of::Payment(order) => {
            let moved = Move::new(Kind::RefundSettled, Account::Card, to, refund.amount);
            moved.of_order(order).of(refund.id.0)
        }
        Of::Charge(order) => returned(to).of_order(order),
        Of::TopUp(top_up) => returned(to).of(top_up.0),
    }
}

async fn book(tx: &mut Tx, moved: Move) -> Result<(), Error> {
    let mut ledger = Ledger::default();
    ledger.push(moved);
    ledger.save(tx).await
}

/// Tells others what somebody did with a refund that has just been saved.
async fn note(
    tx: &mut Tx,
    stored: &Stored,
    event: contracts::payment::v1::payment_event::Event,
) -> Result<(), Error> {
    let refund = &stored.refund;
    let correlation = refund.of.order().map_or(refund.member.0, |order| order.0);
    eventlog::append(tx, &[Draft::of(event, refund.id.0, stored.version, correlation)]).await
}
