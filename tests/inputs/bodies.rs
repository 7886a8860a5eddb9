//! What several requests have in them, and how one field of a request is set.

use serde_json::{Value, json};

use crate::people::won;

/// On what terms coupons are issued: with an amount, or with the share that a field is of.
pub(crate) fn policy(field: &str) -> Value {
    let share = ["discount.percent", "discount.maximum"];
    let discount = if share.iter().any(|of| field.starts_with(of)) {
        json!({ "percent": 10, "maximum": won(1_000) })
    } else {
        json!({ "amount": won(1_000) })
    };
    json!({
        "displayName": "Coupon", "discount": discount, "minimumTotal": won(0), "validDays": 30,
    })
}

/// An address.
pub(crate) fn address() -> Value {
    json!({ "recipient": "Kim", "phone": "010-1234-5678", "postcode": "04524", "line1": "Seoul" })
}

/// A bank account.
pub(crate) fn account() -> Value {
    json!({ "bankCode": "004", "accountNumber": "110-234-567890", "holder": "Kim" })
}

/// Sets a field by its path: `lines[0].quantity`. A list is set by its number of entries.
pub(crate) fn set(request: &mut Value, field: &str, value: &Value) {
    let pointer = format!("/{}", field.replace("[0]", "/0").replace('.', "/"));
    let (parent, last) = pointer.rsplit_once('/').expect("a slash");
    if request.pointer(parent).is_none_or(Value::is_null) {
        let missing = parent.trim_start_matches('/');
        set(request, missing, &json!({}));
    }
    let parent = request.pointer_mut(parent).expect("is there now");
    let place = match last.parse::<usize>() {
        Ok(at) => &mut parent[at],
        Err(_) => &mut parent[last],
    };
    match (place.as_array(), value.as_u64()) {
        (Some(entries), Some(count)) => {
            let entry = entries.first().cloned().unwrap_or_default();
            *place = (0..count).map(|_| entry.clone()).collect();
        }
        _ => *place = value.clone(),
    }
}
