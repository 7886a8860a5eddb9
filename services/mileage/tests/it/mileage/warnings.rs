//! Members are told of points that expire soon, once.

use std::{collections::BTreeSet, time::Duration};

use base::id::Uuid;
use contracts::mileage::v1::{MileageEvent, MileageExpiring, mileage_event::Event};
use prost::Message as _;
use testkit::eventually;

use super::Shop;

const DAY: Duration = Duration::from_hours(24);

impl Shop {
    /// What was told of points that expire soon, the oldest first.
    async fn warnings(&self) -> Vec<MileageExpiring> {
        let mut reader = self.database.read().await.expect("reads");
        let sql = "select payload from event where type = 'MileageExpiring' order by id";
        let rows = reader.query(sql, &[]).await.expect("lists");
        let warning = |payload: &[u8]| match MileageEvent::decode(payload).expect("decodes").event {
            Some(Event::MileageExpiring(it)) => it,
            other => panic!("{other:?}"),
        };
        rows.iter().map(|row| warning(row.get(0))).collect()
    }

    /// So many points each were told of, and this member's.
    async fn eventually_warned(&self, points: &[i64]) -> Vec<MileageExpiring> {
        let ask = || async {
            // Each time: the worker may be about to say when it looks again.
            self.later(Duration::from_mins(1)).await;
            let warnings = self.warnings().await;
            let told: Vec<i64> = warnings.iter().map(|it| it.points).collect();
            (told == points).then_some(warnings)
        };
        eventually(&format!("{points:?} told"), ask).await
    }

    /// Lets the worker look for what expires soon: it does so between looking twice for what has expired, here
    /// somebody else's.
    async fn looked(&self) {
        for _ in 0..2 {
            let (entry, member) = (base::id::new(), base::id::new());
            let mut tx = self.database.begin().await.expect("begins");
            let sql = "insert into mileage_lot
                 (entry_id, member_id, points, remaining, expire_time, version)
                 values ($1, $2, 1, 1, clock_now() - interval '1 hour', 1)";
            tx.execute(sql, &[&entry, &member]).await.expect("inserts");
            tx.commit().await.expect("commits");
            let gone = || async {
                // Each time, for the same reason.
                self.later(Duration::from_mins(1)).await;
                let mut reader = self.database.read().await.expect("reads");
                let sql = "select from mileage_lot where entry_id = $1 and remaining = 0";
                reader.query_opt(sql, &[&entry]).await.expect("reads")
            };
            eventually("another look", gone).await;
        }
    }
}

#[tokio::test]
async fn a_member_is_told_once_of_points_that_expire_within_a_week() {
    let shop = Shop::open().await;
    shop.earned(100).await;
    shop.later(2 * DAY).await;
    shop.earned(20).await;
    shop.later(300 * DAY).await;
    shop.earned(3).await;
    shop.looked().await;
    assert_eq!(shop.warnings().await, [], "nothing expires within a week");

    // 362 days after the first, 360 after the second.
    shop.later(60 * DAY).await;
    let told = shop.eventually_warned(&[120]).await;
    let first = &shop.entries(super::all()).await[2];
    assert_eq!((first.points, first.expire_time), (100, told[0].before));
    assert_eq!(told[0].entry_id, first.id);
    assert_eq!(told[0].member_id, shop.member.to_string());
    shop.looked().await;
    shop.eventually_warned(&[120]).await;
    shop.stage.close().await;
}

#[tokio::test]
async fn what_is_spent_is_not_told_of_and_what_comes_back_is_by_itself() {
    let shop = Shop::open().await;
    shop.earned(50).await;
    shop.later(DAY).await;
    shop.earned(100).await;
    let order: Uuid = base::id::new();
    shop.spend(order, 80).await.expect("enough");
    shop.later(360 * DAY).await;
    // All of the first is spent, and some of the second.
    let told = shop.eventually_warned(&[70]).await;
    assert_eq!(told[0].entry_id, shop.entries(super::all()).await[1].id);

    // What comes back expires sooner than what was told of.
    shop.release(order).await;
    let before = told[0].before.expect("a time").seconds;
    shop.later(Duration::from_mins(2)).await;
    let told = shop.eventually_warned(&[70, 50]).await;
    assert!(told[1].before.expect("a time").seconds < before);
    shop.looked().await;
    shop.eventually_warned(&[70, 50]).await;
    shop.stage.close().await;
}

#[tokio::test]
async fn many_members_are_told_each_once() {
    let shop = Shop::open().await;
    let sql = "with many as (select gen_random_uuid() as member, g from generate_series(1, 700) g),
         accounts as (insert into mileage_account (member_id) select member from many)
         insert into mileage_lot (entry_id, member_id, points, remaining, expire_time, version)
         select gen_random_uuid(), member, 10, 10, clock_now() + n * interval '1 day', 1
         from many, generate_series(1, 3) n";
    let mut tx = shop.database.begin().await.expect("begins");
    tx.execute(sql, &[]).await.expect("inserts");
    tx.commit().await.expect("commits");
    shop.later(Duration::from_mins(2)).await;
    let told = shop.eventually_warned(&[30; 700]).await;
    let members: BTreeSet<_> = told.iter().map(|it| &it.member_id).collect();
    assert_eq!(members.len(), 700);
    shop.stage.close().await;
}

#[tokio::test]
async fn a_shop_may_warn_later_or_never() {
    let env = [("HANSANG__SERVICE__MILEAGE__WARN_BEFORE_S", "0")];
    let shop = Shop::open_with(&env).await.expect("starts");
    shop.earned(100).await;
    shop.later(364 * DAY).await;
    shop.looked().await;
    shop.later(2 * DAY).await;
    shop.looked().await;
    shop.eventually_has(0).await;
    assert_eq!(shop.warnings().await, []);
    shop.stage.close().await;
}
