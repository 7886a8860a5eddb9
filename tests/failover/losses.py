"""A service's database that goes back in time, below services on another server that have seen more: exactly the
partitions that have applied what is gone stop, the log names the events, and all go on once that is accepted."""

import re
import time
import uuid

from ground import Violated, run, sql, until
from members import DELIVERED, TOP_UP
from servers import SERVICES, Cluster, Postgres
from shop import Shop

SOURCE = "order"
APPLIED = "select consumer, partition, applied, applied_id from checkpoint where source = 'order' and applied_id is not null"
LOST = re.compile(r"^(\w+) applied event (\S+) of order at (\d+) \(partition (\d+)\).*; stopped$", re.M)


class Buyer:
    """Somebody who orders and looks at My Page."""

    def __init__(self, shop):
        self.shop, self.goods = shop, shop.product()
        self.me, self.token, self.rest = shop.person(f"buyer-{uuid.uuid4().hex[:8]}@example.com")
        won = {"amount": {"currencyCode": "KRW", "units": TOP_UP}, "cardToken": "tok_visa"}
        self.rest.insist("POST", f"/v1/members/{self.me}/wallet:topUp", won, self.token)

    def order(self):
        order = {"paymentMethod": "WALLET", "lines": [{"productId": self.goods, "quantity": 1}]}
        return self.rest.insist("POST", "/v1/orders", order, self.token)["id"]

    def is_delivered(self, order):
        _, answer = self.rest.call("GET", f"/v1/mypage/{self.me}/orders/{order}", token=self.token)
        return answer.get("state") == "DELIVERING"

    def delivered(self, orders):
        for order in orders:
            until(f"order {order} is delivered", lambda: self.is_delivered(order), within=DELIVERED)

    def buy(self, count):
        orders = [self.order() for _ in range(count)]
        self.delivered(orders)
        return orders


def applied(shop):
    """What each consumer has applied last of order's events, by partition."""
    found = set()
    for service in SERVICES:
        if service != SOURCE:
            rows = (row.split("|") for row in shop.sql(service, APPLIED))
            found |= {(consumer, int(partition), int(at), event) for consumer, partition, at, event in rows}
    return found


def settled(shop):
    """The same, once nothing moves any more."""
    until("consumers have caught up", lambda: len(shop.sql(SOURCE, "select 1 from event")) > 0)
    while True:
        before = applied(shop)
        time.sleep(1.5)
        if applied(shop) == before:
            return before


def stopped(shop):
    found = LOST.findall(shop.operate("log", "losses"))
    return {(consumer, int(partition), int(at), event) for consumer, event, at, partition in found}


def lose(shop, buyer, what, keep, take_back):
    """`keep` notes how the source is; `take_back` has it so again."""
    buyer.buy(4)
    settled(shop)
    keep()
    gone = buyer.buy(6)
    before = settled(shop)
    take_back()
    there = set(shop.sql(SOURCE, "select p.position || '|' || e.event_id from event_position p join event e using (id)"))
    lost = {mark for mark in before if f"{mark[2]}|{mark[3]}" not in there}
    if not lost:
        raise Violated(f"{what}: nothing was lost, so that nothing is shown")
    try:
        until("the stopped partitions are named", lambda: stopped(shop) == lost, within=30)
    except Violated:
        found = stopped(shop)
        raise Violated(f"{what}: too many stopped: {sorted(found - lost)}; too few: {sorted(lost - found)}") from None
    count = shop.metric("hansang_consumer_lost_partitions")
    if count != len(lost):
        raise Violated(f"{what}: hansang_consumer_lost_partitions is {count}, not {len(lost)}")
    passed, held = others_go_on(shop, buyer, {partition for _, partition, _, _ in lost})
    consumers = sorted({consumer for consumer, *_ in lost})
    for consumer in consumers:
        shop.operate("log", "accept", "--consumer", consumer, "--source", SOURCE, "--reason", f"rehearsal: {what}")
    buyer.delivered(held)
    buyer.buy(4)
    until("no partition is stopped", lambda: shop.metric("hansang_consumer_lost_partitions") == 0, within=30)
    shop.ground.say(f"{what}: {len(gone)} orders lost, {len(lost)} partitions of {', '.join(consumers)} stopped and named; "
                    f"{passed} orders of others delivered meanwhile, {len(held)} once it was accepted")


def others_go_on(shop, buyer, stopped):
    """Orders until some are of stopped partitions: those wait, all others are delivered."""
    held, free = [], []
    while len(held) < 1 or len(free) < 4:
        order = buyer.order()
        [partition] = shop.sql(SOURCE, f"select distinct partition from event where correlation_id = '{order}'")
        (held if int(partition) in stopped else free).append(order)
    buyer.delivered(free)
    return len(free), held


def promote_a_lagging_standby(ground):
    """Asynchronous replication, as nobody should have it."""
    cluster = Cluster(ground, "lagging", synchronous=False)
    shop = apart(ground, cluster)
    buyer = Buyer(shop)
    crashed = []
    lose(shop, buyer, "a lagging standby was promoted", cluster.cut_off, lambda: crashed.append(cluster.crash()))
    cluster.let_in()
    crashed[0][0].start()
    cluster.whole()
    buyer.buy(2)
    shop.stop()


def apart(ground, server):
    """A shop whose orders are on that server, and all else on another."""
    rest = [service for service in SERVICES if service != SOURCE]
    return Shop(ground, {"order": ([SOURCE], server), "rest": (rest, Postgres(ground, f"rest-{uuid.uuid4().hex[:4]}"))})


class Dump:
    """One database of a server, as it was; put back beside it, and then in its place."""

    def __init__(self, ground, server):
        self.server, self.file = server, ground.folder / "order.dump"

    def keep(self):
        run("pg_dump", "--format=custom", f"--file={self.file}", self.server.url(database="hansang_order"))

    def take_back(self):
        server = self.server
        sql(server.url(), "create database restored owner hansang_order")
        run("pg_restore", "--exit-on-error", f"--dbname={server.url(database='restored')}", self.file)
        sql(server.url(), "alter database hansang_order allow_connections false")
        sql(server.url(), "select pg_terminate_backend(pid) from pg_stat_activity where datname in ('hansang_order', 'restored')")
        sql(server.url(), f"""alter database hansang_order rename to lost_{uuid.uuid4().hex};
            alter database restored rename to hansang_order""")


class Volume:
    """The whole data directory, as it was."""

    def __init__(self, server):
        self.server = server

    def keep(self):
        self.server.copy()

    def take_back(self):
        self.server.put_back()
        self.server.start()


def restore_backups(ground):
    """Into the same server, under services that run and under services that do not."""
    server = Postgres(ground, "orders")
    shop = apart(ground, server)
    buyer = Buyer(shop)
    for name, backup in (("a dump was restored", Dump(ground, server)), ("a volume was put back", Volume(server))):
        lose(shop, buyer, f"{name} under running services", backup.keep, backup.take_back)

        def while_down():
            shop.stop()
            backup.take_back()
            shop.start()

        lose(shop, buyer, f"{name} while services were down", backup.keep, while_down)
    shop.stop()
