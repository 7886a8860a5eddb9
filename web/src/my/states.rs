//! States, as members read them: what they are called, and how they look.

use contracts::{
    coupon::v1::coupon,
    mileage::v1::mileage_entry,
    order::v1::{PaymentMethod, order, r#return as returned},
    payment::v1::{payout, refund, wallet_entry},
};

use crate::{lang::Text, view::Tone};

/// An order's.
pub(crate) fn order(state: order::State) -> (Tone, Text) {
    match state {
        order::State::Unspecified => (Tone::Plain, ("", "")),
        order::State::Placed => (Tone::Busy, ("주문접수", "Placed")),
        order::State::AwaitingDeposit => (Tone::Waiting, ("입금확인대기", "Awaiting deposit")),
        order::State::Paid => (Tone::Busy, ("입금확인완료", "Paid")),
        order::State::Prepared => (Tone::Busy, ("상품준비완료", "Prepared")),
        order::State::Delivering => (Tone::Busy, ("배송중", "On its way")),
        order::State::Delivered => (Tone::Waiting, ("배송완료", "Delivered")),
        order::State::Closed => (Tone::Good, ("수령확인", "Received")),
        order::State::Cancelling => (Tone::Bad, ("취소 처리 중", "Being cancelled")),
        order::State::Cancelled => (Tone::Bad, ("주문취소", "Cancelled")),
    }
}

/// Why an order was cancelled.
pub(super) fn reason(reason: order::CancelReason) -> Text {
    match reason {
        order::CancelReason::Unspecified => ("", ""),
        order::CancelReason::MemberRequest => ("직접 취소함", "You cancelled it"),
        order::CancelReason::OutOfStock => ("재고 부족", "Out of stock"),
        order::CancelReason::InsufficientBalance => ("지갑 잔액 부족", "Too little in the wallet"),
        order::CancelReason::DepositExpired => {
            ("입금 기한 지남", "The deposit did not come in time")
        }
        order::CancelReason::CardDeclined => ("카드 승인 거절", "The card was declined"),
        order::CancelReason::MemberWithdrawn => ("회원 탈퇴", "The member left"),
        order::CancelReason::ShopRequest => ("판매자가 취소함", "The shop cancelled it"),
    }
}

/// How an order is paid.
pub(crate) fn method(method: PaymentMethod) -> Text {
    match method {
        PaymentMethod::Unspecified => ("", ""),
        PaymentMethod::Card => ("카드", "Card"),
        PaymentMethod::Wallet => ("지갑", "Wallet"),
        PaymentMethod::BankTransfer => ("계좌이체", "Bank transfer"),
    }
}

pub(super) fn coupon(state: coupon::State) -> (Tone, Text) {
    match state {
        coupon::State::Unspecified => (Tone::Plain, ("", "")),
        coupon::State::Issued => (Tone::Good, ("사용 가능", "Good to use")),
        coupon::State::Cancelled => (Tone::Plain, ("취소됨", "Cancelled")),
        coupon::State::Redeemed => (Tone::Plain, ("사용 완료", "Used")),
        coupon::State::Expired => (Tone::Plain, ("기간 만료", "Expired")),
    }
}

pub(super) fn entry(kind: mileage_entry::Kind) -> Text {
    match kind {
        mileage_entry::Kind::Unspecified => ("", ""),
        mileage_entry::Kind::Earn => ("적립", "Earned"),
        mileage_entry::Kind::Spend => ("사용", "Spent"),
        mileage_entry::Kind::Restore => ("사용 취소", "Given back"),
        mileage_entry::Kind::Revoke => ("적립 취소", "Taken back"),
        mileage_entry::Kind::Expire => ("소멸", "Expired"),
    }
}

pub(super) fn movement(kind: wallet_entry::Kind) -> Text {
    match kind {
        wallet_entry::Kind::Unspecified => ("", ""),
        wallet_entry::Kind::TopUp => ("충전", "Top-up"),
        wallet_entry::Kind::Payment => ("결제", "Payment"),
        wallet_entry::Kind::Refund => ("환불", "Refund"),
        wallet_entry::Kind::Adjustment => ("조정", "Adjustment"),
        wallet_entry::Kind::Payout => ("출금", "Payout"),
        wallet_entry::Kind::PayoutFailed => ("출금 실패로 되돌림", "Payout came back"),
        wallet_entry::Kind::Credit => ("입금액 적립", "Deposit credited"),
    }
}

pub(crate) fn payout(state: payout::State) -> (Tone, Text) {
    match state {
        payout::State::Unspecified => (Tone::Plain, ("", "")),
        payout::State::Requested => (Tone::Busy, ("처리 중", "Under way")),
        payout::State::Sent => (Tone::Good, ("송금 완료", "Sent")),
        payout::State::Failed => (Tone::Bad, ("실패", "Failed")),
    }
}

pub(super) fn returned(state: returned::State) -> (Tone, Text) {
    match state {
        returned::State::Unspecified => (Tone::Plain, ("", "")),
        returned::State::Requested => (Tone::Waiting, ("반품신청", "Asked for")),
        returned::State::Accepted => (Tone::Good, ("반품완료", "Accepted")),
        returned::State::Rejected => (Tone::Bad, ("반품거절", "Rejected")),
        returned::State::Cancelled => (Tone::Plain, ("주문취소", "Order cancelled")),
    }
}

pub(super) fn refund(state: refund::State) -> (Tone, Text) {
    match state {
        refund::State::Unspecified => (Tone::Plain, ("", "")),
        refund::State::Refunding | refund::State::Failed => (Tone::Busy, ("환불중", "On its way")),
        refund::State::Refunded => (Tone::Good, ("환불완료", "Refunded")),
    }
}
