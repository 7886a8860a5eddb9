//! Where the pages are. Links are made here alone, so that none leads nowhere.

use std::fmt::Display;

pub(crate) const HOME: &str = "/";
pub(crate) const PRODUCT: &str = "/products/{product}";
pub(crate) const PICTURE: &str = "/pictures/{picture}";
pub(crate) const SIGN_IN: &str = "/sign-in";
pub(crate) const SIGN_UP: &str = "/sign-up";
pub(crate) const SIGN_OUT: &str = "/sign-out";
pub(crate) const LANGUAGE: &str = "/language";
pub(crate) const CART: &str = "/cart";
pub(crate) const CART_CHANGE: &str = "/cart/change";
pub(crate) const CHECKOUT: &str = "/checkout";
pub(crate) const MY: &str = "/my";
pub(crate) const LIVE: &str = "/my/live";
pub(crate) const MY_ORDERS: &str = "/my/orders";
pub(crate) const MY_ORDER: &str = "/my/orders/{order}";
pub(crate) const MY_ORDER_CANCEL: &str = "/my/orders/{order}/cancel";
pub(crate) const MY_ORDER_CONFIRM: &str = "/my/orders/{order}/confirm";
pub(crate) const MY_ORDER_CANCEL_LINES: &str = "/my/orders/{order}/cancel-lines";
pub(crate) const MY_ORDER_RETURN: &str = "/my/orders/{order}/return";
pub(crate) const MY_COUPONS: &str = "/my/coupons";
pub(crate) const MY_POINTS: &str = "/my/points";
pub(crate) const MY_WALLET: &str = "/my/wallet";
pub(crate) const MY_WALLET_TOP_UP: &str = "/my/wallet/top-up";
pub(crate) const MY_WALLET_PAY_OUT: &str = "/my/wallet/pay-out";
pub(crate) const MY_ADDRESSES: &str = "/my/addresses";
pub(crate) const MY_ADDRESS_DELETE: &str = "/my/addresses/{address}/delete";
pub(crate) const MY_ACCOUNT: &str = "/my/account";
pub(crate) const SELLER: &str = "/seller";
pub(crate) const SELLER_PRODUCTS: &str = "/seller/products";
pub(crate) const SELLER_NEW_PRODUCT: &str = "/seller/products/new";
pub(crate) const SELLER_PRODUCT: &str = "/seller/products/{product}";
pub(crate) const SELLER_PICTURE: &str = "/seller/products/{product}/picture";
pub(crate) const SELLER_STOCK: &str = "/seller/products/{product}/stock";
pub(crate) const SELLER_ORDERS: &str = "/seller/orders";
pub(crate) const SELLER_ORDER: &str = "/seller/orders/{order}";
pub(crate) const SELLER_ORDER_CANCEL: &str = "/seller/orders/{order}/cancel";
pub(crate) const SELLER_DEPOSITS: &str = "/seller/deposits";
pub(crate) const SELLER_DEPOSIT: &str = "/seller/deposits/{deposit}";
pub(crate) const SELLER_DEPOSIT_MATCH: &str = "/seller/deposits/{deposit}/match";
pub(crate) const SELLER_DEPOSIT_REFUND: &str = "/seller/deposits/{deposit}/refund";
pub(crate) const SELLER_DEPOSIT_CREDIT: &str = "/seller/deposits/{deposit}/credit";
pub(crate) const SELLER_CONFIRM: &str = "/seller/payments/{payment}/confirm";
pub(crate) const SELLER_DELIVERIES: &str = "/seller/deliveries";
pub(crate) const SELLER_DISPATCH: &str = "/seller/deliveries/{delivery}/dispatch";
pub(crate) const SELLER_DELIVERED: &str = "/seller/deliveries/{delivery}/delivered";
pub(crate) const SELLER_RETURNS: &str = "/seller/returns";
pub(crate) const SELLER_ACCEPT: &str = "/seller/returns/{return}/accept";
pub(crate) const SELLER_REJECT: &str = "/seller/returns/{return}/reject";
pub(crate) const ADMIN: &str = "/admin";
pub(crate) const ADMIN_MEMBERS: &str = "/admin/members";
pub(crate) const ADMIN_MEMBER: &str = "/admin/members/{member}";
pub(crate) const ADMIN_ROLE: &str = "/admin/members/{member}/role";
pub(crate) const ADMIN_WALLET: &str = "/admin/members/{member}/wallet";
pub(crate) const ADMIN_COUPONS: &str = "/admin/coupons";
pub(crate) const ADMIN_ISSUE: &str = "/admin/coupons/issue";
pub(crate) const ADMIN_TEMPLATES: &str = "/admin/templates";
pub(crate) const ADMIN_TEMPLATE: &str = "/admin/templates/{template}";
pub(crate) const ADMIN_MONEY: &str = "/admin/money";
pub(crate) const ADMIN_REFUND_RETRY: &str = "/admin/refunds/{refund}/retry";
pub(crate) const ADMIN_REFUND_SETTLE: &str = "/admin/refunds/{refund}/settle";
pub(crate) const ADMIN_STORY: &str = "/admin/orders";
pub(crate) const ADMIN_PARKED: &str = "/admin/parked";
pub(crate) const ADMIN_REPLAY: &str = "/admin/parked/replay";
pub(crate) const ADMIN_DISCARD: &str = "/admin/parked/discard";
pub(crate) const ADMIN_AUDIT: &str = "/admin/audit";
pub(crate) const OPS: &str = "/ops";

/// A path with its one `{name}` filled in; ids are letters, digits and hyphens.
pub(crate) fn to(pattern: &str, id: impl Display) -> String {
    let id = id.to_string();
    match (pattern.split_once('{'), pattern.split_once('}')) {
        (Some((before, _)), Some((_, after))) => format!("{before}{}{after}", escaped(&id)),
        _ => pattern.to_owned(),
    }
}

/// A path with a query; empty values are left out.
pub(crate) fn with(path: &str, query: &[(&str, &str)]) -> String {
    let mut pairs = form_urlencoded::Serializer::new(String::new());
    pairs.extend_pairs(query.iter().filter(|(_, value)| !value.is_empty()));
    match pairs.finish() {
        query if query.is_empty() => path.to_owned(),
        query => format!("{path}?{query}"),
    }
}

/// Where to go next, as a page was told: a path of this site, or the way home. What a browser could take
/// for another site's address is not.
pub(crate) fn local(next: &str) -> &str {
    let outside = next.contains(['\\', '\r', '\n', '\t']) || next.chars().any(char::is_control);
    if next.starts_with('/') && !next.starts_with("//") && !outside && next.is_ascii() {
        next
    } else {
        HOME
    }
}

fn escaped(segment: &str) -> String {
    form_urlencoded::byte_serialize(segment.as_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_the_pattern_filled_in() {
        assert_eq!(to(PRODUCT, "0198-a"), "/products/0198-a");
        assert_eq!(to(PRODUCT, "a/b?c"), "/products/a%2Fb%3Fc");
        assert_eq!(with(HOME, &[("query", "흰 쌀"), ("page", "")]), "/?query=%ED%9D%B0+%EC%8C%80");
    }

    #[test]
    fn nobody_is_sent_to_another_site() {
        for next in ["https://e.example", "//e.example", "/\\e.example", "/\t/e.example", "", "my"]
        {
            assert_eq!(local(next), HOME, "{next:?}");
        }
        assert_eq!(local("/my?page=2"), "/my?page=2");
    }
}
