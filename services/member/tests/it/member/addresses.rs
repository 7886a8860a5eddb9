//! Where members have goods sent.

use std::time::Duration;

use base::{Error, error::Kind, id::Uuid};
use contracts::member::v1::{
    Address, CreateAddressRequest, DeleteAddressRequest, GetAddressRequest, ListAddressesRequest,
    address_service_client::AddressServiceClient,
};
use pg::task::{self, Due};
use testkit::{eventually, stage::As};
use tonic::{Response, transport::Channel};

use super::{Answer, Shop};

impl Shop {
    fn addresses(&self) -> AddressServiceClient<Channel> {
        AddressServiceClient::new(self.stage.channel())
    }

    async fn move_in(&self, caller: As, member: Uuid, line1: &str) -> Result<Address, Error> {
        let message = CreateAddressRequest {
            member_id: member.to_string(),
            recipient: " Kim ".into(),
            phone: "010-1234-5678".into(),
            postcode: "04524".into(),
            line1: line1.into(),
            ..CreateAddressRequest::default()
        };
        let request = self.stage.command(caller, message);
        let made = self.addresses().create_address(request).await;
        made.map(Response::into_inner).map_err(Error::from)
    }

    async fn address(&self, caller: As, member: Uuid, id: &str) -> Result<Address, Error> {
        let message =
            GetAddressRequest { member_id: member.to_string(), address_id: id.to_owned() };
        let found = self.addresses().get_address(self.stage.call(caller, message)).await;
        found.map(Response::into_inner).map_err(Error::from)
    }

    async fn lives_at(&self, member: Uuid) -> Vec<String> {
        let message = ListAddressesRequest { member_id: member.to_string(), ..Default::default() };
        let request = self.stage.call(As::Member(member), message);
        let list = self.addresses().list_addresses(request).await.expect("lists").into_inner();
        list.addresses.into_iter().map(|address| address.line1).collect()
    }

    async fn move_out(&self, member: Uuid, id: &str) -> Result<(), Error> {
        let message =
            DeleteAddressRequest { member_id: member.to_string(), address_id: id.to_owned() };
        let request = self.stage.command(As::Member(member), message);
        self.addresses().delete_address(request).await.map(drop).map_err(Error::from)
    }
}

#[tokio::test]
async fn a_member_has_addresses_that_nobody_else_sees() {
    let shop = Shop::open().await;
    let member = shop.sign_up(&[Answer::Cancelled(0)]).await;
    let me = As::Member(member);
    let home = shop.move_in(me, member, "Seoul").await.expect("is made");
    assert_eq!((&*home.recipient, &*home.postcode), ("Kim", "04524"));
    shop.move_in(me, member, "Busan").await.expect("is made");
    assert_eq!(shop.lives_at(member).await, ["Busan", "Seoul"]);
    assert_eq!(shop.address(me, member, &home.id).await.expect("is there"), home);
    let order = As::ServiceFor("order", member);
    assert_eq!(shop.address(order, member, &home.id).await.expect("is there"), home);

    let stranger = shop.sign_up(&[Answer::Cancelled(0)]).await;
    let kind = |answer: Result<Address, Error>| answer.expect_err("refused").kind();
    assert_eq!(kind(shop.address(As::Member(stranger), member, &home.id).await), Kind::NotFound);
    // Not even as their own.
    let own = shop.address(As::Member(stranger), stranger, &home.id).await;
    assert_eq!(kind(own), Kind::NotFound);
    let admin = shop.address(As::Admin(base::id::new()), member, &home.id).await;
    assert_eq!(kind(admin), Kind::NotFound);
    let foreign = shop.move_out(stranger, &home.id).await.expect_err("not theirs");
    assert_eq!(foreign.kind(), Kind::NotFound);

    shop.move_out(member, &home.id).await.expect("is gone");
    assert_eq!(shop.lives_at(member).await, ["Busan"]);
    assert_eq!(shop.move_out(member, &home.id).await.expect_err("gone").kind(), Kind::NotFound);
    shop.stage.close().await;
}

#[tokio::test]
async fn a_member_has_twenty_addresses_at_most_and_they_are_erased_with_them() {
    let shop = Shop::open().await;
    let member = shop.sign_up(&[Answer::Cancelled(0)]).await;
    let me = As::Member(member);
    let mut last = String::new();
    for number in 0..20 {
        last = shop.move_in(me, member, &format!("{number}")).await.expect("is made").id;
    }
    let full = shop.move_in(me, member, "20").await.expect_err("too many");
    assert_eq!((full.kind(), full.reason()), (Kind::Conflict, "ADDRESSES_FULL"));
    shop.move_out(member, &last).await.expect("is gone");
    shop.move_in(me, member, "20").await.expect("is made");

    shop.withdraw(member).await.expect("withdraws");
    assert_eq!(
        shop.move_in(me, member, "21").await.expect_err("left").reason(),
        "MEMBER_WITHDRAWN"
    );
    let database = shop.stage.database("member");
    let mut tx = database.begin().await.expect("begins");
    let now = Due::After(Duration::ZERO);
    task::schedule(&mut tx, "erase-member", member, now, &[]).await.expect("schedules");
    tx.commit().await.expect("commits");
    let erased = || async {
        let mut reader = database.read().await.ok()?;
        let row = reader.query_one("select count(*) from address", &[]).await.ok()?;
        (row.get::<_, i64>(0) == 0).then_some(())
    };
    eventually("no address left", erased).await;
    shop.stage.close().await;
}
