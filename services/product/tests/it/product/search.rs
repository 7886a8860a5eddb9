//! Products are found by words of their names and descriptions, and have pictures.

use contracts::{
    Money,
    product::v1::{
        ListProductsRequest, ListProductsResponse, Product, RegisterProductRequest,
        UpdateProductRequest, product,
    },
};
use testkit::stage::As;
use tonic::{Code, Status};

use super::Shop;

impl Shop {
    async fn sells(&mut self, display_name: &str, description: &str) -> Product {
        let request = RegisterProductRequest {
            display_name: display_name.into(),
            price: Some(Money::from(("KRW", 1_000))),
            description: description.into(),
            ..RegisterProductRequest::default()
        };
        let request = self.stage.call(self.seller, request);
        self.products.register_product(request).await.expect("registers").into_inner()
    }

    async fn page(
        &self,
        caller: As,
        query: &str,
        (page_size, page_token): (i32, &str),
    ) -> Result<ListProductsResponse, Status> {
        let (query, page_token) = (query.to_owned(), page_token.to_owned());
        let request = ListProductsRequest { page_size, page_token, query };
        let page = self.products.clone().list_products(self.stage.call(caller, request)).await;
        page.map(tonic::Response::into_inner)
    }

    /// The names of what is found, the newest first.
    async fn found(&self, query: &str) -> Vec<String> {
        let page = self.page(As::Nobody, query, (0, "")).await.expect(query);
        page.products.into_iter().map(|product| product.display_name).collect()
    }

    async fn change(&mut self, request: UpdateProductRequest) -> Result<Product, Status> {
        let request = self.stage.call(self.seller, request);
        self.products.update_product(request).await.map(tonic::Response::into_inner)
    }
}

#[tokio::test]
async fn products_are_found_by_parts_of_words_in_any_script() {
    let mut shop = Shop::open().await;
    shop.sells("김치찌개", "돼지고기와 두부\n얼큰한 맛").await;
    shop.sells("된장찌개", "두부, 애호박").await;
    shop.sells("Bibimbap 비빔밥", "100% 한우_a\\b").await;
    // As a Mac types it: each syllable in parts.
    shop.sells("\u{1104}\u{1165}\u{11a8}\u{1107}\u{1169}\u{11a9}\u{110b}\u{1175}", "").await;
    for (query, found) in [
        ("찌개", &["된장찌개", "김치찌개"][..]),
        ("치찌", &["김치찌개"]),
        ("  두부   얼큰 ", &["김치찌개"]),
        ("밥", &["Bibimbap 비빔밥"]),
        ("BIMB", &["Bibimbap 비빔밥"]),
        ("찌개맛", &[]),
        ("떡볶이", &["\u{1104}\u{1165}\u{11a8}\u{1107}\u{1169}\u{11a9}\u{110b}\u{1175}"]),
        // Wildcards elsewhere are characters here.
        ("100%", &["Bibimbap 비빔밥"]),
        ("%", &["Bibimbap 비빔밥"]),
        ("_a\\b", &["Bibimbap 비빔밥"]),
        ("_", &["Bibimbap 비빔밥"]),
        ("찌_", &[]),
        ("김%개", &[]),
        ("'; drop table product; --", &[]),
    ] {
        assert_eq!(shop.found(query).await, found, "{query}");
    }
    assert_eq!(shop.found(" \u{3000}").await.len(), 4, "no word: all");
    shop.stage.close().await;
}

#[tokio::test]
async fn what_is_found_comes_in_pages_of_its_own_and_changes_with_its_product() {
    let mut shop = Shop::open().await;
    let mut ids = Vec::new();
    for number in 0..5 {
        ids.insert(0, shop.sells(&format!("국밥 {number}"), "").await.id);
        shop.sells("냉면", "").await;
    }
    let (mut seen, mut token) = (Vec::new(), String::new());
    loop {
        let page = shop.page(As::Nobody, "국밥", (2, &token)).await.expect("a page");
        seen.extend(page.products.into_iter().map(|product| product.id));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
        let other = shop.page(As::Nobody, "냉면", (2, &token)).await.expect_err("another list's");
        assert_eq!(other.code(), Code::InvalidArgument);
    }
    assert_eq!(seen, ids);
    let product_id = ids[0].clone();
    let renamed = UpdateProductRequest { product_id, ..UpdateProductRequest::default() };
    let named = |name: &str| Some(name.to_owned());
    let rename = UpdateProductRequest { display_name: named("곰탕"), ..renamed.clone() };
    shop.change(rename).await.expect("renamed");
    assert_eq!((shop.found("국밥").await.len(), shop.found("곰탕").await.len()), (4, 1));
    let state = Some(product::State::OffSale.into());
    shop.change(UpdateProductRequest { state, ..renamed }).await.expect("off sale");
    assert_eq!(shop.found("곰탕").await, [""; 0]);
    let sellers = shop.page(shop.seller, "곰탕", (0, "")).await.expect("a page");
    assert_eq!(sellers.products.len(), 1);
    shop.stage.close().await;
}

#[tokio::test]
async fn words_whose_letters_are_everywhere_are_looked_for_page_by_page() {
    let mut shop = Shop::open().await;
    shop.sells("abc", "").await;
    // Newer ones, with each pair of its letters and without the word.
    let sql = "insert into product select (jsonb_populate_record(product, jsonb_build_object(
           'id', 'ffffffff-0000-7000-8000-' || lpad(to_hex(number), 12, '0'),
           'display_name', 'ab bc'))).*
         from product, generate_series(1, 5000) as number";
    let mut tx = shop.stage.database("product").begin().await.expect("begins");
    tx.execute(sql, &[]).await.expect("inserts");
    tx.commit().await.expect("commits");
    let (mut pages, mut found, mut token) = (0, Vec::new(), String::new());
    loop {
        let page = shop.page(As::Nobody, "abc", (0, &token)).await.expect("a page");
        found.extend(page.products.into_iter().map(|product| product.display_name));
        (pages, token) = (pages + 1, page.next_page_token);
        if token.is_empty() {
            break;
        }
    }
    assert_eq!((pages, found), (3, vec!["abc".to_owned()]), "2,000 a page, of 5,001");
    let page = shop.page(As::Nobody, "bc", (200, "")).await.expect("a page");
    assert_eq!(page.products.len(), 200, "a page that is full ends like any other");
    shop.stage.close().await;
}

#[tokio::test]
async fn a_product_has_the_picture_that_it_was_given_last() {
    let mut shop = Shop::open().await;
    let product = shop.sells("비빔밥", "").await;
    assert_eq!(product.picture, "");
    let hash = "0123456789abcdef".repeat(4);
    let picture = |picture: &str| UpdateProductRequest {
        product_id: product.id.clone(),
        picture: Some(picture.to_owned()),
        ..UpdateProductRequest::default()
    };
    let seen = shop.change(picture(&hash)).await.expect("a picture");
    assert_eq!(seen.picture, hash);
    assert_ne!(seen.etag, product.etag);
    for wrong in [&hash.to_uppercase(), "../../etc/passwd"] {
        let refused = shop.change(picture(wrong)).await.expect_err("no hash");
        assert_eq!(refused.code(), Code::InvalidArgument, "{wrong}");
    }
    assert_eq!(shop.change(picture("")).await.expect("no picture").picture, "");
    shop.stage.close().await;
}
