//! Mail: a notification as an email as well, for audiences that have an address.
//! Sent by a durable task after the inbox has it, so that a mail server that is
//! away delays nothing and loses nothing.
//!
//! At least once: an email whose acceptance was not heard comes again, with the
//! same Message-ID, by which its receiver can tell. Members' own addresses are
//! not known here.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use base::{Error, error::Kind};
use lettre::{
    AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor,
    message::{Mailbox, header::ContentType},
    transport::smtp,
};
use pg::{
    Database, Tx,
    task::{self, Due, Outcome, Plan},
};

use crate::{
    domain::{Audience, NotificationId},
    settings::Settings,
    store::{self, Notification},
};

/// The kind of the task.
pub(crate) const TASK: &str = "mail";
/// How long the server may take to answer the door; the rest is bounded by the task's lease.
const CONNECT: Duration = Duration::from_secs(5);
/// How soon to ask again a server that said no for good: somebody may have set it right.
const REFUSED: Duration = Duration::from_hours(1);
/// How long to go on trying (RFC 5321, 4.5.4.1).
const GIVE_UP: Duration = Duration::from_hours(5 * 24);

/// Sends notifications as emails. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Mail(Arc<Parts>);

struct Parts {
    database: Database,
    /// None: no email.
    post_office: Option<PostOffice>,
}

/// Where emails are handed in, and their addresses.
struct PostOffice {
    server: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    admin: Option<Mailbox>,
    marketing: Option<Mailbox>,
}

impl Mail {
    pub(crate) fn new(database: Database, settings: &Settings) -> Result<Self, Error> {
        Ok(Self(Arc::new(Parts { database, post_office: PostOffice::find(settings)? })))
    }

    /// Has these sent as emails too, once `tx` has committed, where their audience has an address.
    pub(crate) async fn post(&self, tx: &mut Tx, sent: &[Notification]) -> Result<(), Error> {
        let Some(office) = &self.0.post_office else { return Ok(()) };
        let addressed = sent.iter().filter(|sent| office.address(sent.audience).is_some());
        let now = Due::After(Duration::ZERO);
        let plans: Vec<_> =
            addressed.map(|sent| Plan { kind: TASK, key: sent.id.0, due: now }).collect();
        task::schedule_all(tx, &plans).await
    }

    fn addressed<'a>(
        &'a self,
        notification: Option<&'a Notification>,
    ) -> Option<(&'a PostOffice, &'a Notification, &'a Mailbox)> {
        let (office, notification) = self.0.post_office.as_ref().zip(notification)?;
        Some((office, notification, office.address(notification.audience)?))
    }

    /// Hands a notification to the mail server.
    pub(crate) async fn send(&self, id: NotificationId) -> Result<Outcome, Error> {
        let found = store::find(&mut self.0.database.read().await?, id).await?;
        let Some((office, notification, to)) = self.addressed(found.as_ref()) else {
            tracing::warn!(notification = %id, "email dropped: its audience no longer has an address");
            return Ok(Outcome::Done);
        };
        let email = office.email(notification, to)?;
        let Err(error) = office.server.send(email).await else { return Ok(Outcome::Done) };
        let age = SystemTime::now().duration_since(notification.create_time).unwrap_or_default();
        if age > GIVE_UP {
            tracing::error!(%error, notification = %id, "email given up after the last attempt");
            return Ok(Outcome::Done);
        }
        if error.is_permanent() {
            tracing::warn!(%error, notification = %id, "mail server refused an email, retrying later");
            return Ok(Outcome::Again(REFUSED));
        }
        Err(Error::unavailable("MAIL_SERVER_UNAVAILABLE", error.to_string()))
    }
}

impl PostOffice {
    fn find(settings: &Settings) -> Result<Option<Self>, Error> {
        let url = settings.smtp_url.expose();
        if url.is_empty() {
            return Ok(None);
        }
        let server = AsyncSmtpTransport::<Tokio1Executor>::from_url(url)
            .map_err(|error: smtp::Error| invalid("smtp_url", error))?
            .timeout(Some(CONNECT))
            .build();
        Ok(Some(Self {
            server,
            from: mailbox("mail_from", &settings.mail_from)?
                .ok_or_else(|| invalid("mail_from", "is required with smtp_url"))?,
            admin: mailbox("admin_to", &settings.admin_to)?,
            marketing: mailbox("marketing_to", &settings.marketing_to)?,
        }))
    }

    fn address(&self, audience: Audience) -> Option<&Mailbox> {
        match audience {
            Audience::Admin => self.admin.as_ref(),
            Audience::Marketing => self.marketing.as_ref(),
            Audience::Member => None,
        }
    }

    /// The email of a notification: the same whenever it is written.
    fn email(&self, notification: &Notification, to: &Mailbox) -> Result<Message, Error> {
        let subject = match notification.audience {
            Audience::Admin => "[한상] 관리자 알림",
            Audience::Marketing => "[한상] 마케팅 알림",
            Audience::Member => "[한상] 회원 알림",
        };
        let message_id = format!("<{}@{}>", notification.id, self.from.email.domain());
        Message::builder()
            .message_id(Some(message_id))
            .date(notification.create_time)
            .from(self.from.clone())
            .to(to.clone())
            .subject(subject)
            .header(ContentType::TEXT_PLAIN)
            .body(notification.body.clone())
            .map_err(|error| Error::internal(format!("email: {error}")))
    }
}

fn mailbox(key: &str, text: &str) -> Result<Option<Mailbox>, Error> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|error: lettre::address::AddressError| invalid(key, error))
}

fn invalid(key: &str, error: impl std::fmt::Display) -> Error {
    Error::new(Kind::Invalid, "CONFIGURATION", format!("service.notification.{key}: {error}"))
}

#[cfg(test)]
mod tests {
    use ::settings::Secret;

    use super::*;

    #[test]
    fn mail_goes_encrypted_where_the_url_says_so() {
        for url in ["smtps://shop:secret@localhost:465", "smtp://localhost:587/shop?tls=required"] {
            let settings = Settings {
                smtp_url: Secret::new(url),
                mail_from: "한상 <shop@hansang.example>".into(),
                ..Settings::default()
            };
            let office = PostOffice::find(&settings).expect(url).expect("there is one");
            assert!(office.address(Audience::Admin).is_none());
        }
    }
}
