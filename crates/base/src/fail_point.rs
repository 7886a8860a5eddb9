//! Fail points: where a test has the process die as in a power cut, between the
//! two commits of a call to another service. Each call between services passes
//! them, so no service knows of them.
//!
//! | point | has happened | has not |
//! |---|---|---|
//! | `asking:<method>` | the intermediate state is committed | the call |
//! | `answered:<method>` | the call, however it ended | the outcome is not committed |
//! | `served:<method>` | the outcome is committed | nobody has been answered |
//!
//! `testing.die_at` names one of them, `asking:/hansang.order.v1.OrderService/PlaceOrder`.
//! Without the feature `testing` there is no such setting, and a point is nothing.

#[cfg(feature = "testing")]
static DEATH: std::sync::OnceLock<String> = std::sync::OnceLock::new();

/// Has the process die at this point.
#[cfg(feature = "testing")]
pub fn arm(point: &str) {
    DEATH.get_or_init(|| point.to_owned());
}

/// Something else is about to be asked.
pub fn asking(whom: &str) {
    pass("asking", whom);
}

/// It has answered, or failed to.
pub fn answered(who: &str) {
    pass("answered", who);
}

/// A handler has done its work.
pub fn served(method: &str) {
    pass("served", method);
}

#[cfg(feature = "testing")]
fn pass(moment: &str, what: &str) {
    if DEATH.get().and_then(|point| point.split_once(':')) == Some((moment, what)) {
        tracing::warn!(moment, what, "fail point reached, process aborts");
        std::process::abort();
    }
}

#[cfg(not(feature = "testing"))]
fn pass(_: &str, _: &str) {}
