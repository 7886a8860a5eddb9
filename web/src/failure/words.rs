//! Reasons and rules, as people read them. A reason that is not here is said by its kind.

use crate::lang::{Lang, Text};

/// What a reason means, and what to do.
pub(super) fn of(reason: &str) -> Option<Text> {
    REASONS.iter().find(|(known, ..)| *known == reason).map(|(_, ko, en)| (*ko, *en))
}

/// That somebody has asked too often, or guessed too many passwords, and when to come back.
pub(super) fn too_much(guessed: bool, seconds: u64, lang: Lang) -> String {
    let (ko, en) = if guessed {
        ("비밀번호를 여러 번 틀렸습니다.", "Too many wrong passwords.")
    } else {
        ("요청이 너무 많습니다.", "Too many requests.")
    };
    let (in_ko, in_en) = match seconds {
        0..=60 => (format!("{seconds}초"), format!("{seconds} s")),
        _ => (format!("{}분", seconds.div_ceil(60)), format!("{} min", seconds.div_ceil(60))),
    };
    lang.pick(
        format!("{ko} {in_ko} 뒤에 다시 시도해 주세요."),
        format!("{en} Please try again in {in_en}."),
    )
}

/// What somebody else has put into a field.
pub(super) fn now(text: &str, lang: Lang) -> String {
    let text = if text.is_empty() { lang.pick("비어 있음", "nothing") } else { text };
    lang.pick(format!("지금 저장된 값: {text}"), format!("Saved now: {text}"))
}

/// What would be right, of a field. The API's rules are in English.
pub(super) fn rule(rule: &str, lang: Lang) -> String {
    if lang == Lang::En {
        return rule.to_owned();
    }
    let rest = rule.strip_prefix("must be ").or_else(|| rule.strip_prefix("must have "));
    let rest = rest.unwrap_or_default();
    let (range, unit) = match rest.split_once(" characters") {
        Some((range, _)) => (range, "자"),
        None => (rest, ""),
    };
    let number = |it: &&str| it.starts_with(|first: char| first.is_ascii_digit() || first == '-');
    let most = range.strip_prefix("at most ").filter(number);
    let both = range.split_once(" to ").filter(|(from, to)| number(from) && number(to));
    match (rule, both, most) {
        ("is required", ..) => "꼭 필요한 항목입니다.".to_owned(),
        (_, Some(("1", to)), _) if unit == "자" => format!("{to}자 이하로 꼭 입력해 주세요."),
        (_, Some((from, to)), _) => format!("{from}{unit} 이상 {to}{unit} 이하로 입력해 주세요."),
        (_, None, Some(most)) => format!("{most}{unit} 이하로 입력해 주세요."),
        (_, None, None) => "올바른 값을 입력해 주세요.".to_owned(),
    }
}

/// Reason, Korean, English.
const REASONS: &[(&str, &str, &str)] = &[
    (
        "ACQUIRER_UNAVAILABLE",
        "카드사가 응답하지 않습니다. 결제되지 않았으니 잠시 뒤에 다시 시도해 주세요.",
        "The card company does not answer. You were not charged; please try again in a moment.",
    ),
    (
        "ADDRESSES_FULL",
        "배송지는 20개까지 저장할 수 있습니다. 쓰지 않는 배송지를 지워 주세요.",
        "You can keep 20 addresses. Please delete one first.",
    ),
    (
        "ALREADY_DISPATCHED",
        "이미 다른 송장으로 발송되었습니다.",
        "It went with another parcel already.",
    ),
    (
        "CARD_DECLINED",
        "카드 승인이 거절되었습니다. 다른 카드나 결제 수단을 골라 주세요.",
        "The card was declined. Please choose another card or way to pay.",
    ),
    (
        "CATALOGUE_LAGGING",
        "상품 정보를 준비하고 있습니다. 잠시 뒤에 다시 시도해 주세요.",
        "The product is being made ready. Please try again in a moment.",
    ),
    (
        "CHECKOUT_PENDING",
        "앞선 주문에 쓴 쿠폰이나 포인트를 되돌리고 있습니다. 잠시 뒤에 다시 시도해 주세요.",
        "The coupon, points or balance of an earlier order is on its way back. Please try again in a moment.",
    ),
    ("COUPON_CANCELLED", "취소된 쿠폰입니다.", "This coupon was cancelled."),
    (
        "COUPON_EXPIRED",
        "유효기간이 지난 쿠폰입니다. 쿠폰 없이 주문하거나 다른 쿠폰을 골라 주세요.",
        "This coupon has expired. Order without it, or choose another.",
    ),
    (
        "COUPON_MINIMUM",
        "쿠폰의 최소 주문 금액보다 적습니다.",
        "The goods cost less than the coupon asks for.",
    ),
    ("COUPON_REDEEMED", "이미 사용한 쿠폰입니다.", "This coupon has been used already."),
    (
        "DEPOSIT_CONFIRMED",
        "입금이 확인된 주문은 직접 취소할 수 없습니다. 판매자에게 문의해 주세요.",
        "The deposit is confirmed, so you cannot cancel it yourself. Please ask the seller.",
    ),
    ("DEPOSIT_EXPIRED", "입금 기한이 지났습니다.", "The time for the deposit is over."),
    (
        "DEPOSIT_NOT_HELD",
        "보류 중인 입금이 아닙니다. 목록을 새로 고쳐 주세요.",
        "This deposit is not held any more. Please look at the list again.",
    ),
    (
        "EMAIL_TAKEN",
        "이미 가입된 이메일입니다. 로그인하거나 다른 이메일을 써 주세요.",
        "This address has signed up already. Sign in, or use another.",
    ),
    (
        "FOREIGN_FORM",
        "다른 사이트에서 보낸 요청이라 처리하지 않았습니다.",
        "This was sent by another site, so nothing was done.",
    ),
    (
        "IDEMPOTENCY_KEY_REUSED",
        "같은 양식이 다른 내용으로 이미 전송되었습니다. 다시 한번 보내 주세요.",
        "This form was sent before with something else in it. Please send it again.",
    ),
    (
        "INSUFFICIENT_BALANCE",
        "지갑 잔액이 부족합니다. 충전한 뒤 다시 시도해 주세요.",
        "There is too little in your wallet. Top it up, then try again.",
    ),
    ("INSUFFICIENT_POINTS", "포인트가 부족합니다.", "You have too few points."),
    ("INSUFFICIENT_STOCK", "재고가 0보다 작아질 수 없습니다.", "The stock cannot be less than 0."),
    ("INVALID_FIELD", "입력한 내용을 확인해 주세요.", "Please check what you entered."),
    ("MEMBER_WITHDRAWN", "탈퇴한 회원입니다.", "This member has left."),
    ("NOT_DISPATCHED", "아직 발송되지 않았습니다.", "It has not been dispatched yet."),
    (
        "NOT_FOUND",
        "찾을 수 없습니다. 주소를 확인하거나 처음 화면으로 가 주세요.",
        "There is nothing here. Check the address, or go to the front page.",
    ),
    ("NOT_DELIVERING", "아직 배송이 시작되지 않았습니다.", "The delivery has not started yet."),
    (
        "LINES_TAKEN",
        "남은 수량보다 많습니다. 수량을 확인해 주세요.",
        "That is more than is left. Please check the numbers.",
    ),
    ("NOT_DELIVERED", "아직 배송이 끝나지 않았습니다.", "It has not arrived yet."),
    ("NOT_ON_SALE", "지금은 판매하지 않는 상품입니다.", "This product is not on sale now."),
    (
        "OPEN_ORDERS",
        "진행 중인 주문이 있어 탈퇴할 수 없습니다. 주문이 끝난 뒤에 다시 시도해 주세요.",
        "An order is under way. You can leave once it has ended.",
    ),
    ("ORDER_CANCELLED", "이미 취소된 주문입니다.", "This order is cancelled already."),
    ("ORDER_CANCELLING", "취소가 진행 중인 주문입니다.", "This order is being cancelled."),
    (
        "ORDER_CLOSED",
        "이미 수령이 확인된 주문입니다.",
        "The receipt of this order is confirmed already.",
    ),
    (
        "ORDER_DISPATCHED",
        "이미 발송된 주문은 취소할 수 없습니다.",
        "It has been dispatched, so it cannot be cancelled.",
    ),
    (
        "OUTCOME_PENDING",
        "처리하고 있습니다. 끝나면 이 주문에 표시됩니다.",
        "It is under way. You will see here when it is done.",
    ),
    (
        "OUT_OF_STOCK",
        "재고가 부족합니다. 수량을 줄여 주세요.",
        "There are too few left. Please take fewer.",
    ),
    (
        "PAYMENT_PENDING",
        "결제를 확인하고 있습니다. 잠시 뒤에 다시 시도해 주세요.",
        "The payment is being looked at. Please try again in a moment.",
    ),
    (
        "PRICE_CHANGED",
        "그사이 가격이 바뀌었습니다. 금액을 확인하고 다시 주문해 주세요.",
        "The price has changed meanwhile. Check the amounts, and order again.",
    ),
    (
        "REFUND_NOT_FAILED",
        "이미 진행 중이거나 끝난 환불입니다.",
        "This refund is on its way already, or done.",
    ),
    (
        "REFUND_UNDER_WAY",
        "카드사에 확인하고 있습니다. 잠시 뒤에 다시 시도해 주세요.",
        "The acquirer is being asked just now. Please try again in a moment.",
    ),
    ("RETURN_ACCEPTED", "이미 승인된 반품입니다.", "This return is accepted already."),
    ("RETURN_PERIOD_OVER", "반품 기한이 지났습니다.", "The time for returns is over."),
    ("RETURN_REJECTED", "이미 거절된 반품입니다.", "This return is rejected already."),
    ("ROLE_REQUIRED", "이 화면을 볼 권한이 없습니다.", "This page is for others."),
    (
        "STALE_ETAG",
        "그사이 다른 사람이 바꾸었습니다. 지금 저장된 값을 확인하고, 그래도 바꾸려면 한 번 더 저장해 주세요.",
        "Somebody else has changed it meanwhile. See what is saved now; to replace it with yours, save again.",
    ),
    (
        "STALE_FORM",
        "양식이 오래되어 처리하지 않았습니다. 한 번 더 보내 주세요.",
        "The form was out of date, so nothing was done. Please send it again.",
    ),
    ("STOCK_FULL", "재고가 너무 많습니다.", "That would be too many."),
    ("WALLET_FULL", "지갑에 더 넣을 수 없습니다.", "The wallet cannot hold more."),
    (
        "WALLET_NOT_EMPTY",
        "지갑에 잔액이 있어 탈퇴할 수 없습니다. 먼저 출금해 주세요.",
        "There is money in your wallet. Pay it out first, then leave.",
    ),
    (
        "WRONG_CREDENTIALS",
        "이메일이나 비밀번호가 맞지 않습니다.",
        "The address or the password is wrong.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_said_in_korean() {
        let ko = |text| rule(text, Lang::Ko);
        let password = "must have 8 to 128 characters and at most 512 bytes";
        assert_eq!(ko(password), "8자 이상 128자 이하로 입력해 주세요.");
        let name = "must have 1 to 100 characters and at most 400 bytes";
        assert_eq!(ko(name), "100자 이하로 꼭 입력해 주세요.");
        let memo = "must have at most 200 characters and 800 bytes";
        assert_eq!(ko(memo), "200자 이하로 입력해 주세요.");
        assert_eq!(ko("must be 1 to 1,000"), "1 이상 1,000 이하로 입력해 주세요.");
        assert_eq!(ko("must be a UUID"), "올바른 값을 입력해 주세요.");
    }
}
