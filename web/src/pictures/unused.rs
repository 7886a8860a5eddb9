//! Pictures that no product names: deleted when they were last uploaded over a week ago. Looked for when a seller
//! has changed a picture, with the seller's token and at most once a day: nobody else sees what is off sale.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use contracts::product::v1::ListProductsRequest;
use tokio::time::Instant;

use crate::{failure::Failure, visit::Visit};

/// So long a picture stays that no product names: whoever uploads it again, or names it meanwhile, has it.
const GRACE: Duration = Duration::from_hours(7 * 24);
const EVERY: Duration = Duration::from_hours(24);
/// Products that are read at once.
const PAGE: i32 = 200;

/// When they were last looked for.
#[derive(Debug, Default)]
pub(crate) struct Sweeps(Mutex<Option<Instant>>);

impl Sweeps {
    fn is_due(&self) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let due = last.is_none_or(|last| last.elapsed() >= EVERY);
        if due {
            *last = Some(Instant::now());
        }
        due
    }
}

/// Looks for them beside the response, if it is time to.
pub(crate) fn sweep(visit: &Visit) {
    if !visit.web.sweeps.is_due() {
        return;
    }
    let visit = visit.clone();
    tokio::spawn(async move {
        match delete(&visit).await {
            Ok(0) => {}
            Ok(deleted) => tracing::info!(deleted, "pictures deleted that no product names"),
            Err(failure) => {
                let cause = failure.reason();
                tracing::warn!(cause, "unused pictures not deleted, trying again in a day");
            }
        }
    });
}

async fn delete(visit: &Visit) -> Result<usize, Failure> {
    let Some(before) = SystemTime::now().checked_sub(GRACE) else { return Ok(0) };
    let old = visit.web.pictures.kept_before(before).await?;
    if old.is_empty() {
        return Ok(0);
    }
    let named = named(visit).await?;
    let mut deleted = 0_usize;
    for picture in old.iter().filter(|picture| !named.contains(*picture)) {
        // Not if it was uploaded again meanwhile.
        deleted = deleted.saturating_add(visit.web.pictures.delete(picture, before).await?.into());
    }
    Ok(deleted)
}

/// What all products have, off sale or not. All or an error: what is missing here would be deleted.
async fn named(visit: &Visit) -> Result<HashSet<String>, Failure> {
    let (mut named, mut page_token) = (HashSet::new(), String::new());
    loop {
        let message =
            ListProductsRequest { page_size: PAGE, page_token, ..ListProductsRequest::default() };
        let page = visit.products().list_products(visit.ask(message)).await?.into_inner();
        named.extend(page.products.into_iter().map(|product| product.picture));
        if page.next_page_token.is_empty() {
            return Ok(named);
        }
        page_token = page.next_page_token;
    }
}
