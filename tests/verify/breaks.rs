//! How each invariant is broken by hand, and which lines then say so: the one that it is about,
//! and no other but where one row is the business of two.

/// What is broken, by which statements in which databases, and which invariants say so.
pub(crate) struct Break {
    pub(crate) invariants: &'static [&'static str],
    pub(crate) statements: &'static [(&'static str, &'static str)],
}

pub(crate) const fn broken(
    invariants: &'static [&'static str],
    statements: &'static [(&'static str, &'static str)],
) -> Break {
    Break { invariants, statements }
}

const APPLIED: &str = "every consumer has applied all that its sources published";
const DENSE: &str = "the positions of each log are dense";
const PROVES: &str = "each checkpoint is at an event that its source's log has";
const LOST: &str = "no consumer waits for the loss of events to be accepted";
const PARKED: &str = "no event is parked";
const OVERDUE: &str = "no task is overdue, and nothing is left half done";
const UNANSWERED: &str = "no idempotency key has waited for its answer for more than a minute";
const SUM: &str = "each ledger transaction sums to zero";
const BALANCE: &str = "each balance is the sum of its entries, and not below 0";
const DEPOSIT: &str = "each deposit's amount stands in exactly one place";
const PAYOUT: &str = "each payout has left where its money was, and is out, on its way, or back";
const HELD: &str = "what is held, and what is on its way out, is what the ledger says";
const PAYMENT: &str = "each payment that is DONE is in the ledger, once, and no other is";
const STOCK: &str =
    "each stock is initial + restocked − decreased + restored ± adjusted, and not below 0";
const ALLOCATION: &str = "each order moved the stock that its allocation says";
const CATALOGUE: &str = "order's copy of the catalogue is what product has";
const PAID: &str = "each paid order has one DONE payment, one stock decrease and one delivery";
const CANCELLED: &str =
    "each cancelled order has no live payment, no stock, no live delivery, no points";
const KNOWN: &str =
    "each cancelled order is known as such to payment, product, delivery and mileage";
const UNPAID: &str = "no order that is not paid has cost money or goods, or earned points";
const PLACED: &str = "no order is PLACED whose payment is decided, or missing";
const AWAITING: &str =
    "an order is AWAITING_DEPOSIT exactly when its payment is WAITING_FOR_DEPOSIT";
pub(crate) const SAME: &str = "each order's payment is the one that it names, and of its amount";
const MEMBER: &str = "what was done for an order was done for its member";
const EARNED: &str = "each DONE payment has earned its points, once";
pub(crate) const RATE: &str =
    "each payment's points are the rate's part of what is left of it, rounded down";
pub(crate) const MESSAGE: &str =
    "each approved payment has one message to marketing, and no other has";
const ONCE: &str =
    "one payment, allocation and delivery per order at most, one entry of points per payment";
pub(crate) const TOLD: &str =
    "each log has all events of what it tells about, and they say what is so";
const PAGE: &str = "My Page shows each order as order, payment and delivery say";
const POINTS: &str = "My Page shows each member, their coupons and points as they are";
const COUPON: &str = "no member who is WITHDRAWN has a coupon that is ISSUED";
const WELCOME: &str =
    "each member got one coupon, one message to the admin went out, and the flags say so";
const GONE: &str = "order knows each member who has withdrawn, and no other";
const REDEEMED: &str = "each coupon that is REDEEMED belongs to one order, which says so";
const KEPT: &str = "no order has a coupon or has spent points that is cancelled, or unknown";
const LOTS: &str =
    "each member's points are the sum of their entries, and what their lots have left";

/// The order that waits for its deposit, as if order had not heard that payment does.
const UNHEARD: [(&str, &str); 2] = [
    (
        "order",
        "update event set aggregate_id = gen_random_uuid() where type = 'OrderAwaitingDeposit'
           and aggregate_id in (select id from orders where state = 'AWAITING_DEPOSIT');
         update orders set state = 'PLACED', told = 'PLACED', deposit_requested = false,
           payment_id = null, event_version = 1
         where state = 'AWAITING_DEPOSIT'",
    ),
    (
        "mypage",
        "delete from milestone where state = 'AWAITING_DEPOSIT' and order_id in
           (select order_id from order_view where state = 'AWAITING_DEPOSIT');
         update order_view set state = 'PLACED' where state = 'AWAITING_DEPOSIT'",
    ),
];

pub(crate) const BREAKS: &[Break] = &[
    broken(
        &[APPLIED],
        &[(
            "delivery",
            "update checkpoint set position = 0, event_id = null where source = 'order'",
        )],
    ),
    broken(
        &[OVERDUE],
        &[(
            "order",
            "insert into task (kind, key, payload, due_at)
             values ('cancel-payment', gen_random_uuid(), '', now() - interval '61 seconds')",
        )],
    ),
    broken(
        &[OVERDUE],
        &[(
            "order",
            "update orders set state = 'CANCELLING', cancel_attempts = 1 where state = 'DELIVERING'",
        )],
    ),
    broken(
        &[UNANSWERED],
        &[(
            "payment",
            "insert into idempotency (caller, method, key, request_hash, resource_id, create_time)
             values ('a', 'b', 'c', '', gen_random_uuid(), now() - interval '61 seconds')",
        )],
    ),
    broken(
        &[SUM],
        &[(
            "payment",
            "update ledger_entry set amount_minor = amount_minor - 1 where account = 'CARD' and transaction_id in
               (select id from ledger_transaction where kind = 'TOP_UP')",
        )],
    ),
    broken(&[BALANCE], &[("payment", "update wallet set balance_minor = balance_minor + 1")]),
    broken(
        &[PAYMENT],
        &[(
            "payment",
            "update ledger_entry set account = 'BANK' where account = 'SALES' and transaction_id in
               (select id from ledger_transaction where kind = 'REFUND')",
        )],
    ),
    broken(
        &[DEPOSIT],
        &[("payment", "update deposit set matched_minor = matched_minor - 1 where state = 'MATCHED'")],
    ),
    broken(
        &[DEPOSIT],
        &[("payment", "update deposit set amount_minor = amount_minor + 1 where state = 'HELD'")],
    ),
    broken(
        &[DEPOSIT, HELD],
        &[("payment", "update deposit set state = 'CREDITED', held_minor = 0 where state = 'HELD'")],
    ),
    broken(
        &[PAYOUT, HELD],
        &[("payment", "update payout set state = 'REQUESTED' where state = 'SENT'")],
    ),
    broken(&[STOCK], &[("product", "update product set stock = stock + 1")]),
    broken(
        &[ALLOCATION],
        &[(
            "product",
            "with taken as (update stock_movement set quantity = quantity - 1
               where kind = 'DECREASED' returning product_id),
             sum as (select product_id, count(*)::int as units from taken group by product_id)
             update product set stock = stock - units from sum where id = product_id",
        )],
    ),
    broken(&[CATALOGUE], &[("order", "delete from catalogue where price_minor = 1000")]),
    broken(&[CATALOGUE], &[("order", "update catalogue set price_minor = price_minor + 1")]),
    broken(
        &[PAID],
        &[
            ("delivery", "delete from delivery where state = 'STARTED'"),
            ("mypage", "update order_view set delivery_state = '' where state = 'DELIVERING'"),
        ],
    ),
    broken(
        &[CANCELLED],
        &[
            ("delivery", "update delivery set state = 'STARTED' where state = 'CANCELLED'"),
            (
                "mypage",
                "update order_view set delivery_state = 'STARTED' where delivery_state = 'CANCELLED'",
            ),
        ],
    ),
    broken(
        &[CANCELLED],
        &[
            ("mileage", "update mileage_entry set state = 'EARNED' where state = 'CANCELLED'"),
            ("mypage", "update mileage_view set cancelled = false"),
        ],
    ),
    broken(&[KNOWN], &[("delivery", "delete from delivery where state = 'REFUSED'")]),
    broken(
        &[KNOWN, LOTS],
        &[
            ("mileage", "delete from mileage_entry where state = 'CANCELLED'"),
            ("mypage", "delete from mileage_view where cancelled"),
        ],
    ),
    broken(
        &[UNPAID],
        &[(
            "delivery",
            "insert into delivery (id, order_id, member_id, state)
             values (gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'STARTED')",
        )],
    ),
    broken(
        &[PLACED],
        &[
            UNHEARD[0],
            UNHEARD[1],
            ("mypage", "update order_view set payment_state = '' where state = 'PLACED'"),
            ("payment", "delete from payment where state = 'WAITING_FOR_DEPOSIT'"),
        ],
    ),
    broken(
        &[PLACED],
        &[
            UNHEARD[0],
            UNHEARD[1],
            ("mypage", "update order_view set payment_state = 'DECLINED' where state = 'PLACED'"),
            (
                "payment",
                "update payment set state = 'DECLINED' where state = 'WAITING_FOR_DEPOSIT';
                 update event set type = 'PaymentDeclined' where type = 'DepositRequested'
                   and aggregate_id in (select id from payment where state = 'DECLINED')",
            ),
        ],
    ),
    broken(&[AWAITING], &UNHEARD),
    broken(
        &[AWAITING],
        &[
            ("payment", "delete from payment where state = 'WAITING_FOR_DEPOSIT'"),
            ("mypage", "update order_view set payment_state = '' where state = 'AWAITING_DEPOSIT'"),
        ],
    ),
    broken(
        &[AWAITING, TOLD],
        &[("payment", "update payment set state = 'EXPIRED' where state = 'WAITING_FOR_DEPOSIT'")],
    ),
    broken(
        &[SAME],
        &[("order", "update orders set total_minor = total_minor + 1 where state = 'DELIVERING'")],
    ),
    broken(
        &[SAME],
        &[("order", "update orders set payment_id = gen_random_uuid() where state = 'DELIVERING'")],
    ),
    broken(
        &[SAME],
        &[("order", "update orders set payment_id = null where state = 'AWAITING_DEPOSIT'")],
    ),
    broken(
        &[MEMBER],
        &[(
            "payment",
            "update payment set member_id = gen_random_uuid() where state = 'WAITING_FOR_DEPOSIT'",
        )],
    ),
    broken(
        &[EARNED, LOTS],
        &[
            ("mileage", "delete from mileage_entry where state = 'EARNED'"),
            ("mypage", "delete from mileage_view where not cancelled"),
        ],
    ),
    broken(
        &[RATE, LOTS],
        &[
            ("mileage", "update mileage_entry set points = points + 1"),
            ("mypage", "update mileage_view set points = points + 1"),
        ],
    ),
    broken(
        &[MESSAGE],
        &[("notification", "delete from notification where audience = 'MARKETING'")],
    ),
    broken(
        &[MESSAGE, TOLD],
        &[(
            "notification",
            "insert into notification (id, audience, subject_id, body)
             values (gen_random_uuid(), 'MARKETING', gen_random_uuid(), '')",
        )],
    ),
    broken(
        &[ONCE],
        &[(
            "delivery",
            "alter table delivery drop constraint delivery_pkey;
             insert into delivery (id, order_id, member_id, state)
             select gen_random_uuid(), order_id, member_id, 'REFUSED' from delivery",
        )],
    ),
    broken(
        &[ONCE],
        &[(
            "mileage",
            "alter table mileage_entry drop constraint mileage_entry_pkey;
             insert into mileage_entry (id, payment_id, order_id, member_id, points, state)
             select gen_random_uuid(), payment_id, order_id, member_id, 0, 'REFUSED'
             from mileage_entry",
        )],
    ),
    broken(
        &[TOLD],
        &[(
            "delivery",
            "update event set aggregate_id = gen_random_uuid() where type = 'DeliveryStarted'",
        )],
    ),
    broken(
        &[TOLD],
        &[(
            "product",
            "update event set aggregate_id = gen_random_uuid() where type = 'StockDecreased'",
        )],
    ),
    broken(
        &[TOLD],
        &[(
            "product",
            "update event set aggregate_id = gen_random_uuid() where type = 'ProductRegistered'",
        )],
    ),
    broken(
        &[TOLD],
        &[(
            "mileage",
            "update event set aggregate_id = gen_random_uuid() where type = 'MileageCancelled'",
        )],
    ),
    broken(
        &[TOLD],
        &[(
            "coupon",
            "update event set aggregate_id = gen_random_uuid() where type = 'CouponIssued'",
        )],
    ),
    broken(
        &[TOLD],
        &[(
            "member",
            "update event set aggregate_id = gen_random_uuid() where type = 'MemberWithdrawn'",
        )],
    ),
    broken(
        &[TOLD],
        &[(
            "payment",
            "update event set aggregate_id = gen_random_uuid() where type = 'WalletToppedUp'",
        )],
    ),
    broken(
        &[MESSAGE, TOLD],
        &[
            (
                "payment",
                "update event set aggregate_id = gen_random_uuid() where type = 'PaymentApproved'",
            ),
            ("mypage", "update order_view v set payment_state = case when exists (select from milestone m
                 where m.order_id = v.order_id and m.state = 'AWAITING_DEPOSIT')
                   then 'WAITING_FOR_DEPOSIT' else '' end
                 where payment_state = 'DONE'"),
        ],
    ),
    broken(
        &[TOLD],
        &[
            ("order", "update event set aggregate_id = gen_random_uuid() where type = 'OrderPaid'"),
            ("mypage", "delete from milestone where state = 'PAID'"),
        ],
    ),
    broken(
        &[COUPON, GONE, TOLD],
        &[
            ("member", "update member set state = 'WITHDRAWN', withdraw_time = now()"),
            ("mypage", "update member_view set withdrawn = true"),
        ],
    ),
    broken(
        &[WELCOME],
        &[
            ("coupon", "delete from member_coupon where state = 'ISSUED'"),
            ("mypage", "delete from coupon_view where not cancelled"),
        ],
    ),
    broken(&[WELCOME], &[("coupon", "delete from coupon where state = 'ISSUED'")]),
    broken(
        &[REDEEMED],
        &[
            (
                "coupon",
                "update member_coupon set state = 'REDEEMED', order_id = gen_random_uuid()
                 where state = 'ISSUED'",
            ),
            ("mypage", "update coupon_view set state = 'REDEEMED' where state = 'ISSUED'"),
        ],
    ),
    broken(
        &[KEPT],
        &[
            (
                "coupon",
                "update member_coupon set state = 'REDEEMED', order_id = '00000000-0000-7000-8000-000000000000'
                 where state = 'ISSUED' and id = (select max(id::text)::uuid from member_coupon
                   where state = 'ISSUED');
                 insert into redemption (order_id, member_id, coupon_id, state)
                 select order_id, member_id, id, state from member_coupon where state = 'REDEEMED'",
            ),
            (
                "mypage",
                "update coupon_view set state = 'REDEEMED'
                 where coupon_id = (select max(coupon_id::text)::uuid from coupon_view
                   where state = 'ISSUED')",
            ),
        ],
    ),
    broken(
        &[KEPT],
        &[(
            "mileage",
            "insert into mileage_spend (order_id, member_id, entry_id, state)
             values (gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'SPENT')",
        )],
    ),
    broken(
        &[LOTS],
        &[
            ("mileage", "update mileage_lot set remaining = remaining - 1 where remaining > 0"),
            ("mypage", "update lot_view set remaining = remaining - 1 where remaining > 0"),
        ],
    ),
    broken(
        &[LOTS],
        &[(
            "mileage",
            "insert into mileage_account (member_id, debt) values (gen_random_uuid(), 1)",
        )],
    ),
    broken(&[POINTS], &[("mypage", "update lot_view set remaining = remaining + 1")]),
    broken(&[POINTS], &[("mypage", "delete from movement_view")]),
    broken(
        &[WELCOME],
        &[
            ("notification", "delete from notification where audience = 'ADMIN'"),
            ("mypage", "update member_view set admin_notified = false"),
        ],
    ),
    broken(&[WELCOME], &[("member", "update member set coupon_issued = false")]),
    broken(&[WELCOME], &[("member", "update member set admin_notified = false")]),
    broken(
        &[WELCOME],
        &[("member", "update member set coupon_cancelled = true where state = 'ACTIVE'")],
    ),
    broken(&[GONE], &[("order", "delete from withdrawn_member")]),
    broken(&[POINTS], &[("mypage", "update coupon_view set state = 'EXPIRED'")]),
    broken(&[POINTS], &[("mypage", "update mileage_view set points = points + 1")]),
    broken(&[POINTS], &[("mypage", "delete from mileage_view where cancelled")]),
    broken(&[POINTS], &[("mypage", "update member_view set admin_notified = false")]),
    broken(&[POINTS], &[("mypage", "update member_view set withdrawn = false")]),
    broken(&[POINTS], &[("mypage", "update member_view set registered = false")]),
    broken(&[PAGE], &[("mypage", "update order_view set payment_state = 'DECLINED'")]),
    broken(&[PAGE], &[("mypage", "update order_view set delivery_state = ''")]),
    broken(&[PAGE], &[("mypage", "update order_view set member_id = gen_random_uuid()")]),
    broken(&[PAGE], &[("mypage", "delete from milestone where state = 'PAID'")]),
    broken(&[PAGE], &[("mypage", "delete from milestone; delete from order_view")]),
    broken(&[DENSE], &[("order", "delete from event_position where position = 2")]),
    broken(
        &[DENSE],
        &[(
            "order",
            "delete from numbering where position = (select max(position) from numbering);
             insert into numbering values (1, pg_current_snapshot(), 0) on conflict do nothing",
        )],
    ),
    broken(
        &[DENSE, PROVES, TOLD],
        &[("coupon", "delete from event where id = (select max(id) from event)")],
    ),
    broken(
        &[PROVES],
        &[("delivery", "update checkpoint set event_id = gen_random_uuid() where position > 0")],
    ),
    broken(
        &[PROVES],
        &[("delivery", "update checkpoint set position = 1000000 where position > 0")],
    ),
    broken(
        &[LOST],
        &[(
            "delivery",
            "insert into log_loss (consumer, source, partition, applied, applied_id, common)
             values ('delivery', 'order', 7, 9, gen_random_uuid(), 8)",
        )],
    ),
    broken(
        &[PARKED],
        &[(
            "delivery",
            "insert into parked (consumer, source, position, correlation_id, type, message)
             values ('delivery', 'order', 1, gen_random_uuid(), 'OrderPlaced', '')",
        )],
    ),
];
