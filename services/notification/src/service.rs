//! The notification service's calls: parse, call, render.

use base::{Error, error::not_found, id::Uuid};
use contracts::notification::v1::{
    GetNotificationTemplateRequest, ListNotificationsRequest, ListNotificationsResponse,
    NotificationTemplate, UpdateNotificationTemplateRequest, notification::Audience,
    notification_service_server::NotificationService,
};
use pg::{Database, Tx, idempotency};
use server::Incoming;
use tonic::{Request, Response, Status};

use crate::{
    domain::{Body, Template},
    store, wire,
};

/// Answers calls about notifications and their templates.
pub(crate) struct Notifications {
    pub(crate) database: Database,
}

#[tonic::async_trait]
impl NotificationService for Notifications {
    async fn list_notifications(
        &self,
        request: Request<ListNotificationsRequest>,
    ) -> Result<Response<ListNotificationsResponse>, Status> {
        let incoming = Incoming::granted(request)?;
        let message = &incoming.message;
        let page = incoming.page()?;
        let subject = base::id::optional("subjectId", &message.subject_id)?;
        let audience = match Audience::try_from(message.audience) {
            Ok(Audience::Unspecified) => None,
            Ok(audience) => Some(audience.as_str_name()),
            Err(_) => return Err(Error::violation("audience", "is not an audience").into()),
        };
        let mut reader = self.database.read().await?;
        let notifications = store::list(&mut reader, audience, subject, page).await?;
        let notifications = notifications.iter().map(|it| (it.id.0, wire::notification(it)));
        let (notifications, next_page_token) = page.cut(notifications);
        Ok(Response::new(ListNotificationsResponse { notifications, next_page_token }))
    }

    async fn get_notification_template(
        &self,
        request: Request<GetNotificationTemplateRequest>,
    ) -> Result<Response<NotificationTemplate>, Status> {
        let template = template(&Incoming::granted(request)?.message.template)?;
        let mut reader = self.database.read().await?;
        Ok(Response::new(wire::template(&store::template(&mut reader, template).await?)))
    }

    async fn update_notification_template(
        &self,
        request: Request<UpdateNotificationTemplateRequest>,
    ) -> Result<Response<NotificationTemplate>, Status> {
        let incoming = Incoming::granted(request)?;
        let template = template(&incoming.message.template)?;
        let body = incoming.message.body.as_deref();
        let body = body.map(|text| Body::parse(template, text)).transpose()?;
        let command = incoming.command();
        let update = async |tx: &mut Tx| {
            let mut worded = store::lock_template(tx, template).await?;
            incoming.check_etag(&wire::etag(&worded))?;
            if let Some(body) = body.filter(|body| *body != worded.body) {
                worded.body = body;
                store::update_template(tx, &mut worded).await?;
            }
            Ok(wire::template(&worded))
        };
        // A template goes by its name alone, which is in the request.
        Ok(idempotency::once(&self.database, &command, Uuid::nil(), update).await?.into())
    }
}

fn template(name: &str) -> Result<Template, Error> {
    Template::named(name).ok_or_else(not_found)
}
