//! The deployment at a glance: what `/ops` shows while orders go through, and when a
//! service is gone; to an admin, or to this machine where it is open.

use app::rest::Rest;

use crate::{
    deployment::{Deployment, eventually},
    people::with_status,
};

/// The page, as this client gets it.
async fn page(rest: &Rest, query: &str) -> String {
    let answer = rest.get(&format!("/ops{query}")).await.expect("an answer");
    with_status(200, answer).body.as_str().expect("a page").to_owned()
}

/// The row of a table that begins so, up to its end.
fn row<'a>(page: &'a str, begins: &str) -> &'a str {
    let row = page.split_once(begins).map_or("", |(_, row)| row);
    row.split_once("</tr>").map_or("", |(row, _)| row)
}

async fn eventually_shows(rest: &Rest, begins: &str, shown: &str) {
    eventually(&format!("{shown} at {begins}"), async || {
        let page = page(rest, "").await;
        let row = row(&page, begins);
        if row.contains(shown) { Ok(()) } else { Err(format!("{row:?} of {page}")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_house_at_a_glance() {
    let mut deployment = Deployment::split("ops").await;
    let admin = deployment.admin().await;
    let member = deployment.member(100_000).await;
    let product = deployment.product(1_000, 10).await;
    assert_eq!(deployment.rest().get("/ops").await.expect("an answer").status, 401);
    assert_eq!(member.get("/ops").await.status, 403);

    let order = member.order(&product, 1).await;
    member.eventually_sees(&order, "DELIVERING").await;
    eventually_shows(&admin, "data-consumer=\"mypage\" data-source=\"order\"", "n\">0<").await;
    let all = page(&admin, "").await;
    assert!(
        row(&all, "<tr data-route=\"POST /v1/orders\"").contains("<td class=\"n\">1<"),
        "{all}"
    );
    for service in app::run::SERVICES {
        let row = row(&all, &format!("<tr data-service=\"{}\"", service.name));
        assert!(row.contains("<span class=\"good\">serving"), "{}: {row}", service.name);
    }
    assert!(all.contains("<b id=\"services-up\">9 / 9</b>"), "{all}");

    // My Page hears of each milestone a little later.
    let shown = ["<dd>DELIVERING</dd>", "<dd>WALLET</dd>", "<dd>STARTED</dd>", "<td>배송중</td>"];
    eventually("the order's history", async || {
        let all = page(&admin, &format!("?order={order}")).await;
        let missing = shown.iter().find(|shown| !all.contains(**shown));
        missing.map_or(Ok(()), |missing| Err(format!("{missing}: {all}")))
    })
    .await;
    let nobodys = page(&admin, &format!("?order={}", uuid::Uuid::nil())).await;
    assert!(nobodys.contains("there is no such resource"), "{nobodys}");

    // What is under way is measured at the start, and then every few seconds.
    deployment.kill("order");
    deployment.start("order").await;
    eventually_shows(&admin, "<tr data-state=\"DELIVERING\"", "<td class=\"n\">1<").await;

    deployment.kill("payment");
    eventually_shows(&admin, "<tr data-service=\"payment\"", "<span class=\"bad\">unreachable")
        .await;
    let all = page(&admin, "").await;
    assert!(all.contains("<b id=\"services-up\" class=\"bad\">8 / 9</b>"), "{all}");
    // Calls that find nobody, until the gateway leaves it alone.
    eventually("an open breaker", async || {
        member.get("/v1/payments").await;
        let page = page(&admin, "").await;
        let row = row(&page, "<tr data-breaker=\"payment\"");
        if row.contains(">open<") { Ok(()) } else { Err(row.to_owned()) }
    })
    .await;
    deployment.start("payment").await;
    eventually_shows(&admin, "<tr data-service=\"payment\"", "<span class=\"good\">serving").await;

    let open = ("HANSANG__HTTP__OPS", "open".to_owned());
    deployment.kill("gateway");
    deployment.start_with("gateway", &[open]).await;
    let anyone = deployment.rest();
    assert!(page(&anyone, "").await.contains("9 / 9"));
    let refused = page(&anyone, &format!("?order={order}")).await;
    assert!(refused.contains("sign in first") && !refused.contains("<dd>"), "{refused}");
    deployment.all_holds().await;
}
