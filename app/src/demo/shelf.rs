//! What the shop sells besides the stories' products: something to look at in a browser.

use anyhow::Result;
use http::Method;
use serde_json::json;

use super::cast::{Cast, won};

/// Name, price, stock, description.
const SHELF: &[(&str, i64, i64, &str)] = &[
    (
        "이천 햅쌀 10kg",
        42_000,
        60,
        "올해 거둔 쌀을 주문받은 날 찧어 보냅니다.\n서늘한 곳에 두고 한 달 안에 드세요.",
    ),
    (
        "전주식 콩나물국밥",
        8_900,
        120,
        "맑은 국물에 아삭한 콩나물을 듬뿍 담았습니다.\n1인분, 냄비에 7분.",
    ),
    ("궁중 떡볶이", 12_900, 80, "고추장 대신 간장과 참기름으로 볶는 떡볶이입니다.\n2인분, 15분."),
    ("안동 찜닭", 18_500, 40, "당면과 감자를 넉넉히 넣은 짭조름한 찜닭.\n3인분, 30분."),
    ("통영 굴국밥", 10_900, 5, "겨울 굴이 나는 동안에만 만듭니다."),
    ("여수 갓김치 1kg", 15_000, 0, "톡 쏘는 돌산 갓을 사흘 익혔습니다."),
    ("보성 우전 녹차 50g", 38_000, 25, "곡우 전에 딴 어린 잎만 덖었습니다.\n70도의 물로 1분."),
    (
        "놋그릇 세트",
        145_000,
        12,
        "밥그릇, 국그릇, 뚜껑 두 개. 손으로 두드려 만들어 조금씩 다릅니다.",
    ),
];

/// Puts it all on sale; what is there from an earlier demo stays.
pub(super) async fn fill(cast: &mut Cast) -> Result<()> {
    cast.stage.step("The seller fills the shelf");
    let listed = cast.seller.get("/v1/products?pageSize=200").await?;
    let listed = listed.body["products"].as_array().cloned().unwrap_or_default();
    for (name, price, stock, description) in SHELF {
        if listed.iter().any(|product| product["displayName"] == **name) {
            continue;
        }
        let body = json!({
            "displayName": name, "price": won(*price), "stock": stock, "description": description,
        });
        cast.stage.call(&cast.seller, Method::POST, "/v1/products", Some(body)).await?;
    }
    Ok(())
}
