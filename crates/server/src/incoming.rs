//! A call as a handler sees it: who calls, what they may see, and the message.
//!
//! There are three ways in, and each refuses what the contract's access option
//! does not allow, so that a handler cannot forget it: [`granted`] for methods
//! open by role, [`owned`] where the request names the owner, [`scoped`] where
//! only the stored resource tells.
//!
//! [`granted`]: Incoming::granted
//! [`owned`]: Incoming::owned
//! [`scoped`]: Incoming::scoped

use std::sync::Arc;

use aws_lc_rs::digest;
use base::{
    Error,
    error::{Kind, not_found},
    page::Page,
};
use identity::{
    access::{Pass, Scope},
    auth::Caller,
};
use pg::idempotency::Command;
use prost::Message;
use schema::Paged;
use tonic::{Request, metadata::MetadataMap};
use tracing::Instrument as _;
use uuid::Uuid;

/// Headers that a command may carry, in gRPC and as REST's clients know them.
const IDEMPOTENCY_KEY: (&str, &str) = ("idempotency-key", "Idempotency-Key");
const IF_MATCH: (&str, &str) = ("if-match", "If-Match");
const LONGEST_HEADER: usize = 255;

/// A call that may be handled.
#[derive(Debug)]
pub struct Incoming<T> {
    /// Who calls.
    pub caller: Caller,
    /// Whose resources they may touch.
    pub scope: Scope,
    /// What they ask.
    pub message: T,
    method: Arc<str>,
    metadata: MetadataMap,
}

impl<T: Message> Incoming<T> {
    /// A call by someone whose role, or service, allows it whatever the resource.
    pub fn granted(request: Request<T>) -> Result<Self, Error> {
        let incoming = Self::scoped(request)?;
        match incoming.scope {
            Scope::All => Ok(incoming),
            Scope::Own(_) => Err(not_found()),
        }
    }

    /// A call about what belongs to a member: by that member, or by someone whose role allows it.
    /// Answers the owner too; `field` is where the message has the id.
    pub fn owned(
        request: Request<T>,
        field: &str,
        owner: impl FnOnce(&T) -> &str,
    ) -> Result<(Self, Uuid), Error> {
        let incoming = Self::scoped(request)?;
        let owner = base::id::parse(field, owner(&incoming.message))?;
        match incoming.scope {
            Scope::Own(id) if id != owner => Err(not_found()),
            _ => Ok((incoming, owner)),
        }
    }

    /// A call about what only the stored resource can tell the owner of: `scope` goes into the query.
    pub fn scoped(request: Request<T>) -> Result<Self, Error> {
        let (metadata, mut extensions, message) = request.into_parts();
        let pass: Pass =
            extensions.remove().ok_or_else(|| Error::internal("served without an access check"))?;
        // One that cannot be read must not count as one that was not sent.
        header(&metadata, IDEMPOTENCY_KEY)?;
        header(&metadata, IF_MATCH)?;
        Ok(Self { caller: pass.caller, scope: pass.scope, message, method: pass.method, metadata })
    }

    /// The member who calls.
    pub fn member(&self) -> Result<Uuid, Error> {
        match self.caller {
            Caller::Member { id, .. } => Ok(id),
            _ => Err(Error::new(Kind::Forbidden, "MEMBER_REQUIRED", "only members may do this")),
        }
    }

    /// The name of the operator who calls.
    pub fn operator(&self) -> Result<&str, Error> {
        match &self.caller {
            Caller::Operator(name) => Ok(name),
            _ => {
                Err(Error::new(Kind::Forbidden, "OPERATOR_REQUIRED", "only operators may do this"))
            }
        }
    }

    /// Refuses the call when it carries an `If-Match` that does not name the resource's etag.
    pub fn check_etag(&self, current: &str) -> Result<(), Error> {
        match header(&self.metadata, IF_MATCH)? {
            Some(wanted) if !base::etag::matches(wanted, current) => {
                Err(base::etag::stale(current))
            }
            _ => Ok(()),
        }
    }

    /// The page of a list that is asked for. A token is good for the same method and filters alone (AIP-158).
    pub fn page(&self) -> Result<Page, Error>
    where
        T: Paged + Clone,
    {
        let mut filters = self.message.clone();
        let (size, token) = filters.take_page();
        let mut list = self.method.as_bytes().to_vec();
        filters.encode(&mut list).map_err(|error| Error::internal(error.to_string()))?;
        let hash = digest::digest(&digest::SHA256, &list);
        let number = hash.as_ref().first_chunk().copied().map(u32::from_be_bytes);
        Page::parse(size, &token, number.unwrap_or_default())
    }

    /// A header of visible ASCII that the call carries, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.metadata.get(name)?.to_str().ok()
    }

    /// The command that this call is, for its idempotency key.
    pub fn command(&self) -> Command {
        let key = header(&self.metadata, IDEMPOTENCY_KEY).ok().flatten();
        let caller = match &self.caller {
            Caller::Anonymous => "anonymous".to_owned(),
            Caller::Member { id, .. } => id.to_string(),
            Caller::Service { name, .. } => format!("service:{name}"),
            Caller::Operator(name) => format!("operator:{name}"),
        };
        let hash = digest::digest(&digest::SHA256, &self.message.encode_to_vec());
        Command {
            caller,
            method: Arc::clone(&self.method),
            key: key.map(str::to_owned),
            request_hash: hash.as_ref().to_vec(),
        }
    }
}

/// A header of 1 to 255 characters of visible ASCII, if it was sent.
fn header<'a>(
    metadata: &'a MetadataMap,
    (key, name): (&'static str, &'static str),
) -> Result<Option<&'a str>, Error> {
    let Some(value) = metadata.get(key) else { return Ok(None) };
    let wrong = || Error::violation(name, "must be 1 to 255 characters of visible ASCII");
    let text = value.to_str().ok().filter(|text| (1..=LONGEST_HEADER).contains(&text.len()));
    text.map(Some).ok_or_else(wrong)
}

/// Carries out a command on its own, in the caller's trace: the caller may go away between two
/// commits, and tonic would drop what runs in the handler.
pub async fn to_the_end<T: Send + 'static>(
    command: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Error> {
    let command = tokio::spawn(command.in_current_span());
    command.await.map_err(|error| Error::internal(error.to_string()))?
}
