//! The event log against a real Postgres: nothing lost, nothing twice, in order,
//! whatever is rolled back, killed or doubled meanwhile.

mod support;

#[tokio::test]
async fn a() {
    let db = kit::testing::database(&[]).await;
    let t = std::time::Instant::now();
    let _db2 = kit::testing::database(&[]).await;
    eprintln!("{:?}", t.elapsed());
    db.database.read().await.unwrap().query_one("select 1", &[]).await.unwrap();
}
