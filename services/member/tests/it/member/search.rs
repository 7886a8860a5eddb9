//! Admins find members by words of their address and name, and see what they may do.

use contracts::member::v1::{
    GrantRoleRequest, ListMembersRequest, ListMembersResponse, RegisterMemberRequest, Role,
};
use testkit::stage::As;
use tonic::{Code, Response, Status};

use super::{PASSWORD, Shop};

impl Shop {
    async fn signs_up(&self, email: &str, display_name: &str) -> String {
        let message = RegisterMemberRequest {
            email: email.into(),
            password: PASSWORD.into(),
            display_name: display_name.into(),
        };
        let request = self.stage.call(As::Nobody, message);
        self.members.clone().register_member(request).await.expect("signs up").into_inner().id
    }

    async fn list(
        &self,
        caller: As,
        query: &str,
        (page_size, page_token): (i32, &str),
    ) -> Result<ListMembersResponse, Status> {
        let (query, page_token) = (query.to_owned(), page_token.to_owned());
        let request = ListMembersRequest { query, page_size, page_token };
        let page = self.members.clone().list_members(self.stage.call(caller, request)).await;
        page.map(Response::into_inner)
    }
}

#[tokio::test]
async fn admins_find_members_by_address_and_name_and_nobody_else_does() {
    let shop = Shop::open().await;
    let (admin, id) = (As::Admin(base::id::new()), base::id::new());
    let kim = shop.signs_up("Kim.Minji@example.com", "김민지").await;
    let lee = shop.signs_up("lee_a%b@example.org", "이서준").await;
    for (query, found) in [
        ("", vec![&lee, &kim]),
        ("example", vec![&lee, &kim]),
        ("kim.m", vec![&kim]),
        ("민지", vec![&kim]),
        ("KIM 김", vec![&kim]),
        ("lee 김", vec![]),
        ("_a%b", vec![&lee]),
        ("e%m", vec![]),
    ] {
        let page = shop.list(admin, query, (0, "")).await.expect(query);
        let ids: Vec<&String> = page.members.iter().map(|member| &member.id).collect();
        assert_eq!(ids, found, "{query}");
    }
    let first = shop.list(admin, "example", (1, "")).await.expect("a page");
    assert_eq!(first.members[0].id, lee);
    assert_eq!(first.members[0].roles, [i32::from(Role::Member)]);
    let next = (1, &*first.next_page_token);
    let second = shop.list(admin, "example", next).await.expect("a page");
    assert_eq!((&second.members[0].id, &*second.next_page_token), (&kim, ""));
    let other = shop.list(admin, "", next).await.expect_err("another list's token");
    assert_eq!(other.code(), Code::InvalidArgument);
    for (caller, code) in [
        (As::Nobody, Code::Unauthenticated),
        (As::Member(id), Code::PermissionDenied),
        (As::Seller(id), Code::PermissionDenied),
    ] {
        assert_eq!(shop.list(caller, "", (0, "")).await.expect_err("not theirs").code(), code);
    }
    let grant = GrantRoleRequest { member_id: kim, role: Role::Seller.into() };
    shop.members.clone().grant_role(shop.stage.call(admin, grant)).await.expect("granted");
    let found = shop.list(admin, "민지", (0, "")).await.expect("a page");
    assert_eq!(found.members[0].roles, [Role::Member, Role::Seller].map(i32::from));
    shop.stage.close().await;
}
