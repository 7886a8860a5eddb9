//! States as those who work at the shop read them. An order's and a payout's are called what members
//! call them.

use contracts::{delivery::v1::delivery, order::v1::r#return, payment::v1::deposit};

use crate::{lang::Text, view::Tone};

pub(crate) use crate::my::states::{method, order, payout};

pub(crate) fn delivery(state: delivery::State) -> (Tone, Text) {
    match state {
        delivery::State::Unspecified => (Tone::Plain, ("", "")),
        delivery::State::Started => (Tone::Waiting, ("발송 대기", "To be dispatched")),
        delivery::State::Dispatched => (Tone::Busy, ("배송중", "On its way")),
        delivery::State::Delivered => (Tone::Good, ("배송완료", "Delivered")),
        delivery::State::Completed => (Tone::Good, ("수령확인", "Received")),
        delivery::State::Cancelled => (Tone::Bad, ("취소", "Cancelled")),
    }
}

pub(crate) fn deposit(state: deposit::State) -> (Tone, Text) {
    match state {
        deposit::State::Unspecified => (Tone::Plain, ("", "")),
        deposit::State::Matched => (Tone::Good, ("결제에 반영", "Matched")),
        deposit::State::Held => (Tone::Waiting, ("보류", "Held")),
        deposit::State::Refunding => (Tone::Busy, ("환불중", "On its way back")),
        deposit::State::Refunded => (Tone::Good, ("환불완료", "Refunded")),
        deposit::State::Credited => (Tone::Good, ("지갑에 적립", "Credited")),
    }
}

/// Why a deposit is held.
pub(crate) fn held(reason: deposit::HeldReason) -> Text {
    match reason {
        deposit::HeldReason::Unspecified => ("", ""),
        deposit::HeldReason::Unmatched => ("맞는 결제 없음", "No payment fits"),
        deposit::HeldReason::Short => ("금액 부족", "Too little"),
        deposit::HeldReason::Excess => ("금액 초과", "Too much"),
        deposit::HeldReason::Late => ("기한 지남", "Too late"),
        deposit::HeldReason::Duplicate => ("이미 결제됨", "Paid already"),
        deposit::HeldReason::OutOfStock => ("재고 부족", "Out of stock"),
        deposit::HeldReason::OrderCancelled => ("취소된 주문", "Order cancelled"),
    }
}

pub(crate) fn returned(state: r#return::State) -> (Tone, Text) {
    match state {
        r#return::State::Unspecified => (Tone::Plain, ("", "")),
        r#return::State::Requested => (Tone::Waiting, ("반품신청", "Requested")),
        r#return::State::Accepted => (Tone::Good, ("반품완료", "Accepted")),
        r#return::State::Rejected => (Tone::Bad, ("반품거절", "Rejected")),
        r#return::State::Cancelled => (Tone::Bad, ("주문취소", "Order cancelled")),
    }
}
