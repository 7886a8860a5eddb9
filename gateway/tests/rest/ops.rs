//! `/ops`: who is let in, and what they get.

use settings::Ops;

use super::*;

fn bearer(roles: &[Role]) -> String {
    let mut settings = Settings::default();
    settings.auth.signing_key = Secret::new(KEY);
    let issuer = Issuer::new(&settings.auth).expect("issuer");
    let issued = issuer.issue(uuid::Uuid::now_v7(), roles.to_vec(), SystemTime::now());
    format!("authorization: Bearer {}\r\n", issued.expect("token").0)
}

async fn ask(table: &Table, headers: &str) -> (u16, String, Value) {
    let request = format!("GET /ops HTTP/1.1\r\nconnection: close\r\n{headers}\r\n");
    table.raw(request.as_bytes()).await
}

#[tokio::test]
async fn where_it_is_not_open_only_admins_are_let_in() {
    let table = Table::lay().await;
    let host = "host: localhost\r\n";
    let (status, head, problem) = ask(&table, host).await;
    assert_eq!((status, &problem["reason"]), (401, &json!("UNAUTHENTICATED")));
    assert!(head.contains("content-type: application/problem+json"), "{head}");
    assert!(head.contains("www-authenticate: bearer"), "{head}");
    for roles in [&[Role::Member][..], &[Role::Member, Role::Seller]] {
        let (status, head, problem) = ask(&table, &format!("{host}{}", bearer(roles))).await;
        assert_eq!((status, &problem["reason"]), (403, &json!("ROLE_REQUIRED")));
        assert!(head.contains("content-type: application/problem+json"), "{head}");
        assert!(head.contains("cache-control: no-store"), "{head}");
    }
    let (status, _, problem) = ask(&table, &format!("{host}authorization: Bearer x\r\n")).await;
    assert_eq!((status, &problem["code"]), (401, &json!("UNAUTHENTICATED")));

    let (status, head, page) = ask(&table, &format!("{host}{}", bearer(&[Role::Admin]))).await;
    assert_eq!(status, 200, "{page}");
    assert!(head.contains("content-type: text/html; charset=utf-8"), "{head}");
    assert!(head.contains("cache-control: no-store"), "{head}");
    assert!(head.contains("x-content-type-options: nosniff"), "{head}");
}

#[tokio::test]
async fn a_browser_is_asked_to_sign_in_and_shown_nothing_else() {
    let table = Table::lay().await;
    let (status, head, page) = ask(&table, "host: h\r\naccept: text/html,*/*;q=0.8\r\n").await;
    let page = page.as_str().expect("a page");
    assert_eq!(status, 401);
    assert!(page.contains("id=\"sign-in\"") && !page.contains("id=\"services\""), "{page}");
    assert!(head.contains("www-authenticate: bearer"), "{head}");
}

#[tokio::test]
async fn an_open_one_shows_its_figures_to_this_machine_and_no_order() {
    let table = Table::lay_with(|settings| settings.http.ops = Ops::Open).await;
    let (status, head, page) = ask(&table, "host: 127.0.0.1:8080\r\n").await;
    let page = page.as_str().expect("a page");
    assert_eq!(status, 200);
    // Nothing listens where order should be; product serves neither metrics nor health here.
    assert!(page.contains("<td>order</td><td>127.0.0.1:1</td><td><span class=\"bad\">unreach"));
    let policy = head.lines().find_map(|line| line.strip_prefix("content-security-policy: "));
    let policy = policy.expect("a policy");
    let nonce = policy.split_once("script-src 'nonce-").expect("a nonce").1;
    let nonce = nonce.split_once('\'').expect("its end").0;
    assert!(policy.starts_with("default-src 'none'; ") && !policy.contains("unsafe"), "{policy}");
    assert!(page.contains(&format!("<script type=\"module\" nonce=\"{nonce}\">")), "{page}");
    let (_, again, _) = ask(&table, "host: 127.0.0.1:8080\r\n").await;
    assert!(!again.contains(nonce), "a nonce is used once");

    for headers in ["host: evil.example\r\n", "host: localhost\r\nx-forwarded-for: 127.0.0.1\r\n"] {
        assert_eq!(ask(&table, headers).await.0, 401, "{headers}");
    }
    let order = format!("GET /ops?order={} HTTP/1.1\r\nhost: localhost\r\n", uuid::Uuid::nil());
    let (status, _, page) = table.raw(format!("{order}connection: close\r\n\r\n").as_bytes()).await;
    let page = page.as_str().expect("a page").to_owned();
    assert!(status == 200 && page.contains("Orders are for admins: sign in first."), "{page}");
    let wrong = "host: localhost\r\nauthorization: Bearer x\r\n";
    assert_eq!(ask(&table, wrong).await.0, 401, "a wrong token is not as good as none");
}

#[tokio::test]
async fn it_is_looked_at_and_nothing_else() {
    let table = Table::lay_with(|settings| settings.http.ops = Ops::Open).await;
    assert_eq!(table.send("POST /ops", "", "").await.0, 404);
    assert_eq!(table.send("GET /ops/else", "", "").await.0, 404);
}
