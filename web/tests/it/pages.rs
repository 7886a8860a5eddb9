//! The pages, with services played here: what a browser is told, who is let in, what is refused.

use crate::shop::{Shop, form};
use contracts::mypage::v1::order_view::Action;
use http::header;
use identity::auth::Role;

const HOSTILE: &str = "<script>alert(1)</script>\"' & <b>";
const CANCEL: &str = "/my/orders/1/cancel";

#[tokio::test]
async fn every_page_says_what_a_browser_may_load_and_nothing_is_inline() {
    let shop = Shop::open();
    let member = Shop::member(&[Role::Member]);
    let pages = ["/", "/products/1", "/cart", "/sign-in", "/sign-up", "/my", "/my/orders/1"];
    for path in pages {
        let answer = shop.get(path, &[("cookie", &member)]).await;
        let policy = answer.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'"), "{path}: {policy}");
        assert!(policy.contains("frame-ancestors 'none'"), "{path}: {policy}");
        assert!(!policy.contains("unsafe") && !policy.contains("http"), "{path}: {policy}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("referrer-policy"), "same-origin", "{path}");
        assert_eq!(answer.header("cache-control"), "no-store", "{path}");
        for inline in [" style=", "<style", "<script>", " onclick=", "javascript:", "http"] {
            assert!(!answer.page.contains(inline), "{path} has {inline}");
        }
        assert!(answer.page.contains("<html lang=\"ko\">"), "{path}");
    }
}

#[tokio::test]
async fn a_session_is_a_cookie_that_only_this_site_and_no_script_has() {
    let shop = Shop::open();
    let fields = [("email", "me@example.com"), ("password", "correct horse")];
    let answer = shop.post("/sign-in", &[], &fields).await;
    assert_eq!((answer.status, answer.header("location")), (303, "/"));
    let session = answer.cookie("hansang_session").expect("a session");
    assert!(session.contains("; HttpOnly; SameSite=Lax"), "{session}");
    assert!(!session.contains("Secure"), "{session}: nobody could sign in without TLS");
    assert!(answer.cookie("hansang_visitor").is_some(), "forms from before the session are void");

    let https = [("x-forwarded-proto", "https")];
    let answer = Shop::behind_a_proxy().post("/sign-in", &https, &fields).await;
    let session = answer.cookie("hansang_session").expect("a session");
    assert!(session.ends_with("; Secure"), "{session}");
    // Where no proxy is trusted, nobody's word for it is taken.
    let answer = shop.post("/sign-in", &https, &fields).await;
    assert!(!answer.cookie("hansang_session").expect("a session").contains("Secure"));
}

#[tokio::test]
async fn what_another_site_sends_changes_nothing() {
    let shop = Shop::open();
    let member = Shop::member(&[Role::Member]);
    for header in [
        ("origin", "https://elsewhere.example"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ] {
        let answer = shop.post(CANCEL, &[("cookie", &member), header], &[]).await;
        assert_eq!(answer.status, 403, "{header:?}");
    }
    let unsigned = shop.send("POST", CANCEL, &[("cookie", &member)], "key=x").await;
    assert_eq!(unsigned.status, 403, "a form that no page of ours has made");
    let stranger = shop.send("POST", CANCEL, &[("cookie", &member)], &form("another", &[])).await;
    assert_eq!(stranger.status, 403, "another visitor's form");
    assert!(shop.calls("CancelOrder").is_empty());

    let own = [("cookie", member.as_str()), ("origin", "http://shop.example")];
    let answer = shop.post(CANCEL, &own, &[]).await;
    assert_eq!((answer.status, answer.header("location")), (303, "/my/orders/1"));
    assert_eq!(shop.calls("CancelOrder").len(), 1);
}

#[tokio::test]
async fn a_form_that_is_sent_twice_carries_the_same_key_twice() {
    let shop = Shop::open();
    let member = Shop::member(&[Role::Member]);
    let key = "0198c9a8-0000-7000-8000-000000000001";
    for _ in 0..2 {
        shop.post(CANCEL, &[("cookie", &member)], &[("key", key)]).await;
    }
    assert_eq!(shop.calls("CancelOrder"), [key, key]);
    let (one, two) = (shop.get("/sign-up", &[]).await, shop.get("/sign-up", &[]).await);
    assert_ne!(one.field("key"), two.field("key"), "each form has a key of its own");
}

#[tokio::test]
async fn services_are_asked_by_whoever_visits_from_where_they_visit() {
    let shop = Shop::open();
    let member = Shop::member(&[Role::Member]);
    let token = member.trim_start_matches("hansang_session=");
    shop.get("/", &[("x-forwarded-for", "192.0.2.7"), ("authorization", "Bearer forged")]).await;
    shop.get("/", &[("cookie", &member)]).await;
    let asked = [" 192.0.2.7  127.0.0.1".to_owned(), format!("Bearer {token}   127.0.0.1")];
    assert_eq!(shop.calls("ListProducts"), asked, "and no cookie goes on");
}

#[tokio::test]
async fn nobody_is_sent_to_another_site() {
    let shop = Shop::open();
    for next in ["https://elsewhere.example/", "//elsewhere.example", "/\\elsewhere.example"] {
        let fields = [("email", "me@example.com"), ("password", "correct horse"), ("next", next)];
        let answer = shop.post("/sign-in", &[], &fields).await;
        assert_eq!((answer.status, answer.header("location")), (303, "/"), "{next}");
        let answer = shop.post("/language", &[], &[("to", "en"), ("next", next)]).await;
        assert_eq!((answer.status, answer.header("location")), (303, "/"), "{next}");
    }
    let answer = shop.get("/my/wallet?page=2", &[]).await;
    assert_eq!(answer.header("location"), "/sign-in?next=%2Fmy%2Fwallet%3Fpage%3D2");
}

#[tokio::test]
async fn what_people_write_is_text_wherever_it_is_shown() {
    let shop = Shop { name: HOSTILE.to_owned(), ..Shop::open() };
    let member = Shop::member(&[Role::Member]);
    let search = "/?query=%3Cscript%3Ealert(1)%3C%2Fscript%3E%22";
    for path in ["/", search, "/products/1", "/my", "/my/orders/1"] {
        let answer = shop.get(path, &[("cookie", &member)]).await;
        assert_eq!(answer.status, 200, "{path}");
        assert!(!answer.page.contains("<script>") && !answer.page.contains("<b>"), "{path}");
        assert!(answer.page.contains("&lt;script&gt;alert(1)"), "{path}");
    }
    let typed = [("email", "\"><script>alert(1)</script>"), ("password", "wrong")];
    let answer = shop.post("/sign-in", &[], &typed).await;
    assert_eq!(answer.status, 401);
    assert!(answer.page.contains("&lt;script&gt;") && !answer.page.contains("<script>"));
}

#[tokio::test]
async fn an_order_has_the_buttons_of_what_its_member_may_do() {
    let cancel = "action=\"/my/orders/1/cancel\"";
    let confirm = "action=\"/my/orders/1/confirm\"";
    let parts = "action=\"/my/orders/1/cancel-lines\"";
    let give_back = "action=\"/my/orders/1/return\"";
    for (actions, shown) in [
        (&[][..], &[][..]),
        (&[Action::Cancel], &[cancel]),
        (&[Action::ConfirmReceipt], &[confirm]),
        (&[Action::Cancel, Action::CancelLines, Action::ConfirmReceipt], &[cancel, confirm, parts]),
        (&[Action::RequestReturn], &[give_back]),
        (&[Action::PayDeposit], &["HS-1234"]),
    ] {
        let shop = Shop { actions: actions.to_vec(), ..Shop::open() };
        let member = Shop::member(&[Role::Member]);
        let page = shop.get("/my/orders/1", &[("cookie", &member)]).await.page;
        for button in [cancel, confirm, parts, give_back, "HS-1234"] {
            assert_eq!(page.contains(button), shown.contains(&button), "{actions:?} {button}");
        }
    }
}

#[tokio::test]
async fn the_front_page_is_light() {
    let shop = Shop::open();
    let answer = shop.get("/", &[]).await;
    assert_eq!(answer.page.matches("class=\"product\"").count(), 24);
    let mut all = answer.page.len();
    for kind in [".css", ".js", ".svg"] {
        let mut parts = answer.page.split('"');
        let address = parts.find(|part| part.contains(kind) && part.contains("?v="));
        let asset = shop.get(address.expect("an asset"), &[]).await;
        assert_eq!(asset.header("cache-control"), "public, max-age=31536000, immutable");
        all += asset.page.len();
    }
    assert!(all < 50_000, "{all} bytes");
    let other = shop.get("/assets/shop.css?v=before", &[]).await;
    assert_eq!(other.header("cache-control"), "no-cache", "it is not what was asked for");
}

#[tokio::test]
async fn a_cart_is_kept_and_what_is_not_one_is_empty() {
    let shop = Shop::open();
    let product = "0198c9a8-0000-7000-8000-000000000002";
    let answer = shop.post("/cart", &[], &[("product", product), ("quantity", "3")]).await;
    assert_eq!(answer.header("location"), "/cart");
    let cart = answer.cookie("hansang_cart").expect("a cart");
    assert!(cart.contains("HttpOnly; SameSite=Lax"), "{cart}");
    let cart = cart.split(';').next().expect("a pair").to_owned();
    let page = shop.get("/cart", &[("cookie", &cart)]).await.page;
    assert!(page.contains("value=\"3\"") && page.contains("주문하기"));
    let empty = shop.get("/cart", &[("cookie", "hansang_cart=%%%~x.y~..")]).await;
    assert_eq!(empty.status, 200);
    assert!(empty.page.contains("장바구니가 비어 있습니다"));
}

#[tokio::test]
async fn a_page_is_in_the_visitors_language() {
    let shop = Shop::open();
    let english = shop.get("/sign-up", &[("accept-language", "en-GB,ko;q=0.5")]).await;
    assert!(english.page.contains("<html lang=\"en\">") && english.page.contains("Sign up"));
    let chosen = [("accept-language", "en"), ("cookie", "hansang_lang=ko")];
    assert!(shop.get("/sign-up", &chosen).await.page.contains("회원가입"));
}

#[tokio::test]
async fn what_is_away_is_said_with_when_to_try_again() {
    let shop = Shop { away: true, ..Shop::open() };
    let answer = shop.get("/", &[]).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, "1"));
    assert!(answer.page.contains("1초 뒤"), "{}", answer.page);
    // My Page is there, and says what is not.
    let member = Shop::member(&[Role::Member]);
    let answer = shop.get("/my", &[("cookie", &member)]).await;
    assert_eq!(answer.status, 200);
    for part in ["주문 서비스", "결제 서비스", "배송 서비스"] {
        assert!(answer.page.contains(part), "{part}");
    }
}

#[tokio::test]
async fn my_page_alone_is_asked_which_services_are_away_and_their_buttons_say_so() {
    let actions = vec![Action::Cancel, Action::ConfirmReceipt, Action::CancelLines];
    let shop = Shop { actions, ..Shop::open() };
    let member = Shop::member(&[Role::Member]);
    let order = "/my/orders/1";
    let well = shop.get(order, &[("cookie", &member)]).await;
    assert_eq!(well.page.matches(" disabled").count(), 0, "{}", well.page);

    let shop = Shop { away: true, ..shop };
    let away = shop.get(order, &[("cookie", &member)]).await;
    assert_eq!(away.status, 200);
    assert_eq!(away.page.matches(" disabled").count(), 3, "{}", away.page);
    assert!(away.page.contains("지금은 할 수 없습니다"), "{}", away.page);
    let wallet = shop.get("/my/wallet", &[("cookie", &member)]).await;
    assert!(wallet.page.contains("결제 서비스가 응답하지 않습니다"), "{}", wallet.page);
    assert_eq!(shop.calls("GetWallet"), [""; 0], "nobody waits for payment");
    assert!(!shop.calls("GetMyPage").is_empty());
}

#[tokio::test]
async fn who_asks_too_often_gets_a_page_that_says_when_to_come_back() {
    let shop = Shop { too_much: true, ..Shop::open() };
    let member = Shop::member(&[Role::Member]);
    let english = [("cookie", &*member), ("accept-language", "en")];
    for path in ["/", "/products/1", "/my", "/my/orders", "/my/orders/1", "/my/wallet"] {
        let answer = shop.get(path, &[("cookie", &member)]).await;
        assert_eq!((answer.status, answer.header("retry-after")), (429, "3"), "{path}");
        assert!(answer.page.contains("<h1>요청이 너무 많습니다</h1>"), "{path}: {}", answer.page);
        assert!(answer.page.contains("3초 뒤에 다시"), "{path}: {}", answer.page);
        assert!(!answer.page.contains("응답하지 않습니다"), "{path}: nothing is away");
        let answer = shop.get(path, &english).await;
        assert!(answer.page.contains("Please try again in 3 s."), "{path}: {}", answer.page);
    }
    // What was typed is still there, and so is what it was sent under.
    let typed = [("email", "me@example.com"), ("password", "correct horse")];
    let answer = shop.post("/sign-in", &[], &typed).await;
    assert_eq!((answer.status, answer.header("retry-after")), (429, "3"));
    assert!(answer.page.contains("me@example.com") && answer.page.contains("3초 뒤"));
    let cancelled = shop.post(CANCEL, &[("cookie", &member)], &[]).await;
    assert_eq!((cancelled.status, cancelled.header("retry-after")), (429, "3"));
    assert_eq!(shop.calls("CancelOrder"), [""; 0]);
}

#[tokio::test]
async fn an_address_that_names_nothing_is_not_found_whatever_the_api_calls_it() {
    let shop = Shop::open();
    let member = Shop::member(&[Role::Member]);
    for path in ["/products/..%2f..%2fetc", "/my/orders/..%2fadmin", "/my/orders/%00"] {
        let answer = shop.get(path, &[("cookie", &member)]).await;
        assert_eq!(answer.status, 404, "{path}: {}", answer.page);
        assert!(answer.page.contains("찾을 수 없습니다"), "{path}");
    }
}

#[tokio::test]
async fn a_program_gets_a_problem_where_a_person_gets_a_page() {
    let shop = Shop::open();
    let page = shop.get("/nowhere", &[]).await;
    assert_eq!(page.status, 404);
    assert!(page.page.contains("찾을 수 없습니다"));
    let policies = page.headers.get_all(header::CONTENT_SECURITY_POLICY).iter().count();
    assert_eq!(policies, 1, "of what is not there, too");
    assert!(shop.get("/nowhere", &[("accept", "*/*")]).await.problem);
    assert!(shop.get("/v1/nowhere", &[]).await.problem);
}
