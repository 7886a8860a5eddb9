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
mod settings;
mod store;
mod wire;
mod worker;

use base::Error;
use contracts::notification::v1::{
    NotificationEvent, notification_service_server::NotificationServiceServer,
};
use server::{Service, ServiceBuilder};

use self::settings::Settings;

/// The notification service.
pub const SERVICE: Service = Service {
    name: "notification",
    migrations: pg::migrations!["V1__notifications", "V2__lists", "V3__deliveries", "V4__points"],
    build,
};

fn build(builder: &mut ServiceBuilder<'_>) -> Result<(), Error> {
    let database = builder.database();
    let own: Settings = builder.own_settings()?;
    let mail = mail::Mail::new(database.clone(), &own)?;
    let notifications = service::Notifications { database };
    let worker = worker::Worker { mail: mail.clone() };
    builder
        .serve(NotificationServiceServer::new(notifications))
        .publish::<NotificationEvent>()
        .work(worker)
        .follow(policy::Members(mail.clone()))?
        .follow(policy::Payments(mail.clone()))?
        .follow(policy::Deliveries(mail.clone()))?
        .follow(policy::Mileages(mail))?;
    Ok(())
}
