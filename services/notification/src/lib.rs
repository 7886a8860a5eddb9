//! Notification: messages, each sent once, and the texts they are made of.
//!
//! - **Occasion**: something that happened elsewhere, of which somebody is told.
//! - **Audience**: who is told: ADMIN, MARKETING, MEMBER.
//! - **Subject**: what it is about: a member, or an order. An audience is told of a
//!   subject once, a member of an order once per occasion, and of points that expire soon once per entry.
//! - **Notification**: a message in the inbox, SENT once it is there; by mail as well
//!   where its audience has an address. See `mail`.
//! - **Template**: the text of a kind of message, which an admin may change; the
//!   next message has the new one.

mod domain;
mod mail;
mod policy;
mod service;
mod store;
mod wire;

use base::Error;
use contracts::notification::v1::{
    NotificationEvent, notification_service_server::NotificationServiceServer,
};
use server::{Service, ServiceBuilder};

/// The notification service.
pub const SERVICE: Service = Service {
    name: "notification",
    migrations: pg::migrations!["V1__notifications", "V2__lists", "V3__deliveries", "V4__points"],
    build,
};

fn build(builder: &mut ServiceBuilder<'_>) -> Result<(), Error> {
    let database = builder.database();
    let mail = mail::Mail::new(database.clone(), &builder.own_settings()?)?;
    builder
        .serve(NotificationServiceServer::new(service::Notifications::new(database)))
        .publish::<NotificationEvent>()
        .work(mail.clone())
        .follow(policy::Members(mail.clone()))?
        .follow(policy::Payments(mail.clone()))?
        .follow(policy::Deliveries(mail.clone()))?
        .follow(policy::Mileages(mail))?;
    Ok(())
}
