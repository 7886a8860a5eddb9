//! What a member may do with an order, and what the page calls things: no clock, no network, no SQL. The words are
//! those of the contracts, since My Page decides nothing that others have not said.

#![warn(clippy::arithmetic_side_effects, reason = "pieces that overflow are shown wrongly")]

pub(crate) mod taken;

use contracts::{
    delivery::v1::delivery,
    mypage::v1::order_view,
    order::v1::{PaymentMethod, order},
    payment::v1::payment,
};

base::id!(
    /// Identifies an order; of the order context.
    OrderId
);
base::id!(
    /// Identifies a member; of the member context.
    MemberId
);
base::id!(
    /// Identifies a payment; of the payment context.
    PaymentId
);
base::id!(
    /// Identifies what of a payment goes back; of the payment context.
    RefundId
);
base::id!(
    /// Identifies a coupon; of the coupon context.
    CouponId
);
base::id!(
    /// Identifies an entry of points; of the mileage context.
    EntryId
);

/// What of an order is not taken back.
#[derive(Clone, Copy)]
pub(crate) struct Rest {
    /// Pieces are left that nobody wants back.
    pub(crate) left: bool,
    /// A return may still be asked for.
    pub(crate) returnable: bool,
}

/// What the member may do with an order: order's rules, as My Page has heard of it.
pub(crate) fn allowed(
    state: order::State,
    method: PaymentMethod,
    delivery: delivery::State,
    rest: Rest,
) -> Vec<order_view::Action> {
    use order_view::Action;
    let dispatched = matches!(
        delivery,
        delivery::State::Dispatched | delivery::State::Delivered | delivery::State::Completed
    );
    let transfer = method == PaymentMethod::BankTransfer;
    let returns = (rest.left && rest.returnable).then_some(Action::RequestReturn);
    let lines = rest.left.then_some(Action::CancelLines);
    let cancel = [Some(Action::Cancel), lines];
    let actions = match state {
        order::State::AwaitingDeposit => [cancel.as_slice(), &[Some(Action::PayDeposit)]].concat(),
        order::State::Paid | order::State::Prepared if transfer => Vec::new(),
        order::State::Placed => vec![Some(Action::Cancel)],
        order::State::Paid | order::State::Prepared => cancel.to_vec(),
        order::State::Delivering if transfer || dispatched => vec![Some(Action::ConfirmReceipt)],
        order::State::Delivering => [cancel.as_slice(), &[Some(Action::ConfirmReceipt)]].concat(),
        order::State::Delivered => vec![Some(Action::ConfirmReceipt), returns],
        order::State::Closed => vec![returns],
        order::State::Unspecified | order::State::Cancelling | order::State::Cancelled => {
            Vec::new()
        }
    };
    actions.into_iter().flatten().collect()
}

/// What the page calls a payment's state.
pub(crate) fn payment_label(state: payment::State) -> &'static str {
    match state {
        payment::State::Authorising => "결제승인중",
        payment::State::WaitingForDeposit => "입금대기",
        payment::State::Confirming => "입금확인중",
        payment::State::Done => "결제완료",
        payment::State::Declined => "결제거절",
        payment::State::Cancelled => "결제취소",
        payment::State::Expired => "입금기한만료",
        payment::State::Unspecified => "",
    }
}

/// What the page calls an order's state.
pub(crate) fn label(state: order::State) -> String {
    match state {
        order::State::Placed => "주문접수",
        order::State::AwaitingDeposit => "입금확인대기",
        order::State::Paid => "입금확인완료",
        order::State::Prepared => "상품준비완료",
        order::State::Delivering => "배송중",
        order::State::Delivered => "배송완료",
        order::State::Closed => "수령확인",
        order::State::Cancelled => "주문취소",
        // Never a milestone.
        order::State::Unspecified | order::State::Cancelling => "",
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_done_is_what_order_would_not_refuse() {
        use order_view::Action::{Cancel, CancelLines, ConfirmReceipt, PayDeposit, RequestReturn};
        let (card, transfer) = (PaymentMethod::Card, PaymentMethod::BankTransfer);
        let (none, started) = (delivery::State::Unspecified, delivery::State::Started);
        let rest = Rest { left: true, returnable: true };
        for (state, method, delivery, actions) in [
            (order::State::Placed, card, none, &[Cancel][..]),
            (order::State::AwaitingDeposit, transfer, none, &[Cancel, CancelLines, PayDeposit]),
            (order::State::Prepared, card, none, &[Cancel, CancelLines]),
            (order::State::Prepared, transfer, none, &[]),
            (order::State::Delivering, card, started, &[Cancel, CancelLines, ConfirmReceipt]),
            (order::State::Delivering, transfer, started, &[ConfirmReceipt]),
            (order::State::Delivering, card, delivery::State::Dispatched, &[ConfirmReceipt]),
            (
                order::State::Delivered,
                card,
                delivery::State::Delivered,
                &[ConfirmReceipt, RequestReturn],
            ),
            (order::State::Closed, card, delivery::State::Completed, &[RequestReturn]),
            (order::State::Cancelled, card, delivery::State::Cancelled, &[]),
        ] {
            assert_eq!(allowed(state, method, delivery, rest), actions, "{state:?} {method:?}");
        }
        let (closed, completed) = (order::State::Closed, delivery::State::Completed);
        for rest in [Rest { left: false, ..rest }, Rest { returnable: false, ..rest }] {
            assert_eq!(allowed(closed, card, completed, rest), []);
        }
    }
}
