//! The consoles of sellers and admins, with services played here: who is let in, and what is taken.

use crate::shop::{Answer, Shop, money::REFUND};
use contracts::order::v1::PaymentMethod;
use identity::auth::Role;
use testkit::until;

const SELLER: [&str; 3] = ["/seller/products", "/seller/products/new", "/seller/products/1"];
/// For both.
const SHARED: [&str; 4] = ["/seller", "/seller/orders", "/seller/deliveries", "/seller/returns"];
const ADMIN: [&str; 8] = [
    "/admin",
    "/admin/members",
    "/admin/coupons",
    "/admin/templates",
    "/admin/money",
    "/admin/orders",
    "/admin/parked",
    "/admin/audit",
];
const PRODUCT: &str = "/seller/products/1";
const PICTURE: &str = "/seller/products/1/picture";

#[tokio::test]
async fn a_console_is_for_those_whose_role_it_is_and_for_nobody_else() {
    let shop = Shop::open();
    let member = Shop::member(&[Role::Member]);
    let seller = Shop::member(&[Role::Member, Role::Seller]);
    let admin = Shop::member(&[Role::Member, Role::Admin]);
    let refused: [(&[&str], &[&String]); 3] =
        [(&SELLER, &[&member, &admin]), (&ADMIN, &[&member, &seller]), (&SHARED, &[&member])];
    for (pages, others) in refused {
        for path in pages {
            let nobody = shop.get(path, &[]).await;
            assert!(nobody.header("location").starts_with("/sign-in"), "{path}");
            for cookie in others {
                assert_eq!(shop.get(path, &[("cookie", cookie)]).await.status, 403, "{path}");
            }
        }
    }
    for (path, own) in [
        ("/seller/products", &seller),
        ("/admin", &admin),
        ("/seller", &seller),
        ("/seller", &admin),
    ] {
        let front = shop.get(path, &[("cookie", own)]).await;
        assert_eq!(front.status, 200, "{path}");
        assert!(front.page.contains("aria-current=\"page\""), "{path}");
    }
    let links = async |cookie: &str| {
        let page = shop.get("/", &[("cookie", cookie)]).await.page;
        (page.contains("href=\"/seller\""), page.contains("href=\"/admin\""))
    };
    assert_eq!(links(&member).await, (false, false));
    assert_eq!(links(&seller).await, (true, false));
    assert_eq!(links(&admin).await, (false, true));
    for cookie in [&member, &admin] {
        let answer = shop.post("/seller/products/1", &[("cookie", cookie)], &[]).await;
        assert_eq!(answer.status, 403);
    }
    assert!(shop.calls("UpdateProduct").is_empty());
}

#[tokio::test]
async fn what_people_write_is_text_in_a_console_too() {
    let shop = Shop { name: "<script>alert(1)</script>\"'".to_owned(), ..Shop::open() };
    let both = Shop::member(&[Role::Member, Role::Seller, Role::Admin]);
    for path in ["/seller/products", "/seller/products/1", "/admin/members", "/admin/money"] {
        let answer = shop.get(path, &[("cookie", &both)]).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.page);
        assert!(answer.page.contains("&lt;script&gt;alert(1)"), "{path}");
        for inline in ["<script>", " style=", " onclick="] {
            assert!(!answer.page.contains(inline), "{path} has {inline}");
        }
    }
}

#[tokio::test]
async fn a_refund_that_the_acquirer_refuses_is_tried_again_or_given_back_in_another_way() {
    let shop = Shop { name: "ALREADY_CLOSED".to_owned(), ..Shop::open() };
    let admin = Shop::member(&[Role::Member, Role::Admin]);
    let headers = [("cookie", &*admin)];
    let shown = shop.get("/admin/money", &headers).await;
    assert_eq!(shown.status, 200, "{}", shown.page);
    for text in ["ALREADY_CLOSED", "12,900원", "카드사에 다시 시도", "다른 방법으로 돌려주기"]
    {
        assert!(shown.page.contains(text), "{text}: {}", shown.page);
    }
    let path = |what: &str| format!("/admin/refunds/{REFUND}/{what}");
    let key = [("key", REFUND)];
    let again = shop.post(&path("retry"), &headers, &key).await;
    assert_eq!((again.status, again.header("location")), (303, "/admin/money"));
    assert_eq!(shop.calls("RetryRefund"), [REFUND]);

    let mut fields = vec![("tender", "BANK_TRANSFER"), ("reason", "")];
    let wrong = shop.post(&path("settle"), &headers, &fields).await;
    assert_eq!(wrong.status, 422);
    assert!(wrong.page.contains("<details open"), "the form says what is missing: {}", wrong.page);
    fields[1].1 = "카드 해지";
    let settled = shop.post(&path("settle"), &headers, &fields).await;
    assert_eq!((settled.status, settled.header("location")), (303, "/admin/money"));
    let by_transfer = PaymentMethod::BankTransfer as i32;
    assert_eq!(shop.calls("SettleRefund"), [format!("{by_transfer} 카드 해지")]);

    let seller = Shop::member(&[Role::Member, Role::Seller]);
    let refused = shop.post(&path("settle"), &[("cookie", &seller)], &fields).await;
    assert_eq!((refused.status, shop.calls("SettleRefund").len()), (403, 1));
}

/// A form with a file, as browsers send it.
fn upload(signature: &str, file: &str) -> String {
    let part = |name: &str, value: &str| {
        format!("--xyz\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let file = format!(
        "--xyz\r\nContent-Disposition: form-data; name=\"picture\"; filename=\"a.png\"\r\n\
         Content-Type: image/png\r\n\r\n{file}\r\n--xyz--\r\n"
    );
    format!("{}{}{file}", part("csrf", signature), part("key", ""))
}

#[tokio::test]
async fn a_picture_is_taken_by_what_is_in_it_and_shown_under_its_hash() {
    let dir = tempfile::tempdir().expect("a directory");
    let pictures = dir.path().to_string_lossy().into_owned();
    let shop = Shop { pictures, ..Shop::open() };
    let seller = Shop::member(&[Role::Member, Role::Seller]);
    let signature = shop.get("/sign-in", &[]).await.field("csrf");
    let headers = [("cookie", &*seller), ("content-type", "multipart/form-data; boundary=xyz")];
    let svg = "<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>";
    let large = format!("GIF89a{}", "0".repeat(2 * 1024 * 1024));
    for (signature, file, status) in [
        (&*signature, svg, 422),
        (&*signature, "<html><script>alert(1)</script>", 422),
        (&*signature, "", 422),
        (&*signature, &large, 422),
        ("somebody else's", "GIF89a...", 403),
    ] {
        let answer = shop.send("POST", PICTURE, &headers, &upload(signature, file)).await;
        assert_eq!(answer.status, status, "{}", &file[..file.len().min(40)]);
    }
    assert!(shop.calls("UpdateProduct").is_empty());

    let answer = shop.send("POST", PICTURE, &headers, &upload(&signature, "GIF89a...")).await;
    assert_eq!((answer.status, answer.header("location")), (303, "/seller/products/1"));
    let hash = shop.picture.lock().expect("no panic").clone();
    let shown = shop.get(&format!("/pictures/{hash}"), &[]).await;
    assert_eq!((shown.status, &*shown.page), (200, "GIF89a..."));
    assert_eq!(shown.header("content-type"), "image/gif");
    assert_eq!(shown.header("cache-control"), "public, max-age=31536000, immutable");
    assert_eq!(shown.header("x-content-type-options"), "nosniff");
    assert!(shown.header("content-security-policy").contains("sandbox"));
    assert_eq!(shop.get("/pictures/..%2Fsecret", &[]).await.status, 404);
}

#[tokio::test]
async fn a_picture_that_no_product_names_is_deleted_after_a_week() {
    let dir = tempfile::tempdir().expect("a directory");
    let pictures = dir.path().to_string_lossy().into_owned();
    let [old, new, named] = ["a", "b", "c"].map(|digit| digit.repeat(64));
    let shop = Shop { pictures, other_picture: named.clone(), ..Shop::open() };
    let seller = Shop::member(&[Role::Member, Role::Seller]);
    let signature = shop.get("/sign-in", &[]).await.field("csrf");
    let headers = [("cookie", &*seller), ("content-type", "multipart/form-data; boundary=xyz")];
    let kept = |name: &str, days: u64| {
        let file = std::fs::File::create(dir.path().join(name)).expect("a file");
        let age = std::time::Duration::from_hours(24 * days);
        file.set_modified(std::time::SystemTime::now() - age).expect("an age");
    };
    kept(&old, 8);
    kept(&new, 6);
    kept(&named, 8);
    kept("something else", 8);
    let there = |name: &str| dir.path().join(name).exists();

    let answer = shop.send("POST", PICTURE, &headers, &upload(&signature, "GIF89a...")).await;
    assert_eq!(answer.status, 303);
    until("the old one is deleted", || async { !there(&old) }).await;
    let uploaded = shop.picture.lock().expect("no panic").clone();
    for name in [&*new, &named, &uploaded, "something else"] {
        assert!(there(name), "{name} is deleted");
    }
}

/// A form as a page has it: what is hidden in it, and what somebody types.
async fn filled(shop: &Shop, path: &str, shown: &Answer, typed: &[(&str, &str)]) -> Answer {
    let seller = Shop::member(&[Role::Member, Role::Seller, Role::Admin]);
    let names = ["displayName", "price", "description", "state"];
    let names = names.map(|name| format!("was.{name}"));
    let hidden = names.iter().map(String::as_str).chain(["etag"]);
    let hidden = hidden.filter(|name| shown.page.contains(&format!("name=\"{name}\"")));
    let hidden: Vec<_> = hidden.map(|name| (name, shown.field(name))).collect();
    let mut fields: Vec<_> = hidden.iter().map(|(name, value)| (*name, &**value)).collect();
    let said = ["displayName", "price", "description", "state"];
    for name in said.into_iter().filter(|name| typed.iter().all(|(typed, _)| typed != name)) {
        // What nobody touches is as it was shown.
        let was = format!("was.{name}");
        let value = hidden.iter().find(|(name, _)| *name == was).map_or("", |(_, value)| value);
        fields.push((name, value));
    }
    shop.post(path, &[("cookie", &seller)], &[&fields, typed].concat()).await
}

async fn shown(shop: &Shop, path: &str, lang: &str) -> Answer {
    let cookie = Shop::member(&[Role::Member, Role::Seller, Role::Admin]);
    shop.get(path, &[("cookie", &format!("{cookie}; hansang_lang={lang}"))]).await
}

#[tokio::test]
async fn a_name_that_somebody_else_has_changed_meanwhile_is_replaced_on_purpose_alone() {
    let shop = Shop::open();
    let page = shown(&shop, PRODUCT, "ko").await;
    shop.edit(|product| product.display_name = "순두부찌개".to_owned());
    shop.edit(|product| product.description = "매운맛".to_owned());

    let typed = [("displayName", "된장찌개"), ("price", "9,500")];
    let refused = filled(&shop, PRODUCT, &page, &typed).await;
    assert_eq!(refused.status, 409);
    assert_eq!(shop.edited().display_name, "순두부찌개");
    assert_eq!(shop.edited().etag, "2", "nothing is saved");
    for text in ["다른 사람이 바꾸었습니다", "지금 저장된 값: 순두부찌개", "value=\"된장찌개\""]
    {
        assert!(refused.page.contains(text), "{text}: {}", refused.page);
    }
    assert!(refused.page.contains("\n매운맛</textarea>"), "what it is now: {}", refused.page);

    let typed = [("displayName", "된장찌개"), ("price", "9500")];
    let saved = filled(&shop, PRODUCT, &refused, &typed).await;
    assert_eq!((saved.status, saved.header("location")), (303, PRODUCT));
    let now = shop.edited();
    assert_eq!((&*now.display_name, &*now.description), ("된장찌개", "매운맛"));
    assert_eq!(now.price.map(|price| price.units), Some(9_500));
}

#[tokio::test]
async fn an_edit_goes_through_while_units_are_sold_and_others_edit_other_fields() {
    let shop = Shop::open();
    let page = shown(&shop, PRODUCT, "ko").await;
    shop.edit(|product| product.stock -= 1);
    shop.edit(|product| product.description = "매운맛".to_owned());
    let saved = filled(&shop, PRODUCT, &page, &[("displayName", "된장찌개")]).await;
    assert_eq!((saved.status, saved.header("location")), (303, PRODUCT));
    let now = shop.edited();
    assert_eq!((&*now.display_name, &*now.description, now.stock), ("된장찌개", "매운맛", 9));
}

#[tokio::test]
async fn a_template_that_somebody_else_has_changed_meanwhile_is_replaced_on_purpose_alone() {
    let shop = Shop::open();
    shop.edit_body("처음");
    let (page, path) =
        (shown(&shop, "/admin/templates", "ko").await, "/admin/templates/member-registered");
    shop.edit_body("남의 글");
    // A form that was wrong otherwise is still for the text that it was shown with.
    let wrong = filled(&shop, path, &page, &[("body", "")]).await;
    assert_eq!(wrong.status, 422);
    let refused = filled(&shop, path, &wrong, &[("body", "내 글")]).await;
    assert_eq!((refused.status, &*shop.body()), (409, "남의 글"));
    for text in ["다른 사람이 바꾸었습니다", "지금 저장된 값: 남의 글", "\n내 글</textarea>"]
    {
        assert!(refused.page.contains(text), "{text}: {}", refused.page);
    }
    let saved = filled(&shop, path, &refused, &[("body", "내 글")]).await;
    assert_eq!((saved.status, &*shop.body()), (303, "내 글"));
}
