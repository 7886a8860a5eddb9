"""Failover of a real cluster, rehearsed: Patroni with etcd, two Postgres, and Hansang on them under load.

python3 tests/failover [PART...]: `cluster` (crashes and switchovers of a synchronous pair), `proxy` (the same behind
HAProxy, once each), `loss` (an asynchronous standby that lagged is promoted), `restore` (backups put back).
CRASHES and SWITCHES in the environment say how many, MEMBERS and RATE (orders per second) under which load.
"""

import os
import signal
import sys

from ground import Ground, Violated, until
from losses import promote_a_lagging_standby, restore_backups
from members import Crowd
from servers import SERVICES, Cluster, Haproxy
from shop import Shop


def number(name, default):
    return int(os.environ.get(name) or default)


def rehearse(ground, cluster, server, crashes, switches):
    """Crashes and switchovers of the cluster, under load of a shop that is on `server`."""
    shop = Shop(ground, {"all": (SERVICES, server)})
    crowd = Crowd(shop, number("MEMBERS", 24), number("RATE", 5))
    usual = crowd.goes_on()
    ground.say(f"{len(crowd.members)} members order; half of the orders are delivered within {usual:.1f} s")
    for at in range(1, crashes + 1):
        old = after(ground, crowd, f"crash {at} of {crashes}", cluster.crash)
        old.start()
        cluster.whole()
        crowd.check()
    for at in range(1, switches + 1):
        after(ground, crowd, f"switchover {at} of {switches}", cluster.switch)
        cluster.whole()
        crowd.check()
    orders = crowd.close()
    held = shop.verify()
    attempts = sum(member.attempts for member in crowd.members)
    shop.stop()
    ground.say(f"{orders} orders acknowledged and delivered ({attempts} requests); {held} invariants hold")


def after(ground, crowd, what, change):
    """What happened to the orders; answers what used to be the primary."""
    under_way = lambda: any(order.delivered is None for order in crowd.orders())
    old, promoted, took = change(lambda: until("orders are under way", under_way))
    last, waited = crowd.delivered(promoted)
    usual = crowd.goes_on()
    ground.say(f"{what}: {old.name} is primary no more; the other writes after {took:.1f} s, {waited} orders that had "
               f"waited were delivered {last:.1f} s later at the latest; then half within {usual:.1f} s")
    return old


def cluster(ground):
    pair = Cluster(ground, "pair")
    ground.say("primary and synchronous standby are there")
    rehearse(ground, pair, pair, number("CRASHES", 10), number("SWITCHES", 10))


def proxy(ground):
    pair = Cluster(ground, "proxied")
    rehearse(ground, pair, Haproxy(ground, pair), 1, 1)


PARTS = {"cluster": cluster, "proxy": proxy, "loss": promote_a_lagging_standby, "restore": restore_backups}


def main(names):
    ended = lambda *_: sys.exit(130)
    signal.signal(signal.SIGTERM, ended)
    signal.signal(signal.SIGINT, ended)
    for name in names or PARTS:
        ground, violated = Ground(), True
        try:
            ground.say(f"{name}: begins")
            PARTS[name](ground)
            violated = False
        except Exception as error:
            what = str(error) if isinstance(error, Violated) else repr(error)
            print(f"failover: {name}: {what}; logs in {ground.folder}", file=sys.stderr)
            return 1
        except SystemExit:
            violated = False
            raise
        finally:
            ground.close(keep=violated)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
