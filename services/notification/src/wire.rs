//! How notifications and templates look elsewhere: on the wire, and in events. Audiences have their names in
//! the database from the contract.

use contracts::notification::v1::{
    self as pb, NotificationSent, notification::Audience as Wire, notification_event::Event,
};

use crate::{
    domain::Audience,
    store::{Notification, Worded},
};

/// A notification on the wire.
pub(crate) fn notification(notification: &Notification) -> pb::Notification {
    pb::Notification {
        id: notification.id.to_string(),
        audience: audience(notification.audience).into(),
        subject_id: notification.subject.to_string(),
        body: notification.body.clone(),
        create_time: Some(notification.create_time.into()),
    }
}

/// A template on the wire.
pub(crate) fn template(worded: &Worded) -> pb::NotificationTemplate {
    pb::NotificationTemplate {
        template: worded.template.name().to_owned(),
        body: worded.body.as_str().to_owned(),
        etag: etag(worded),
    }
}

/// Changes with every change of a template.
pub(crate) fn etag(worded: &Worded) -> String {
    worded.version.to_string()
}

/// An audience on the wire.
fn audience(audience: Audience) -> Wire {
    match audience {
        Audience::Admin => Wire::Admin,
        Audience::Marketing => Wire::Marketing,
        Audience::Member => Wire::Member,
    }
}

/// The event of a message that was sent.
pub(crate) fn event(notification: &Notification) -> Event {
    Event::NotificationSent(NotificationSent {
        notification_id: notification.id.to_string(),
        audience: audience(notification.audience).into(),
        subject_id: notification.subject.to_string(),
    })
}

/// The name that such an event has. Those for marketing and for members, some per order, have names of
/// their own: who follows the others is spared them.
pub(crate) fn kind(audience: Audience) -> &'static str {
    match audience {
        Audience::Marketing => "MarketingNotificationSent",
        Audience::Member => "MemberNotificationSent",
        Audience::Admin => "NotificationSent",
    }
}
