//! What others edit meanwhile: products and templates, with their etags.

use contracts::{
    notification::v1::{
        GetNotificationTemplateRequest, ListNotificationsRequest, ListNotificationsResponse,
        NotificationTemplate, UpdateNotificationTemplateRequest,
        notification_service_server::NotificationService,
    },
    product::v1::{
        GetProductRequest, ListProductsRequest, ListProductsResponse, Product,
        UpdateProductRequest, product_service_server::ProductService,
    },
};
use tonic::{Request, Response, Status, metadata::MetadataMap};

use super::{ConnectInfo, Shop, SocketAddr, known};

/// What has been edited. The etag of everything is the number of edits.
#[derive(Default)]
pub(crate) struct Edits {
    count: u32,
    product: Option<Product>,
    body: String,
}

impl Edits {
    fn check(&self, metadata: &MetadataMap) -> Result<(), Status> {
        let wanted = metadata.get("if-match").and_then(|tag| tag.to_str().ok());
        let current = self.count.to_string();
        if wanted.is_none_or(|wanted| base::etag::matches(wanted, &current)) {
            return Ok(());
        }
        Err(base::etag::stale(&current).into())
    }
}

impl Shop {
    /// Product 1, as it is now.
    pub(crate) fn edited(&self) -> Product {
        let edits = self.edits.lock().expect("no panic");
        let product = edits.product.clone().unwrap_or_else(|| self.product("1"));
        Product { etag: edits.count.to_string(), ..product }
    }

    /// Somebody changes product 1.
    pub(crate) fn edit(&self, change: impl FnOnce(&mut Product)) {
        let mut product = self.edited();
        change(&mut product);
        let mut edits = self.edits.lock().expect("no panic");
        (edits.product, edits.count) = (Some(product), edits.count + 1);
    }

    /// The body of all templates.
    pub(crate) fn body(&self) -> String {
        self.edits.lock().expect("no panic").body.clone()
    }

    /// Somebody changes all templates.
    pub(crate) fn edit_body(&self, body: &str) {
        let mut edits = self.edits.lock().expect("no panic");
        (edits.body, edits.count) = (body.to_owned(), edits.count + 1);
    }

    fn check(&self, metadata: &MetadataMap) -> Result<(), Status> {
        self.edits.lock().expect("no panic").check(metadata)
    }
}

#[tonic::async_trait]
impl ProductService for Shop {
    async fn list_products(
        &self,
        request: Request<ListProductsRequest>,
    ) -> Result<Response<ListProductsResponse>, Status> {
        self.there()?;
        let said = |name| request.metadata().get(name).and_then(|value| value.to_str().ok());
        let from = request.extensions().get::<ConnectInfo<SocketAddr>>();
        let asked = [said("authorization"), said("x-forwarded-for"), said("cookie")];
        let asked = asked.map(Option::unwrap_or_default).join(" ");
        let from = from.map(|ConnectInfo(from)| from.ip().to_string());
        let asked = format!("{asked} {}", from.unwrap_or_default());
        self.calls.lock().expect("no panic").push(("ListProducts", asked));
        let products = (0..24).map(|id| self.product(&id.to_string())).collect();
        Ok(Response::new(ListProductsResponse { products, ..Default::default() }))
    }

    async fn get_product(
        &self,
        request: Request<GetProductRequest>,
    ) -> Result<Response<Product>, Status> {
        self.there()?;
        let id = &request.get_ref().product_id;
        known("productId", id)?;
        Ok(Response::new(if id == "1" { self.edited() } else { self.product(id) }))
    }

    async fn update_product(
        &self,
        request: Request<UpdateProductRequest>,
    ) -> Result<Response<Product>, Status> {
        self.called("UpdateProduct", request.metadata());
        self.check(request.metadata())?;
        let message = request.into_inner();
        if let Some(picture) = &message.picture {
            picture.clone_into(&mut self.picture.lock().expect("no panic"));
        }
        self.edit(|product| {
            let Product { display_name, price, description, state, picture, .. } = product;
            *display_name = message.display_name.unwrap_or_else(|| display_name.clone());
            *price = message.price.or_else(|| price.clone());
            *description = message.description.unwrap_or_else(|| description.clone());
            *state = message.state.unwrap_or(*state);
            *picture = message.picture.unwrap_or_else(|| picture.clone());
        });
        Ok(Response::new(self.edited()))
    }
}

#[tonic::async_trait]
impl NotificationService for Shop {
    async fn list_notifications(
        &self,
        _: Request<ListNotificationsRequest>,
    ) -> Result<Response<ListNotificationsResponse>, Status> {
        Ok(Response::new(ListNotificationsResponse::default()))
    }

    async fn get_notification_template(
        &self,
        request: Request<GetNotificationTemplateRequest>,
    ) -> Result<Response<NotificationTemplate>, Status> {
        let etag = self.edited().etag;
        let template = request.into_inner().template;
        Ok(Response::new(NotificationTemplate { template, body: self.body(), etag }))
    }

    async fn update_notification_template(
        &self,
        request: Request<UpdateNotificationTemplateRequest>,
    ) -> Result<Response<NotificationTemplate>, Status> {
        let body = request.get_ref().body.clone().unwrap_or_default();
        if body.is_empty() {
            return Err(base::Error::violation("body", "is required").into());
        }
        self.check(request.metadata())?;
        self.edit_body(&body);
        Ok(Response::new(NotificationTemplate::default()))
    }
}
