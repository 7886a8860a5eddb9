//! All the SQL of notifications and templates.

use std::{borrow::Cow, collections::BTreeMap, time::SystemTime};

use base::{Error, error::not_found, id::Uuid, page::Page};
use eventlog::Draft;
use pg::{Cause, Reader, Tx};
use tokio_postgres::Row;

use crate::{
    domain::{Audience, Body, NotificationId, Occasion, Template},
    wire,
};

/// All that makes up a notification.
macro_rules! select_notifications {
    () => {
        "select id, audience, subject_id, body, create_time from notification"
    };
}

/// A message that was sent.
#[derive(Clone, Debug)]
pub(crate) struct Notification {
    pub(crate) id: NotificationId,
    pub(crate) audience: Audience,
    pub(crate) subject: Uuid,
    pub(crate) body: String,
    pub(crate) create_time: SystemTime,
}

impl Notification {
    fn from_row(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            id: NotificationId(row.get("id")),
            audience: Audience::named(row.get("audience"))?,
            subject: row.get("subject_id"),
            body: row.get("body"),
            create_time: row.get("create_time"),
        })
    }

    /// Its one event.
    fn draft(&self) -> Draft {
        let draft = Draft::of(wire::event(self), self.id.0, 1, self.subject);
        Draft { kind: wire::kind(self.audience), ..draft }
    }
}

/// An occasion, and where it comes from.
pub(crate) struct Heard {
    pub(crate) occasion: Occasion,
    pub(crate) cause: Cause,
}

/// Sends a message for each occasion that has none yet, in the words of this moment. Answers what
/// was sent.
pub(crate) async fn send(tx: &mut Tx, heard: &[Heard]) -> Result<Vec<Notification>, Error> {
    if heard.is_empty() {
        return Ok(Vec::new());
    }
    let bodies = bodies(tx).await?;
    let mut causes = BTreeMap::new();
    let (mut ids, mut audiences, mut subjects, mut texts) = (vec![], vec![], vec![], vec![]);
    let mut occasions: Vec<Cow<'static, str>> = vec![];
    for Heard { occasion, cause } in heard {
        let template = occasion.template();
        let body = bodies.get(&template).ok_or_else(|| no_text(template))?;
        let id = base::id::new();
        ids.push(id);
        audiences.push(occasion.audience().name());
        subjects.push(occasion.subject());
        texts.push(body.about(occasion));
        occasions.push(occasion.of());
        causes.insert(id, cause);
    }
    let rows = tx
        .query(
            "insert into notification (id, audience, subject_id, body, occasion)
             select * from unnest($1::uuid[], $2::text[], $3::uuid[], $4::text[], $5::text[])
               as n(id, audience, subject_id, body, occasion)
             order by audience, subject_id, occasion, id
             on conflict on constraint notification_once do nothing
             returning id, audience, subject_id, body, create_time",
            &[&ids, &audiences, &subjects, &texts, &occasions],
        )
        .await?;
    let sent: Vec<_> = rows.iter().map(Notification::from_row).collect::<Result<_, _>>()?;
    let draft = |sent: &Notification| sent.draft().caused_by(causes.get(&sent.id.0).copied());
    eventlog::append(tx, &sent.iter().map(draft).collect::<Vec<_>>()).await?;
    Ok(sent)
}

async fn bodies(tx: &mut Tx) -> Result<BTreeMap<Template, Body>, Error> {
    let rows = tx.query("select name, body from template", &[]).await?;
    let text = |row: &Row| {
        let template = Template::named(row.get("name"))?;
        Some((template, Body::stored(row.get("body"))))
    };
    Ok(rows.iter().filter_map(text).collect())
}

fn no_text(template: Template) -> Error {
    Error::internal(format!("template {} has no text", template.name()))
}

/// Reads one notification, if it is there.
pub(crate) async fn find(
    reader: &mut Reader,
    id: NotificationId,
) -> Result<Option<Notification>, Error> {
    let row =
        reader.query_opt(concat!(select_notifications!(), " where id = $1"), &[&id.0]).await?;
    row.as_ref().map(Notification::from_row).transpose()
}

/// Reads a page of notifications, newest first; for one audience, about one subject, or all.
pub(crate) async fn list(
    reader: &mut Reader,
    audience: Option<&'static str>,
    subject: Option<Uuid>,
    page: Page,
) -> Result<Vec<Notification>, Error> {
    let (below, limit) = (page.below.unwrap_or(Uuid::max()), page.limit());
    let rows = match (subject, audience) {
        (Some(subject), audience) => {
            let sql = concat!(
                select_notifications!(),
                " where subject_id = $1 and ($2::text is null or audience = $2) and id < $3
                  order by id desc limit $4"
            );
            reader.query(sql, &[&subject, &audience, &below, &limit]).await?
        }
        (None, Some(audience)) if audience == Audience::Marketing.name() => {
            // Nearly all are: those that are not are passed over.
            let sql = concat!(
                select_notifications!(),
                " where audience = 'MARKETING' and id < $1 order by id desc limit $2"
            );
            reader.query(sql, &[&below, &limit]).await?
        }
        (None, Some(audience)) => {
            let sql = concat!(
                select_notifications!(),
                " where audience = $1 and audience <> 'MARKETING' and id < $2
                  order by id desc limit $3"
            );
            reader.query(sql, &[&audience, &below, &limit]).await?
        }
        (None, None) => {
            let sql = concat!(select_notifications!(), " where id < $1 order by id desc limit $2");
            reader.query(sql, &[&below, &limit]).await?
        }
    };
    rows.iter().map(Notification::from_row).collect()
}

/// A template with the text that it has now.
#[derive(Clone, Debug)]
pub(crate) struct Worded {
    pub(crate) template: Template,
    pub(crate) body: Body,
    pub(crate) version: i64,
}

impl Worded {
    fn from_row(template: Template, row: &Row) -> Self {
        Self { template, body: Body::stored(row.get("body")), version: row.get("version") }
    }
}

/// Reads a template.
pub(crate) async fn template(reader: &mut Reader, template: Template) -> Result<Worded, Error> {
    let row = reader
        .query_opt("select body, version from template where name = $1", &[&template.name()])
        .await?;
    Ok(Worded::from_row(template, &row.ok_or_else(not_found)?))
}

/// Reads a template and keeps it from changing until the transaction ends.
pub(crate) async fn lock_template(tx: &mut Tx, template: Template) -> Result<Worded, Error> {
    let row = tx
        .query_opt(
            "select body, version from template where name = $1 for update",
            &[&template.name()],
        )
        .await?;
    Ok(Worded::from_row(template, &row.ok_or_else(not_found)?))
}

/// Saves a template's text.
pub(crate) async fn update_template(tx: &mut Tx, worded: &mut Worded) -> Result<(), Error> {
    worded.version += 1;
    tx.execute(
        "update template set body = $2, version = $3 where name = $1",
        &[&worded.template.name(), &worded.body.as_str(), &worded.version],
    )
    .await?;
    Ok(())
}
