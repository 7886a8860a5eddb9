//! What is told to whom, and in which words: no clock, no network, no SQL.

#![warn(clippy::arithmetic_side_effects, reason = "the same in every domain")]

use std::{
    borrow::Cow,
    time::{SystemTime, UNIX_EPOCH},
};

use base::{Error, Money, Refuse, error::Kind, id::Uuid, input::Text};
use time::{OffsetDateTime, UtcOffset};

base::id!(
    /// Identifies a notification.
    NotificationId
);
base::id!(
    /// Identifies a member; of the member context.
    MemberId
);
base::id!(
    /// Identifies an order; of the order context.
    OrderId
);
base::id!(
    /// Identifies what earned points; of the mileage context.
    EntryId
);

/// Who is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Audience {
    /// Whoever runs the shop.
    Admin,
    /// Members who buy.
    Marketing,
    /// One member, about their own matters.
    Member,
}

pg::names!(Audience, constraint notification_audience:
    Admin = "ADMIN", Marketing = "MARKETING", Member = "MEMBER");

/// A kind of message, whose text can be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Template {
    MemberRegistered,
    PaymentApproved,
    DeliveryDispatched,
    DeliveryDelivered,
    PointsExpiring,
}

impl Template {
    const ALL: [Self; 5] = [
        Self::MemberRegistered,
        Self::PaymentApproved,
        Self::DeliveryDispatched,
        Self::DeliveryDelivered,
        Self::PointsExpiring,
    ];

    /// The template of this name, if there is one.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.name() == name)
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::MemberRegistered => "member-registered",
            Self::PaymentApproved => "payment-approved",
            Self::DeliveryDispatched => "delivery-dispatched",
            Self::DeliveryDelivered => "delivery-delivered",
            Self::PointsExpiring => "points-expiring",
        }
    }

    /// An occasion for a message of this kind.
    const fn example(self) -> Occasion {
        let (member, order) = (MemberId(Uuid::nil()), OrderId(Uuid::nil()));
        match self {
            Self::MemberRegistered => Occasion::MemberRegistered { member },
            Self::PaymentApproved => {
                Occasion::PaymentApproved { order, member, amount: Money::ZERO }
            }
            Self::DeliveryDispatched => Occasion::DeliveryDispatched {
                order,
                member,
                carrier: String::new(),
                tracking_number: String::new(),
            },
            Self::DeliveryDelivered => Occasion::DeliveryDelivered { order, member },
            Self::PointsExpiring => Occasion::PointsExpiring {
                member,
                entry: EntryId(Uuid::nil()),
                points: 0,
                before: UNIX_EPOCH,
            },
        }
    }
}

/// Something that happened elsewhere, of which somebody is told, once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Occasion {
    MemberRegistered {
        member: MemberId,
    },
    PaymentApproved {
        order: OrderId,
        member: MemberId,
        amount: Money,
    },
    DeliveryDispatched {
        order: OrderId,
        member: MemberId,
        carrier: String,
        tracking_number: String,
    },
    DeliveryDelivered {
        order: OrderId,
        member: MemberId,
    },
    PointsExpiring {
        member: MemberId,
        /// What earned the first of them: their member is told of it once.
        entry: EntryId,
        points: i64,
        /// When the first of them expire.
        before: SystemTime,
    },
}

impl Occasion {
    pub(crate) const fn template(&self) -> Template {
        match self {
            Self::MemberRegistered { .. } => Template::MemberRegistered,
            Self::PaymentApproved { .. } => Template::PaymentApproved,
            Self::DeliveryDispatched { .. } => Template::DeliveryDispatched,
            Self::DeliveryDelivered { .. } => Template::DeliveryDelivered,
            Self::PointsExpiring { .. } => Template::PointsExpiring,
        }
    }

    pub(crate) const fn audience(&self) -> Audience {
        match self {
            Self::MemberRegistered { .. } => Audience::Admin,
            Self::PaymentApproved { .. } => Audience::Marketing,
            Self::DeliveryDispatched { .. }
            | Self::DeliveryDelivered { .. }
            | Self::PointsExpiring { .. } => Audience::Member,
        }
    }

    /// Of what an audience is told, where it is told of a subject more than once.
    pub(crate) fn of(&self) -> Cow<'static, str> {
        match self {
            Self::MemberRegistered { .. } | Self::PaymentApproved { .. } => "".into(),
            Self::DeliveryDispatched { .. } | Self::DeliveryDelivered { .. } => {
                self.template().name().into()
            }
            Self::PointsExpiring { entry, .. } => {
                format!("{} {entry}", self.template().name()).into()
            }
        }
    }

    /// What it is about: an audience is told of it once, of each occasion.
    pub(crate) const fn subject(&self) -> Uuid {
        match self {
            Self::MemberRegistered { member } | Self::PointsExpiring { member, .. } => member.0,
            Self::PaymentApproved { order, .. }
            | Self::DeliveryDispatched { order, .. }
            | Self::DeliveryDelivered { order, .. } => order.0,
        }
    }

    /// The placeholders that its template may hold, and what they stand for. No value has a brace.
    fn values(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::MemberRegistered { member } => vec![("{memberId}", member.to_string())],
            Self::PaymentApproved { order, member, amount } => vec![
                ("{memberId}", member.to_string()),
                ("{orderId}", order.to_string()),
                ("{amount}", amount.to_string()),
            ],
            Self::DeliveryDispatched { order, member, carrier, tracking_number } => vec![
                ("{memberId}", member.to_string()),
                ("{orderId}", order.to_string()),
                ("{carrier}", carrier.replace(['{', '}'], "")),
                ("{trackingNumber}", tracking_number.replace(['{', '}'], "")),
            ],
            Self::DeliveryDelivered { order, member } => {
                vec![("{memberId}", member.to_string()), ("{orderId}", order.to_string())]
            }
            Self::PointsExpiring { member, points, before, .. } => vec![
                ("{memberId}", member.to_string()),
                ("{points}", points.to_string()),
                ("{before}", date(*before)),
            ],
        }
    }
}

/// The date of a time in Korea, which is nine hours ahead all year; empty when it has none.
fn date(at: SystemTime) -> String {
    let seconds =
        at.duration_since(UNIX_EPOCH).ok().and_then(|it| i64::try_from(it.as_secs()).ok());
    let at = seconds.and_then(|it| OffsetDateTime::from_unix_timestamp(it).ok());
    let nine = UtcOffset::from_hms(9, 0, 0).ok();
    let here = at.zip(nine).and_then(|(at, nine)| at.checked_to_offset(nine));
    here.map(|it| it.date().to_string()).unwrap_or_default()
}

/// How long the text of a template may be.
const BODY: Text = Text::new(1, 2_000).lines();

/// The text of a template: 1 to 2,000 characters, with braces around placeholders alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Body(String);

impl Body {
    pub(crate) fn parse(template: Template, text: &str) -> Result<Self, Error> {
        let body = Self(BODY.parse("body", text)?.to_owned());
        let example = template.example();
        // What replaces nothing is still there once all else is replaced.
        if body.about(&example).contains(['{', '}']) {
            let known = example.values().into_iter().map(|(placeholder, _)| placeholder);
            let known = known.collect::<Vec<_>>().join(", ");
            return Err(Refusal::UnknownPlaceholder(known).into());
        }
        Ok(body)
    }

    /// A text that was parsed before.
    pub(crate) fn stored(text: String) -> Self {
        Self(text)
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The message of an occasion.
    pub(crate) fn about(&self, occasion: &Occasion) -> String {
        let values = occasion.values();
        values.iter().fold(self.0.clone(), |text, (name, value)| text.replace(name, value))
    }
}

/// What notification says no with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("has a brace that belongs to no placeholder; this template has {0}")]
    UnknownPlaceholder(String),
}

impl Refuse for Refusal {
    fn kind(&self) -> Kind {
        match self {
            Self::UnknownPlaceholder(_) => Kind::Invalid,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::UnknownPlaceholder(_) => "UNKNOWN_PLACEHOLDER",
        }
    }

    fn field(&self) -> Option<String> {
        Some("body".into())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn refused(template: Template, text: &str) -> String {
        Body::parse(template, text).expect_err(text).to_string()
    }

    #[test]
    fn a_message_says_what_it_is_about() {
        let (order, member) = (OrderId(base::id::new()), MemberId(base::id::new()));
        let paid = Occasion::PaymentApproved { order, member, amount: Money::krw(30_000) };
        let text = "{orderId} {amount} {memberId} {orderId}";
        let body = Body::parse(Template::PaymentApproved, text).expect("known placeholders");
        assert_eq!(body.about(&paid), format!("{order} 30000 KRW {member} {order}"));
        assert_eq!((paid.audience(), paid.subject()), (Audience::Marketing, order.0));
    }

    #[test]
    fn a_template_holds_its_own_placeholders_and_no_other_brace() {
        for text in ["{memberID}", "{order{memberId}Id}", "{", "}", "{ memberId }", "{{memberId}}"]
        {
            let refusal = refused(Template::PaymentApproved, text);
            assert!(refusal.ends_with("{memberId}, {orderId}, {amount}"), "{refusal}");
        }
        // There is no order when a member registers.
        let refusal = refused(Template::MemberRegistered, "{orderId}");
        assert!(refusal.ends_with("this template has {memberId}"), "{refusal}");
    }

    #[test]
    fn a_template_says_something_but_not_too_much() {
        let template = Template::MemberRegistered;
        for wrong in [" \n", &"한".repeat(2_001), "a\0b"] {
            assert!(refused(template, wrong).starts_with("INVALID_FIELD: body: "));
        }
        assert!(Body::parse(template, &"한".repeat(2_000)).is_ok());
    }

    #[test]
    fn a_member_is_told_of_an_order_when_it_goes_and_when_it_arrives() {
        let (order, member) = (OrderId(base::id::new()), MemberId(base::id::new()));
        let gone = Occasion::DeliveryDispatched {
            order,
            member,
            carrier: "{orderId}".into(),
            tracking_number: "1".into(),
        };
        let body = Body::parse(Template::DeliveryDispatched, "{carrier} {trackingNumber}");
        assert_eq!(body.expect("known placeholders").about(&gone), "orderId 1");
        let arrived = Occasion::DeliveryDelivered { order, member };
        assert_eq!((gone.audience(), gone.subject()), (Audience::Member, arrived.subject()));
        assert_ne!(gone.of(), arrived.of());
    }

    #[test]
    fn a_member_is_told_of_points_that_expire_soon_once_per_entry() {
        let member = MemberId(base::id::new());
        // 2026-12-31 15:00 UTC.
        let before = UNIX_EPOCH + Duration::from_hours(499_647);
        let of = |points| {
            let entry = EntryId(base::id::new());
            Occasion::PointsExpiring { member, entry, points, before }
        };
        let (soon, again) = (of(1_200), of(5));
        let body = Body::parse(Template::PointsExpiring, "{points} {before}");
        assert_eq!(body.expect("known placeholders").about(&soon), "1200 2027-01-01");
        assert_eq!((soon.audience(), soon.subject()), (Audience::Member, again.subject()));
        assert_ne!(soon.of(), again.of());
    }

    #[test]
    fn a_template_is_found_by_its_name() {
        for template in Template::ALL {
            assert_eq!(Template::named(template.name()), Some(template));
            assert_eq!(template.example().template(), template);
        }
        assert_eq!(Template::named("order-closed"), None);
    }
}
