//! The words that notifications go by elsewhere: in events, and in the database,
//! where audiences have their names from the contract.

use contracts::notification::v1::{
    NotificationEvent, NotificationSent, notification::Audience as Wire, notification_event::Event,
};
use prost::Message as _;

use crate::{domain::Audience, store::Notification};

/// The event of a message that was sent: its name and its encoded message. Those for marketing and for
/// members, some per order, have names of their own: who follows the others is spared them.
pub(crate) fn sent(notification: &Notification) -> (&'static str, Vec<u8>) {
    let event = Event::NotificationSent(NotificationSent {
        notification_id: notification.id.to_string(),
        audience: audience(notification.audience).into(),
        subject_id: notification.subject.to_string(),
    });
    let name = match notification.audience {
        Audience::Marketing => "MarketingNotificationSent",
        Audience::Member => "MemberNotificationSent",
        Audience::Admin => "NotificationSent",
    };
    (name, NotificationEvent { frame: None, event: Some(event) }.encode_to_vec())
}

/// An audience on the wire.
pub(crate) fn audience(audience: Audience) -> Wire {
    match audience {
        Audience::Admin => Wire::Admin,
        Audience::Marketing => Wire::Marketing,
        Audience::Member => Wire::Member,
    }
}
