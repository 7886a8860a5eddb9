//! Where the goods of an order go: asked of member when it is placed, told to delivery and My Page alone, by
//! a task, and kept nowhere here once they have it. So it is the address of that moment, whatever becomes of
//! it, and neither placing an order nor starting its delivery waits for either.

use std::time::Duration;

use base::{Error, error::Kind};
use contracts::{
    delivery::v1::{DeclareAddressRequest, delivery_service::DECLARE_ADDRESS},
    member::v1::{Address, GetAddressRequest, address_service::GET_ADDRESS},
    mypage::v1::{ShowAddressRequest, my_page_service::SHOW_ADDRESS},
};
use pg::{
    Database, Tx,
    task::{self, Due, Task},
};
use prost::Message as _;
use rpc::{Failure, Peer};

use crate::{
    domain::{MemberId, OrderId},
    store,
};

/// The kind of the task that tells them.
pub(crate) const TASK: &str = "declare-address";

/// An address, encoded. Never said in events or logs.
pub(crate) struct Destination(Vec<u8>);

/// Has them told once `tx` has committed.
pub(crate) async fn declare(
    tx: &mut Tx,
    order: OrderId,
    Destination(address): &Destination,
) -> Result<(), Error> {
    task::schedule(tx, TASK, order.0, Due::After(Duration::ZERO), address).await
}

/// Knows members' addresses.
pub(crate) struct Addresses {
    pub(crate) member: Peer,
    pub(crate) deadline: Duration,
}

impl Addresses {
    /// The address of this id, which has to be the member's; none when none is asked for, which asks
    /// nobody.
    pub(crate) async fn find(
        &self,
        member: MemberId,
        address: &str,
    ) -> Result<Option<Destination>, Error> {
        if address.is_empty() {
            return Ok(None);
        }
        let address = base::id::parse("addressId", address)?;
        let request =
            GetAddressRequest { member_id: member.to_string(), address_id: address.to_string() };
        let asked = self.member.on_behalf_of(member.0);
        match asked.unary(GET_ADDRESS, &request, self.deadline).await {
            Ok(address) => Ok(Some(Destination(address.encode_to_vec()))),
            Err(Failure::Refused(status)) => {
                let refusal = Error::from(status);
                Err(match refusal.kind() {
                    Kind::NotFound => Error::violation("addressId", "is not one of your addresses"),
                    _ => refusal,
                })
            }
            Err(Failure::NeverRan(_) | Failure::Unknown(_)) => Err(Error::unavailable(
                "MEMBER_UNAVAILABLE",
                "member is unavailable; no order was placed, and nothing was charged",
            )),
        }
    }
}

/// Tells delivery and My Page where goods go.
pub(crate) struct Declarations {
    pub(crate) database: Database,
    pub(crate) delivery: Peer,
    pub(crate) mypage: Peer,
    pub(crate) deadline: Duration,
}

impl Declarations {
    /// Carries out the task.
    pub(crate) async fn tell(&self, task: &Task) -> Result<(), Error> {
        let order = OrderId(task.key);
        let stored = store::get(&mut self.database.read().await?, order, None).await?;
        let member = stored.order.member;
        let (order_id, member_id) = (order.to_string(), member.to_string());
        let address = Address::decode(&*task.payload)
            .map_err(|error| Error::internal(format!("stored address: {error}")))?;
        let request = DeclareAddressRequest {
            order_id: order_id.clone(),
            member_id: member_id.clone(),
            address: Some(address.clone()),
        };
        let delivery = self.delivery.on_behalf_of(member.0);
        delivery.unary(DECLARE_ADDRESS, &request, self.deadline).await?;
        let request = ShowAddressRequest { order_id, member_id, address: Some(address) };
        let mypage = self.mypage.on_behalf_of(member.0);
        mypage.unary(SHOW_ADDRESS, &request, self.deadline).await?;
        Ok(())
    }
}
