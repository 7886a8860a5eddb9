//! Notification through gRPC on real Postgres and a real SMTP server; the test
//! plays member, payment and delivery.

use std::sync::atomic::{AtomicI64, Ordering};

use base::{Error, id::Uuid};
use contracts::{
    Money,
    delivery::v1::{DeliveryDelivered, DeliveryDispatched, DeliveryEvent, delivery_event},
    member::v1::{MemberEvent, MemberRegistered, member_event},
    mileage::v1::{MileageEvent, MileageExpiring, mileage_event},
    notification::v1::{
        GetNotificationTemplateRequest, ListNotificationsRequest, Notification, NotificationEvent,
        NotificationTemplate, UpdateNotificationTemplateRequest, notification::Audience,
        notification_event, notification_service_client::NotificationServiceClient,
    },
    payment::v1::{PaymentApproved, PaymentEvent, payment_event},
};
use eventlog::Draft;
use prost::Message as _;
use serde_json::json;
use server::{Service, ServiceBuilder};
use testkit::{
    eventually,
    stage::{As, Stage},
};
use tonic::{Code, Status};

use crate::smtp::PostOffice;

static MEMBER: Service = Service {
    name: "member",
    migrations: pg::migrations![],
    build: |builder: &mut ServiceBuilder<'_>| {
        builder.publish::<MemberEvent>();
        Ok(())
    },
};

static DELIVERY: Service = Service {
    name: "delivery",
    migrations: pg::migrations![],
    build: |builder: &mut ServiceBuilder<'_>| {
        builder.publish::<DeliveryEvent>();
        Ok(())
    },
};

static MILEAGE: Service = Service {
    name: "mileage",
    migrations: pg::migrations![],
    build: |builder: &mut ServiceBuilder<'_>| {
        builder.publish::<MileageEvent>();
        Ok(())
    },
};

static PAYMENT: Service = Service {
    name: "payment",
    migrations: pg::migrations![],
    build: |builder: &mut ServiceBuilder<'_>| {
        builder.publish::<PaymentEvent>();
        Ok(())
    },
};

struct Shop {
    stage: Stage,
    notifications: NotificationServiceClient<tonic::transport::Channel>,
    admin: As,
    published: AtomicI64,
}

impl Shop {
    async fn open() -> Self {
        Self::open_with(json!({})).await.expect("the services start")
    }

    /// A shop that hands its mail in at this post office.
    async fn open_mailing(office: &PostOffice) -> Self {
        let settings = json!({
            "smtp_url": format!("smtp://127.0.0.1:{}", office.port),
            "mail_from": "한상 <shop@hansang.example>",
            "admin_to": "admin@hansang.example",
        });
        Self::open_with(settings).await.expect("the services start")
    }

    async fn open_with(settings: serde_json::Value) -> Result<Self, Error> {
        let services = [&notification::SERVICE, &DELIVERY, &MEMBER, &MILEAGE, &PAYMENT];
        let section = serde_json::from_value(settings).expect("a section");
        let stage = Stage::open_with(&services, &contracts::API, |settings| {
            settings.service.insert("notification".into(), section);
        })
        .await?;
        let notifications = NotificationServiceClient::new(stage.channel());
        let (admin, published) = (As::Admin(base::id::new()), AtomicI64::new(0));
        Ok(Self { stage, notifications, admin, published })
    }

    async fn list(&self, request: ListNotificationsRequest) -> (Vec<Notification>, String) {
        let request = self.stage.call(self.admin, request);
        let list = self.notifications.clone().list_notifications(request).await.expect("lists");
        let list = list.into_inner();
        (list.notifications, list.next_page_token)
    }

    async fn about(&self, subject: Uuid) -> Vec<Notification> {
        let subject_id = subject.to_string();
        self.list(ListNotificationsRequest { subject_id, ..Default::default() }).await.0
    }

    async fn eventually_about(&self, subject: Uuid) -> Notification {
        let ask = || async { self.about(subject).await.pop() };
        eventually("a notification", ask).await
    }

    async fn template(&self, name: &str) -> Result<NotificationTemplate, Status> {
        let request = GetNotificationTemplateRequest { template: name.into() };
        let request = self.stage.call(self.admin, request);
        let template = self.notifications.clone().get_notification_template(request).await?;
        Ok(template.into_inner())
    }

    /// Changes the text of `payment-approved`, under a header.
    async fn edit(
        &self,
        body: &str,
        header: Option<(&'static str, &str)>,
    ) -> Result<tonic::Response<NotificationTemplate>, Status> {
        let request = UpdateNotificationTemplateRequest {
            template: "payment-approved".into(),
            body: Some(body.into()),
        };
        let mut request = self.stage.call(self.admin, request);
        if let Some((name, value)) = header {
            request.metadata_mut().insert(name, value.parse().expect("ascii"));
        }
        self.notifications.clone().update_notification_template(request).await
    }

    /// Publishes an event twice: late and double messages are normal.
    async fn publish(&self, service: &str, kind: &'static str, about: Uuid, payload: Vec<u8>) {
        let mut tx = self.stage.database(service).begin().await.expect("begins");
        let draft = || {
            let version = self.published.fetch_add(1, Ordering::Relaxed);
            Draft::new(kind, about, version, about, payload.clone())
        };
        eventlog::append(&mut tx, &[draft(), draft()]).await.expect("appends");
        tx.commit().await.expect("commits");
    }

    async fn member_registers(&self) -> Uuid {
        let member = base::id::new();
        let event = member_event::Event::MemberRegistered(MemberRegistered {
            member_id: member.to_string(),
        });
        let payload = MemberEvent { frame: None, event: Some(event) }.encode_to_vec();
        self.publish("member", "MemberRegistered", member, payload).await;
        member
    }

    async fn payment_is_approved(&self) -> Uuid {
        let order = base::id::new();
        let event = payment_event::Event::PaymentApproved(PaymentApproved {
            payment_id: base::id::new().to_string(),
            order_id: order.to_string(),
            member_id: Uuid::nil().to_string(),
            amount: Some(Money::from(("KRW", 30_000))),
            ..PaymentApproved::default()
        });
        let payload = PaymentEvent { frame: None, event: Some(event) }.encode_to_vec();
        self.publish("payment", "PaymentApproved", order, payload).await;
        order
    }

    async fn parcel_goes_and_arrives(&self) -> Uuid {
        let (order, id) = (base::id::new(), || Uuid::nil().to_string());
        let sent = delivery_event::Event::DeliveryDispatched(DeliveryDispatched {
            delivery_id: id(),
            order_id: order.to_string(),
            member_id: id(),
            carrier: "CJ".into(),
            tracking_number: "1234".into(),
        });
        let arrived = delivery_event::Event::DeliveryDelivered(DeliveryDelivered {
            delivery_id: id(),
            order_id: order.to_string(),
            member_id: id(),
            deliver_time: None,
        });
        for (kind, event) in [("DeliveryDispatched", sent), ("DeliveryDelivered", arrived)] {
            let payload = DeliveryEvent { frame: None, event: Some(event) }.encode_to_vec();
            self.publish("delivery", kind, order, payload).await;
        }
        order
    }

    /// Points of a member's expire soon, the first of them at noon of a day in January 2027, in Korea.
    async fn points_expire(&self, member: Uuid, points: i64, day: i64) {
        // 2027-01-01 03:00 UTC.
        let seconds = 1_798_772_400 + (day - 1) * 24 * 60 * 60;
        let event = mileage_event::Event::MileageExpiring(MileageExpiring {
            member_id: member.to_string(),
            points,
            before: Some(prost_types::Timestamp { seconds, nanos: 0 }),
            entry_id: base::id::new().to_string(),
        });
        let payload = MileageEvent { frame: None, event: Some(event) }.encode_to_vec();
        self.publish("mileage", "MileageExpiring", member, payload).await;
    }

    /// A number out of the service's database.
    async fn number(&self, sql: &'static str) -> i64 {
        let mut reader = self.stage.database("notification").read().await.expect("reads");
        reader.query_one(sql, &[]).await.expect("counts").get(0)
    }

    async fn eventually(&self, sql: &'static str, number: i64) {
        let ask = || async { (self.number(sql).await == number).then_some(()) };
        eventually(&format!("{number} from {sql}"), ask).await;
    }
}

const MAILS_TO_SEND: &str = "select count(*) from task where kind = 'mail'";

#[tokio::test]
async fn the_admin_is_told_of_a_member_and_marketing_of_a_payment_once() {
    let shop = Shop::open().await;
    let (member, order) = (shop.member_registers().await, shop.payment_is_approved().await);
    for (subject, audience, words) in [
        (member, Audience::Admin, vec![member.to_string()]),
        (order, Audience::Marketing, vec![order.to_string(), "30000 KRW".into()]),
    ] {
        let told = shop.eventually_about(subject).await;
        assert_eq!((told.audience(), &told.subject_id), (audience, &subject.to_string()));
        assert!(words.iter().all(|word| told.body.contains(word)), "{}", told.body);
        assert!(told.create_time.is_some() && !told.body.contains('{'));
    }
    // Told after those, of the same logs: nothing of them is still on its way.
    let (member, order) = (shop.member_registers().await, shop.payment_is_approved().await);
    shop.eventually_about(member).await;
    shop.eventually_about(order).await;
    assert_eq!(shop.number("select count(*) from notification").await, 4);
    assert_eq!(shop.number(MAILS_TO_SEND).await, 0, "there is no mail server");
    shop.stage.close().await;
}

#[tokio::test]
async fn a_member_is_told_that_an_order_goes_and_that_it_has_arrived_each_once() {
    let shop = Shop::open().await;
    let order = shop.parcel_goes_and_arrives().await;
    let both = || async {
        let told = shop.about(order).await;
        (told.len() == 2).then_some(told)
    };
    let [arrived, gone] = eventually("two messages", both).await.try_into().expect("two");
    assert_eq!([gone.audience(), arrived.audience()], [Audience::Member; 2]);
    assert!(["CJ", "1234"].iter().all(|word| gone.body.contains(word)), "{}", gone.body);
    assert!(arrived.body.contains(&order.to_string()), "{}", arrived.body);
    shop.stage.close().await;
}

#[tokio::test]
async fn others_hear_of_a_message_in_its_subjects_own_order() {
    let shop = Shop::open().await;
    let member = shop.member_registers().await;
    let told = shop.eventually_about(member).await;
    let mut reader = shop.stage.database("notification").read().await.expect("reads");
    let sql = "select type, correlation_id, causation_id is not null, payload from event";
    let row = reader.query_one(sql, &[]).await.expect("one event");
    assert_eq!(row.get::<_, &str>(0), "NotificationSent");
    assert_eq!(row.get::<_, Uuid>(1), member);
    assert!(row.get::<_, bool>(2), "what led to it is known");
    let event = NotificationEvent::decode(row.get::<_, &[u8]>(3)).expect("is one").event;
    let Some(notification_event::Event::NotificationSent(sent)) = event else {
        panic!("{event:?}")
    };
    assert_eq!((sent.notification_id, sent.subject_id), (told.id, member.to_string()));
    assert_eq!(sent.audience, i32::from(Audience::Admin));
    drop(reader);
    shop.stage.close().await;
}

#[tokio::test]
async fn a_list_is_of_one_audience_or_subject_and_comes_in_pages() {
    let shop = Shop::open().await;
    let mut members = Vec::new();
    for _ in 0..3 {
        members.push(shop.member_registers().await.to_string());
        shop.payment_is_approved().await;
    }
    shop.eventually("select count(*) from notification", 6).await;
    let mut request = ListNotificationsRequest {
        audience: Audience::Admin.into(),
        page_size: 2,
        ..ListNotificationsRequest::default()
    };
    let (first, token) = shop.list(request.clone()).await;
    request.page_token = token;
    let (last, token) = shop.list(request).await;
    assert_eq!((first.len(), last.len(), token.as_str()), (2, 1, ""));
    let mut subjects: Vec<_> = first.into_iter().chain(last).map(|it| it.subject_id).collect();
    subjects.sort();
    members.sort();
    assert_eq!(subjects, members);
    shop.stage.close().await;
}

#[tokio::test]
async fn messages_and_templates_are_the_admins_alone() {
    let shop = Shop::open().await;
    for (caller, code) in [
        (As::Nobody, Code::Unauthenticated),
        (As::Member(base::id::new()), Code::PermissionDenied),
        (As::Seller(base::id::new()), Code::PermissionDenied),
        (As::Service("order"), Code::PermissionDenied),
    ] {
        let mut notifications = shop.notifications.clone();
        let list = shop.stage.call(caller, ListNotificationsRequest::default());
        let refused = notifications.list_notifications(list).await.expect_err("refused");
        assert_eq!(refused.code(), code, "{caller:?}");
        let edit = shop.stage.call(caller, UpdateNotificationTemplateRequest::default());
        let refused = notifications.update_notification_template(edit).await.expect_err("refused");
        assert_eq!(refused.code(), code, "{caller:?}");
    }
    shop.stage.close().await;
}

#[tokio::test]
async fn the_next_message_has_the_text_that_an_admin_gave() {
    let shop = Shop::open().await;
    let before = shop.payment_is_approved().await;
    let before = shop.eventually_about(before).await;
    let edited = shop.edit("{orderId}: {amount}, 감사합니다", None).await.expect("edits");
    assert_eq!(edited.get_ref(), &shop.template("payment-approved").await.expect("is there"));
    let after = shop.payment_is_approved().await;
    let told = shop.eventually_about(after).await;
    assert_eq!(told.body, format!("{after}: 30000 KRW, 감사합니다"));
    let subject = before.subject_id.parse().expect("an id");
    assert_eq!(shop.about(subject).await, [before], "what was sent stays as it is");
    shop.stage.close().await;
}

#[tokio::test]
async fn a_member_is_told_of_points_that_expire_soon_each_time_once() {
    let shop = Shop::open().await;
    let member = base::id::new();
    shop.points_expire(member, 1_200, 8).await;
    shop.points_expire(member, 30, 5).await;
    let both = || async {
        let told = shop.about(member).await;
        (told.len() >= 2).then_some(told)
    };
    let [second, first] = eventually("two messages", both).await.try_into().expect("two");
    for (told, points, date) in [(&first, "1200", "2027-01-08"), (&second, "30", "2027-01-05")] {
        assert_eq!(told.audience(), Audience::Member);
        assert!([points, date].iter().all(|word| told.body.contains(word)), "{}", told.body);
        assert!(!told.body.contains('{'), "{}", told.body);
    }
    // Told after those, of the same log: nothing of them is still on its way.
    let other = base::id::new();
    shop.points_expire(other, 1, 1).await;
    shop.eventually_about(other).await;
    assert_eq!(shop.number("select count(*) from notification").await, 3);
    assert!(shop.template("points-expiring").await.is_ok());
    shop.stage.close().await;
}

#[tokio::test]
async fn a_template_with_an_unknown_placeholder_or_a_stale_etag_stays_as_it_is() {
    let shop = Shop::open().await;
    let template = shop.template("payment-approved").await.expect("is there");
    let refused = Error::from(shop.edit("{orderNumber}", None).await.expect_err("unknown"));
    assert_eq!(refused.kind(), base::error::Kind::Invalid);
    assert_eq!(refused.reason(), "UNKNOWN_PLACEHOLDER");
    let stale = shop.edit("{orderId}", Some(("if-match", "0"))).await.expect_err("stale");
    assert_eq!(stale.code(), Code::FailedPrecondition);
    assert_eq!(shop.template("payment-approved").await.expect("is there"), template);
    shop.edit("{orderId}", Some(("if-match", &template.etag))).await.expect("edits");
    let unknown = shop.template("order-closed").await.expect_err("unknown");
    assert_eq!(unknown.code(), Code::NotFound);
    shop.stage.close().await;
}

#[tokio::test]
async fn the_same_key_edits_a_template_once() {
    let shop = Shop::open().await;
    let key = Some(("idempotency-key", "k"));
    let first = shop.edit("하나", key).await.expect("edits");
    shop.edit("둘", None).await.expect("edits");
    let again = shop.edit("하나", key).await.expect("answers as before");
    assert_eq!(first.get_ref(), again.get_ref());
    assert_eq!(again.metadata().get("idempotency-replayed").expect("said"), "true");
    assert_eq!(shop.template("payment-approved").await.expect("is there").body, "둘");
    shop.stage.close().await;
}

#[tokio::test]
async fn with_the_mail_server_down_the_inbox_has_the_message_and_the_mail_comes_later() {
    let mut office = PostOffice::closed();
    let shop = Shop::open_mailing(&office).await;
    let member = shop.member_registers().await;
    let told = shop.eventually_about(member).await;
    // Marketing has no address, and so no mail.
    let order = shop.payment_is_approved().await;
    shop.eventually_about(order).await;
    shop.eventually("select count(*) from task where kind = 'mail' and attempts >= 2", 1).await;
    assert_eq!(shop.number(MAILS_TO_SEND).await, 1);

    office.open(100_000).await;
    shop.eventually(MAILS_TO_SEND, 0).await;
    let mails = office.taken();
    let [mail] = mails.as_slice() else { panic!("{mails:?}") };
    assert_eq!(mail.header("Message-ID"), format!("<{}@hansang.example>", told.id));
    assert_eq!(mail.header("To"), "admin@hansang.example");
    assert!(mail.header("From").ends_with("<shop@hansang.example>"), "{mail:?}");
    shop.stage.close().await;
}

#[tokio::test]
async fn a_mail_that_is_refused_for_good_comes_again_in_an_hour_and_is_given_up_after_days() {
    let mut office = PostOffice::closed();
    office.open(10).await;
    let shop = Shop::open_mailing(&office).await;
    let member = shop.member_registers().await;
    shop.eventually_about(member).await;
    shop.eventually(
        "select count(*) from task where kind = 'mail' and due_at > now() + interval '50 minutes'",
        1,
    )
    .await;

    let mut tx = shop.stage.database("notification").begin().await.expect("begins");
    tx.batch(
        "update notification set create_time = now() - interval '6 days';
         update task set due_at = now()",
    )
    .await
    .expect("six days pass");
    tx.commit().await.expect("commits");
    shop.eventually(MAILS_TO_SEND, 0).await;
    assert!(office.taken().is_empty());
    shop.stage.close().await;
}

#[tokio::test]
async fn mail_that_is_half_configured_is_found_out_at_the_start() {
    let smtp_url = "smtp://localhost:25";
    for (settings, key) in [
        (json!({ "smtp_url": smtp_url }), "mail_from"),
        (json!({ "smtp_url": "localhost:25", "mail_from": "a@b.example" }), "smtp_url"),
        (
            json!({ "smtp_url": smtp_url, "mail_from": "a@b.example", "admin_to": "nobody" }),
            "admin_to",
        ),
        (json!({ "smtp_uri": smtp_url }), "smtp_uri"),
    ] {
        let Err(error) = Shop::open_with(settings).await else { panic!("{key} is not missed") };
        let error = error.to_string();
        assert!(error.contains(&format!("service.notification.{key}: ")), "{error}");
    }
}
