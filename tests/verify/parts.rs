//! The same of what went back in parts.

use super::breaks::{Break, RATE, SAME, TOLD, broken};

const PARTS: &str =
    "each payment is what method and wallet keep of it, and what went back to each in parts";
const HELD: &str = "what is held, and what is on its way out, is what the ledger says";
const TAKEN: &str = "each order's lines say what its cancellations and returns took, at its price";
const SHARE: &str = "each part of an order gave back what it bears of the payment, once";
const RETURNED: &str = "what came back of an order's points, and was taken back of a payment's, is what the entries say";

pub(crate) const BREAKS: &[Break] = &[
    broken(
        &[HELD],
        &[(
            "payment",
            "insert into refund (id, order_id, void, member_id, tender, amount_minor, state)
             select id, order_id, true, member_id, 'CARD', 1, 'FAILED' from payment limit 1",
        )],
    ),
    broken(
        &[PARTS],
        &[(
            "payment",
            "update payment set refunded_minor = 1
             where state = 'DONE' and method <> 'BANK_TRANSFER'",
        )],
    ),
    broken(
        &[PARTS],
        &[("payment", "update payment set wallet_refunded_minor = 1 where state = 'CANCELLED'")],
    ),
    broken(
        &[PARTS, SAME, SHARE, TOLD],
        &[(
            "payment",
            "insert into payment_part (id, order_id, amount_minor, wallet_minor, unpaid)
             select gen_random_uuid(), order_id, 1, 0, false from payment where state = 'DONE'",
        )],
    ),
    broken(
        &[SHARE, TOLD],
        &[(
            "payment",
            "insert into payment_part (id, order_id, amount_minor, wallet_minor, unpaid)
             select gen_random_uuid(), order_id, 0, 0, true from payment where state = 'DONE'",
        )],
    ),
    broken(
        &[TAKEN],
        &[(
            "order",
            "update orders set cancelled_quantities = array_fill(0, array[cardinality(quantities)]),
               returned_quantities = array_fill(0, array[cardinality(quantities)]),
               open_quantities = array_fill(0, array[cardinality(quantities)]);
             update orders set cancelled_quantities[1] = 1 where state = 'CANCELLED'",
        )],
    ),
    broken(
        &[SHARE, TAKEN],
        &[(
            "order",
            "insert into order_part (id, order_id, member_id, kind, state, line_numbers, quantities,
               reason, coupon_shares, points_shares, wallet_shares, payable_shares)
             select gen_random_uuid(), id, member_id, 'CANCEL', 'DONE', '{0}', '{1}', '', '{0}', '{0}',
               '{0}', array[unit_prices_minor[1]]
             from orders where state = 'CANCELLED'",
        )],
    ),
    broken(
        &[RETURNED],
        &[(
            "mileage",
            "insert into mileage_spend (order_id, member_id, entry_id, state, points)
             values (gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'RELEASED', 1)",
        )],
    ),
    broken(
        &[RETURNED],
        &[(
            "mileage",
            "update mileage_lot set revoked = 1
             where entry_id in (select id from mileage_entry where state = 'EARNED')",
        )],
    ),
    broken(
        &[RATE, RETURNED],
        &[(
            "mileage",
            "update mileage_entry set taken_back = 1 where state = 'EARNED' and points > 0",
        )],
    ),
];
