//! The calls about a member's addresses: parse, call, render.

use contracts::member::v1::{
    self as pb, CreateAddressRequest, DeleteAddressRequest, DeleteAddressResponse,
    GetAddressRequest, ListAddressesRequest, ListAddressesResponse,
    address_service_server::AddressService,
};
use pg::{Database, Tx, idempotency};
use server::Incoming;
use tonic::{Request, Response, Status};

use crate::{
    domain::{
        MemberId,
        address::{Address, AddressId},
    },
    service::refuse_revoked,
    store::address,
    wire,
};

/// Answers calls about addresses.
pub(crate) struct Addresses {
    pub(crate) database: Database,
}

#[tonic::async_trait]
impl AddressService for Addresses {
    async fn create_address(
        &self,
        request: Request<CreateAddressRequest>,
    ) -> Result<Response<pb::Address>, Status> {
        let (incoming, member) = Incoming::owned(request, "memberId", |m| &m.member_id)?;
        refuse_revoked(&self.database, &incoming.caller).await?;
        let message = &incoming.message;
        let new = Address::parse(&Address {
            recipient: message.recipient.clone(),
            phone: message.phone.clone(),
            postcode: message.postcode.clone(),
            line1: message.line1.clone(),
            line2: message.line2.clone(),
            memo: message.memo.clone(),
        })?;
        let (id, member) = (AddressId(base::id::new()), MemberId(member));
        let create =
            async |tx: &mut Tx| Ok(wire::address(&address::insert(tx, member, id, &new).await?));
        let reply = idempotency::once(&self.database, &incoming.command(), id.0, create).await?;
        Ok(reply.created(|address| format!("/v1/members/{member}/addresses/{}", address.id))?)
    }

    async fn get_address(
        &self,
        request: Request<GetAddressRequest>,
    ) -> Result<Response<pb::Address>, Status> {
        let (incoming, member) = Incoming::owned(request, "memberId", |m| &m.member_id)?;
        refuse_revoked(&self.database, &incoming.caller).await?;
        let id = AddressId::parse("addressId", &incoming.message.address_id)?;
        let mut reader = self.database.read().await?;
        let stored = address::get(&mut reader, MemberId(member), id).await?;
        Ok(Response::new(wire::address(&stored)))
    }

    async fn list_addresses(
        &self,
        request: Request<ListAddressesRequest>,
    ) -> Result<Response<ListAddressesResponse>, Status> {
        let (incoming, member) = Incoming::owned(request, "memberId", |m| &m.member_id)?;
        refuse_revoked(&self.database, &incoming.caller).await?;
        let page = incoming.page()?;
        let mut reader = self.database.read().await?;
        let addresses = address::list(&mut reader, MemberId(member), page).await?;
        let addresses = addresses.iter().map(|stored| (stored.id.0, wire::address(stored)));
        let (addresses, next_page_token) = page.cut(addresses);
        Ok(Response::new(ListAddressesResponse { addresses, next_page_token }))
    }

    async fn delete_address(
        &self,
        request: Request<DeleteAddressRequest>,
    ) -> Result<Response<DeleteAddressResponse>, Status> {
        let (incoming, member) = Incoming::owned(request, "memberId", |m| &m.member_id)?;
        refuse_revoked(&self.database, &incoming.caller).await?;
        let id = AddressId::parse("addressId", &incoming.message.address_id)?;
        let delete = async |tx: &mut Tx| {
            address::delete(tx, MemberId(member), id).await?;
            Ok(DeleteAddressResponse {})
        };
        let command = incoming.command();
        Ok(idempotency::once(&self.database, &command, id.0, delete).await?.into())
    }
}
