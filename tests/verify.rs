//! `hansang verify` can fail: after a small story each invariant is broken by hand,
//! one at a time, and exactly that line says so. Runs the real program.

use std::process::Command;

use tokio_postgres::{Client, Config, NoTls};

#[path = "stories/house.rs"]
#[expect(dead_code, reason = "the stories do more with a house")]
mod house;
#[path = "stories/people.rs"]
#[expect(dead_code, reason = "the stories have more people")]
mod people;

use house::House;

/// What is broken, and by which statements in which databases.
struct Break {
    invariant: &'static str,
    statements: &'static [(&'static str, &'static str)],
}

const BREAKS: &[Break] = &[
    Break {
        invariant: "every consumer has applied all that its sources published",
        statements: &[("delivery", "update checkpoint set position = 0 where source = 'order'")],
    },
    Break {
        invariant: "no task is overdue, and nothing is left half done",
        statements: &[(
            "order",
            "insert into task (kind, key, payload, due_at)
             values ('cancel-payment', gen_random_uuid(), '', now() - interval '61 seconds')",
        )],
    },
    Break {
        invariant: "no task is overdue, and nothing is left half done",
        statements: &[(
            "order",
            "update orders set state = 'CANCELLING', cancel_attempts = 1 where state = 'DELIVERING'",
        )],
    },
    Break {
        invariant: "each ledger transaction sums to zero",
        statements: &[(
            "payment",
            "update ledger_entry set amount_minor = amount_minor - 1 where account = 'SANDBOX'",
        )],
    },
    Break {
        invariant: "each balance is the sum of its entries, and not below 0",
        statements: &[("payment", "update wallet set balance_minor = balance_minor + 1")],
    },
    Break {
        invariant: "each payment that is DONE is in the ledger, once, and no other is",
        statements: &[(
            "payment",
            "update ledger_entry set account = 'BANK' where account = 'SALES' and transaction_id in
               (select id from ledger_transaction where kind = 'REFUND')",
        )],
    },
    Break {
        invariant: "each stock is initial + restocked − decreased + restored, and not below 0",
        statements: &[("product", "update product set stock = stock + 1")],
    },
    Break {
        invariant: "each order moved the stock that its allocation says",
        statements: &[(
            "product",
            "with taken as (update stock_movement set quantity = quantity - 1
               where kind = 'DECREASED' returning product_id),
             sum as (select product_id, count(*)::int as units from taken group by product_id)
             update product set stock = stock - units from sum where id = product_id",
        )],
    },
    Break {
        invariant: "each paid order has one DONE payment, one stock decrease and one delivery",
        statements: &[(
            "order",
            "update orders set total_minor = total_minor + 1 where state = 'DELIVERING'",
        )],
    },
    Break {
        invariant: "each paid order has one DONE payment, one stock decrease and one delivery",
        statements: &[
            ("delivery", "delete from delivery where state = 'STARTED'"),
            ("mypage", "update order_view set delivery_state = '' where state = 'DELIVERING'"),
        ],
    },
    Break {
        invariant: "each cancelled order has no live payment, no stock, no live delivery, no points",
        statements: &[
            ("delivery", "update delivery set state = 'STARTED' where state = 'CANCELLED'"),
            (
                "mypage",
                "update order_view set delivery_state = 'STARTED' where delivery_state = 'CANCELLED'",
            ),
        ],
    },
    Break {
        invariant: "each cancelled order has no live payment, no stock, no live delivery, no points",
        statements: &[
            ("mileage", "update mileage_entry set state = 'EARNED' where state = 'CANCELLED'"),
            ("mypage", "update mileage_view set cancelled = false"),
        ],
    },
    Break {
        invariant: "no order that is not paid has cost money or goods, or earned points",
        statements: &[(
            "delivery",
            "insert into delivery (id, order_id, member_id, state)
             values (gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'STARTED')",
        )],
    },
    Break {
        invariant: "each DONE payment has earned its points, once",
        statements: &[
            ("mileage", "delete from mileage_entry where state = 'EARNED'"),
            ("mypage", "delete from mileage_view where not cancelled"),
        ],
    },
    Break {
        invariant: "one payment, allocation and delivery an order at most, one entry of points a payment",
        statements: &[(
            "delivery",
            "alter table delivery drop constraint delivery_pkey;
             insert into delivery (id, order_id, member_id, state)
             select gen_random_uuid(), order_id, member_id, 'REFUSED' from delivery",
        )],
    },
    Break {
        invariant: "one payment, allocation and delivery an order at most, one entry of points a payment",
        statements: &[(
            "mileage",
            "alter table mileage_entry drop constraint mileage_entry_pkey;
             insert into mileage_entry (id, payment_id, order_id, member_id, points, state)
             select gen_random_uuid(), payment_id, order_id, member_id, 0, 'REFUSED'
             from mileage_entry",
        )],
    },
    Break {
        invariant: "no member who is WITHDRAWN has a coupon that is ISSUED",
        statements: &[
            ("member", "update member set state = 'WITHDRAWN', withdraw_time = now()"),
            ("mypage", "update member_view set withdrawn = true"),
        ],
    },
    Break {
        invariant: "My Page shows each member, their coupons and points as they are",
        statements: &[("mypage", "update coupon_view set cancelled = not cancelled")],
    },
    Break {
        invariant: "My Page shows each member, their coupons and points as they are",
        statements: &[("mypage", "update mileage_view set points = points + 1")],
    },
    Break {
        invariant: "My Page shows each order as order, payment and delivery say",
        statements: &[("mypage", "update order_view set payment_state = 'DECLINED'")],
    },
    Break {
        invariant: "My Page shows each order as order, payment and delivery say",
        statements: &[("mypage", "delete from milestone where state = 'PAID'")],
    },
    Break {
        invariant: "the positions of each log are dense",
        statements: &[("order", "delete from event_position where position = 2")],
    },
    Break {
        invariant: "no checkpoint is past the head of its source",
        statements: &[(
            "delivery",
            "update checkpoint set position = 1000000 where source = 'order' and partition = 7",
        )],
    },
    Break {
        invariant: "no event is set aside",
        statements: &[(
            "delivery",
            "insert into parked (consumer, source, position, correlation_id, type, message)
             values ('delivery', 'order', 1, gen_random_uuid(), 'OrderPlaced', '')",
        )],
    },
];

#[tokio::test(flavor = "multi_thread")]
async fn each_invariant_that_is_broken_is_found_and_no_other() {
    let house = small_story().await;
    let (well, broken, printed) = verify(&house);
    assert!(well && broken.is_empty(), "{printed}");
    let checked: Vec<_> = printed.lines().filter_map(|line| line.strip_prefix("✓ ")).collect();
    for invariant in checked {
        let shown = BREAKS.iter().any(|it| it.invariant == invariant);
        assert!(shown, "nothing shows that it can fail: {invariant}");
    }

    let admin = connect("postgres").await;
    for Break { invariant, statements } in BREAKS {
        for (service, statement) in *statements {
            let database = database(&house, service);
            keep_a_copy(&admin, &database).await;
            let inside = connect(&database).await;
            inside.batch_execute(statement).await.expect(statement);
        }
        let (well, broken, printed) = verify(&house);
        assert!(!well, "not found: {statements:?}\n{printed}");
        assert_eq!(broken, [*invariant], "{statements:?}\n{printed}");
        for (service, _) in *statements {
            put_back(&admin, &database(&house, service)).await;
        }
    }
    let (well, _, printed) = verify(&house);
    assert!(well, "{printed}");
}

/// An order on its way, a cancelled one, one that was short of stock. Then all is still.
async fn small_story() -> House {
    let mut house = House::open("verify").await;
    let (product, scarce) = (house.product(1_000, 100).await, house.product(1_000, 0).await);
    let member = house.member(999_999).await;
    let (kept, cancelled) = (member.order(&product, 3).await, member.order(&product, 10).await);
    let short = member.order(&scarce, 1).await;
    member.eventually_sees(&kept, "DELIVERING").await;
    member.eventually_sees(&cancelled, "DELIVERING").await;
    member.eventually_sees(&short, "CANCELLED").await;
    // Points first, so that there is something to take back.
    house.all_holds().await;
    people::with_status(200, member.cancel(&cancelled).await);
    house.all_holds().await;
    for service in app::run::SERVICES {
        house.kill(service.name);
    }
    house
}

/// Runs the program; answers whether it ended well, which invariants it found broken, and all
/// that it printed.
fn verify(house: &House) -> (bool, Vec<String>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_hansang"))
        .args(["verify", "--within", "0"])
        .env("HANSANG__DATABASE__URL", &house.ground.database_url)
        .output()
        .expect("hansang runs");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let broken = printed.lines().filter_map(|line| line.strip_prefix("✗ "));
    let broken = broken.map(|line| line.split(": ").next().unwrap_or_default().to_owned());
    let code = output.status.code();
    assert!(code == Some(0) || code == Some(1), "{code:?}: {:?}", output.stderr);
    (code == Some(0), broken.collect(), printed)
}

fn database(house: &House, service: &str) -> String {
    let url = house.ground.database_url.replace("{service}", service);
    let config: Config = url.parse().expect("a URL");
    config.get_dbname().expect("a database").to_owned()
}

/// As a superuser, who may break anything.
async fn connect(database: &str) -> Client {
    let server = kit::testing::databases(&[]).await.url;
    let mut admin: Config = server.expose().parse().expect("a URL");
    let (client, connection) = admin.dbname(database).connect(NoTls).await.expect("Postgres");
    tokio::spawn(connection);
    client
}

/// What is broken is a copy; the database itself waits under another name.
async fn keep_a_copy(admin: &Client, database: &str) {
    leave(admin, database).await;
    let sql = format!("alter database {database} rename to {database}_whole");
    admin.batch_execute(&sql).await.expect("renamed");
    let sql = format!("create database {database} template {database}_whole");
    admin.batch_execute(&sql).await.expect("copied");
}

async fn put_back(admin: &Client, database: &str) {
    let sql = format!("drop database {database} with (force)");
    admin.batch_execute(&sql).await.expect("dropped");
    let sql = format!("alter database {database}_whole rename to {database}");
    admin.batch_execute(&sql).await.expect("renamed");
}

/// Ends the sessions of killed services and of programs that have just ended.
async fn leave(admin: &Client, database: &str) {
    let sql = "select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = $1";
    admin.query(sql, &[&database]).await.expect("sessions can be ended");
}
