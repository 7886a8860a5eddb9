//! All the SQL of products, stock and allocations.

use std::{collections::BTreeMap, time::SystemTime};

use base::{Error, Money, error::not_found, id::Uuid, page::Page};
use eventlog::{Draft, facts};
use pg::{Cause, Reader, Tx};
use tokio_postgres::Row;

use crate::{
    domain::{
        Allocation, Change, DisplayName, Line, MemberId, OrderId, Outcome, Picture, ProductId,
        Quantity, Refusal, Sale, Shelf, State, Units,
    },
    wire,
};

/// All that makes up a product.
macro_rules! columns {
    () => {
        "id, display_name, price_minor, stock + surplus as stock, state, description, picture,
           version, create_time"
    };
}

macro_rules! select_products {
    () => {
        concat!("select ", columns!(), " from product")
    };
}

/// A product as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Product {
    pub(crate) id: ProductId,
    pub(crate) display_name: String,
    pub(crate) price: Money,
    pub(crate) stock: Units,
    pub(crate) sale: Sale,
    pub(crate) description: String,
    pub(crate) picture: String,
    pub(crate) version: i64,
    pub(crate) create_time: SystemTime,
}

impl Product {
    fn from_row(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            id: ProductId(row.get("id")),
            display_name: row.get("display_name"),
            price: Money::krw(row.get("price_minor")),
            stock: Units::stored(row.get("stock")),
            sale: Sale::named(row.get("state"))?,
            description: row.get("description"),
            picture: row.get("picture"),
            version: row.get("version"),
            create_time: row.get("create_time"),
        })
    }

    /// The event of a change that it has taken in.
    fn draft(&self, change: &Change) -> Draft {
        Draft::of(wire::event(self, change), self.id.0, self.version, self.id.0)
    }
}

/// Stores a new product with its first stock.
pub(crate) async fn register(
    tx: &mut Tx,
    id: ProductId,
    display_name: DisplayName,
    price: Money,
    stock: i32,
    (description, picture): (&str, Picture),
) -> Result<Product, Error> {
    let (display_name, picture) = (display_name.into_string(), picture.into_string());
    let (currency, minor) = price.to_wire();
    let row = tx
        .query_one(
            "with product as (
               insert into product (id, display_name, price_minor, currency, stock, description,
                 picture, version)
               values ($1, $2, $3, $4, $5, $6, $7, 1) returning *),
             movement as (
               insert into stock_movement (product_id, kind, quantity)
               select id, 'INITIAL', stock from product)
             select id, display_name, price_minor, stock::bigint as stock, state, description,
               picture, version, create_time
             from product",
            &[&id.0, &display_name, &minor, &currency, &stock, &description, &picture],
        )
        .await?;
    let product = Product::from_row(&row)?;
    eventlog::append(tx, &[product.draft(&Change::Registered)]).await?;
    Ok(product)
}

/// Reads a product and keeps it from changing until the transaction ends.
pub(crate) async fn lock(tx: &mut Tx, id: ProductId) -> Result<Product, Error> {
    let sql = concat!(select_products!(), " where id = $1 for update");
    let row = tx.query_opt(sql, &[&id.0]).await?;
    Product::from_row(&row.ok_or_else(not_found)?)
}

/// Saves what a seller says of a product.
pub(crate) async fn update(tx: &mut Tx, product: &mut Product) -> Result<(), Error> {
    product.version += 1;
    tx.execute(
        "update product set display_name = $2, price_minor = $3, version = $4, state = $5,
           description = $6, picture = $7
         where id = $1",
        &[
            &product.id.0,
            &product.display_name,
            &product.price.minor(),
            &product.version,
            &product.sale.name(),
            &product.description,
            &product.picture,
        ],
    )
    .await?;
    eventlog::append(tx, &[product.draft(&Change::Updated)]).await
}

/// Saves a product's new stock.
pub(crate) async fn restock(
    tx: &mut Tx,
    product: &mut Product,
    quantity: Quantity,
) -> Result<(), Error> {
    product.stock = product.stock.restock(quantity)?;
    move_stock(tx, product, ("RESTOCKED", quantity.get()), ("", None)).await?;
    eventlog::append(tx, &[product.draft(&Change::Restocked(quantity))]).await
}

/// Corrects a product's stock.
pub(crate) async fn adjust(
    tx: &mut Tx,
    product: &mut Product,
    delta: i32,
    (reason, actor): (&str, MemberId),
) -> Result<(), Error> {
    product.stock = product.stock.adjust(delta)?;
    move_stock(tx, product, ("ADJUSTED", delta), (reason, Some(actor.0))).await?;
    let adjusted = Change::Adjusted { delta, reason: reason.to_owned(), actor };
    eventlog::append(tx, &[product.draft(&adjusted)]).await
}

/// Saves a stock, and the movement that led to it.
async fn move_stock(
    tx: &mut Tx,
    product: &mut Product,
    (kind, quantity): (&str, i32),
    (reason, actor): (&str, Option<Uuid>),
) -> Result<(), Error> {
    product.version += 1;
    tx.execute(
        "with product as (update product set stock = least($2::bigint, 2147483647)::int,
           surplus = greatest($2::bigint - 2147483647, 0), version = $3 where id = $1)
         insert into stock_movement (product_id, kind, quantity, reason, actor_id)
         values ($1, $4, $5, $6, $7)",
        &[&product.id.0, &product.stock.get(), &product.version, &kind, &quantity, &reason, &actor],
    )
    .await?;
    Ok(())
}

/// Reads these products; unknown ids are left out.
pub(crate) async fn get(reader: &mut Reader, ids: &[Uuid]) -> Result<Vec<Product>, Error> {
    let rows = reader.query(concat!(select_products!(), " where id = any($1)"), &[&ids]).await?;
    rows.iter().map(Product::from_row).collect()
}

/// Reads a page of products, newest first: of those on sale, or of all.
pub(crate) async fn list(
    reader: &mut Reader,
    page: Page,
    all: bool,
) -> Result<Vec<Product>, Error> {
    let sql = if all {
        concat!(select_products!(), " where id < $1 order by id desc limit $2")
    } else {
        concat!(
            select_products!(),
            " where state = 'ON_SALE' and id < $1 order by id desc limit $2"
        )
    };
    let rows = reader.query(sql, &[&page.below.unwrap_or(Uuid::max()), &page.limit()]).await?;
    rows.iter().map(Product::from_row).collect()
}

/// How many products a search looks at, of those that may have its words; in some milliseconds.
pub(crate) const LOOKED_AT: i64 = 2_000;

/// Reads a page of the products in which all these words are found, newest first: of those on sale, or of
/// all. Answers where it has ended, too, if it has looked at [`LOOKED_AT`] products before the page was full: words
/// whose letters are everywhere, and which are nowhere, must not have all products read.
pub(crate) async fn search(
    reader: &mut Reader,
    page: Page,
    all: bool,
    words: &[&str],
) -> Result<(Vec<Product>, Option<Uuid>), Error> {
    // Fences: the limit would have all products walked, the newest first; and the words are looked for in no
    // more than it takes to fill the page. The last that is looked at comes whether it has them or not.
    let sql = concat!(
        "select id, display_name, price_minor, stock, state, description, picture, version,
           create_time, found_all, nth = $6 as is_last
         from (
           select id as found, row_number() over (order by id desc) as nth from (
             select id, state from product
             where grams(display_name || e'\n' || description) @> grams($1) offset 0) m
           where ($2 or state = 'ON_SALE') and id < $3 order by id desc limit $6) f,
         lateral (
           select one.*, has_words(display_name || e'\n' || description, $4) as found_all
           from (",
        select_products!(),
        " where id = found offset 0) one) p
         where found_all or nth = $6
         order by found desc limit $5"
    );
    let below = page.below.unwrap_or(Uuid::max());
    let together = words.join(" ");
    let rows =
        reader.query(sql, &[&together, &all, &below, &words, &page.limit(), &LOOKED_AT]).await?;
    let last = rows.last().filter(|row| row.get("is_last")).map(|row| row.get("id"));
    let found = rows.iter().filter(|row| row.get("found_all"));
    Ok((found.map(Product::from_row).collect::<Result<_, _>>()?, last))
}

/// What is known of an order, and where it comes from.
#[derive(Clone, Debug)]
pub(crate) struct Learned {
    pub(crate) order: OrderId,
    pub(crate) member: MemberId,
    pub(crate) fact: Fact,
    /// The event that said so; none for a call.
    pub(crate) cause: Option<Cause>,
}

/// It takes goods, or gives them back.
#[derive(Clone, Debug)]
pub(crate) enum Fact {
    Paid(Vec<Line>),
    /// Some of it goes back; the cancellation or return that says so.
    TakenBack(Uuid, Vec<Line>),
    Cancelled,
}

/// An allocation under lock, with what is needed to save it.
struct Locked {
    allocation: Allocation,
    member: MemberId,
    version: i64,
    /// Its state and version as they are stored.
    before: (State, i64),
}

/// Takes facts in, in this order, all in this transaction: rows are locked sorted by id, decided in
/// Rust, written set by set. Answers what became of each order.
pub(crate) async fn learn(
    tx: &mut Tx,
    facts: &[Learned],
) -> Result<BTreeMap<OrderId, State>, Error> {
    if facts.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut allocations = lock_allocations(tx, facts).await?;
    let mut shelf = lock_shelf(tx, facts, &allocations).await?;
    let before = shelf.clone();
    let (mut drafts, mut moves) = (Vec::new(), Moves::default());
    for learned in facts {
        let Some(locked) = allocations.get_mut(&learned.order) else { continue };
        let outcome = match &learned.fact {
            Fact::Paid(lines) => locked.allocation.paid(lines.clone(), &mut shelf),
            Fact::TakenBack(_, lines) => locked.allocation.taken_back(lines, &mut shelf),
            Fact::Cancelled => locked.allocation.cancelled(&mut shelf),
        };
        moves.add(learned, &outcome);
        let event = wire::allocation::event(learned.order, locked.member, &outcome);
        if let Some(event) = event {
            locked.version += 1;
            let order = learned.order.0;
            let draft = Draft::of(event, order, locked.version, order);
            drafts.push(draft.caused_by(learned.cause.as_ref()));
        }
    }
    save(tx, &allocations, (&before, &shelf), &moves).await?;
    eventlog::append(tx, &drafts).await?;
    Ok(allocations.into_iter().map(|(order, locked)| (order, locked.allocation.state)).collect())
}

async fn lock_allocations(
    tx: &mut Tx,
    facts: &[Learned],
) -> Result<BTreeMap<OrderId, Locked>, Error> {
    let members: BTreeMap<Uuid, Uuid> = facts.iter().map(|l| (l.order.0, l.member.0)).collect();
    let (orders, members): (Vec<Uuid>, Vec<Uuid>) = members.into_iter().unzip();
    let make = "with made as (
           insert into allocation (order_id, member_id, state)
           select o, m, 'NEW' from unnest($1::uuid[], $2::uuid[]) as learned (o, m)
           on conflict (order_id) do nothing
           returning order_id, member_id, state, product_ids, quantities, version)
         select * from (
           select order_id, member_id, state, product_ids, quantities, version
           from allocation where order_id = any($1) order by order_id for update) kept
         union all select * from made";
    let again = "select order_id, member_id, state, product_ids, quantities, version
         from allocation where order_id = any($1) order by order_id for update";
    let rows = facts::lock_or_make(tx, &orders, (make, &[&orders, &members]), again).await?;
    rows.iter()
        .map(|row| {
            let lines = std::iter::zip(
                row.get::<_, Vec<Uuid>>("product_ids"),
                row.get::<_, Vec<i32>>("quantities"),
            )
            .map(|(p, q)| Ok(Line { product: ProductId(p), quantity: Quantity::try_from(q)? }))
            .collect::<Result<Vec<_>, Refusal>>()?;
            let (state, version) = (State::named(row.get("state"))?, row.get("version"));
            let allocation = Allocation { state, lines };
            let member = MemberId(row.get("member_id"));
            let locked = Locked { allocation, member, version, before: (state, version) };
            Ok((OrderId(row.get("order_id")), locked))
        })
        .collect()
}

async fn lock_shelf(
    tx: &mut Tx,
    facts: &[Learned],
    allocations: &BTreeMap<OrderId, Locked>,
) -> Result<Shelf, Error> {
    let wanted = facts.iter().flat_map(|learned| match &learned.fact {
        Fact::Paid(lines) => lines.as_slice(),
        // It goes back to where it was taken from.
        Fact::TakenBack(..) | Fact::Cancelled => &[],
    });
    let taken = allocations.values().flat_map(|locked| &locked.allocation.lines);
    let products: Vec<Uuid> = wanted.chain(taken).map(|line| line.product.0).collect();
    let rows = tx
        .query(
            "select id, stock + surplus from product
             where id = any($1) order by id for no key update",
            &[&products],
        )
        .await?;
    Ok(rows.iter().map(|row| (ProductId(row.get(0)), Units::stored(row.get(1)))).collect())
}

/// Writes what changed: allocations, stocks, and the movements between them.
async fn save(
    tx: &mut Tx,
    allocations: &BTreeMap<OrderId, Locked>,
    (before, after): (&Shelf, &Shelf),
    moves: &Moves,
) -> Result<(), Error> {
    let changed: Vec<_> = allocations
        .iter()
        .filter(|(_, locked)| (locked.allocation.state, locked.version) != locked.before)
        .collect();
    let moved = after.iter().filter(|(id, stock)| before.get(id) != Some(stock));
    let (products, stocks): (Vec<Uuid>, Vec<i64>) =
        moved.map(|(id, stock)| (id.0, stock.get())).unzip();
    if changed.is_empty() && products.is_empty() && moves.products.is_empty() {
        return Ok(());
    }
    let orders: Vec<Uuid> = changed.iter().map(|(order, _)| order.0).collect();
    let states: Vec<&str> = changed.iter().map(|(_, l)| l.allocation.state.name()).collect();
    let versions: Vec<i64> = changed.iter().map(|(_, locked)| locked.version).collect();
    // All lines one after the other; each order takes as many as it has.
    let lines: Vec<(Vec<Uuid>, Vec<i32>)> =
        changed.iter().map(|(_, locked)| columns(&locked.allocation.lines)).collect();
    let counts: Vec<i32> =
        lines.iter().map(|(ids, _)| i32::try_from(ids.len()).unwrap_or(i32::MAX)).collect();
    let (ids, quantities): (Vec<_>, Vec<_>) = lines.into_iter().unzip();
    tx.execute(
        "with allocations as (
           update allocation set state = n.state, version = n.version,
             product_ids = ($4::uuid[])[n.last - n.lines + 1:n.last],
             quantities = ($5::int[])[n.last - n.lines + 1:n.last]
           from (select order_id, state, version, lines,
                   sum(lines) over (order by place)::int as last
                 from unnest($1::uuid[], $2::text[], $3::bigint[], $6::int[]) with ordinality
                   as u (order_id, state, version, lines, place)) n
           where allocation.order_id = n.order_id),
         shelf as (
           update product set stock = least(n.stock, 2147483647)::int,
             surplus = greatest(n.stock - 2147483647, 0)
           from unnest($7::uuid[], $8::bigint[]) as n (id, stock) where product.id = n.id)
         insert into stock_movement (product_id, kind, quantity, order_id, part_id)
         select * from unnest($9::uuid[], $10::text[], $11::int[], $12::uuid[], $13::uuid[])",
        &[
            &orders,
            &states,
            &versions,
            &ids.concat(),
            &quantities.concat(),
            &counts,
            &products,
            &stocks,
            &moves.products,
            &moves.kinds,
            &moves.quantities,
            &moves.orders,
            &moves.parts,
        ],
    )
    .await?;
    Ok(())
}

/// Movements to be written, a column each.
#[derive(Default)]
struct Moves {
    products: Vec<Uuid>,
    kinds: Vec<&'static str>,
    quantities: Vec<i32>,
    orders: Vec<Uuid>,
    parts: Vec<Option<Uuid>>,
}

impl Moves {
    fn add(&mut self, learned: &Learned, outcome: &Outcome) {
        let (kind, sign, lines) = match outcome {
            Outcome::Decreased(lines) => ("DECREASED", -1, lines),
            Outcome::TakenBack(lines) => ("TAKEN_BACK", 1, lines),
            Outcome::Restored(lines) => ("RESTORED", 1, lines),
            Outcome::Short { .. } | Outcome::Quiet => return,
        };
        for line in lines {
            self.products.push(line.product.0);
            self.kinds.push(kind);
            self.quantities.push(sign * line.quantity.get());
            self.orders.push(learned.order.0);
            self.parts.push(match learned.fact {
                Fact::TakenBack(part, _) => Some(part),
                Fact::Paid(_) | Fact::Cancelled => None,
            });
        }
    }
}

fn columns(lines: &[Line]) -> (Vec<Uuid>, Vec<i32>) {
    lines.iter().map(|line| (line.product.0, line.quantity.get())).unzip()
}
