"""Many members who order from their wallets at a steady rate and watch My Page. An order that was acknowledged has
to be on its way within ten seconds, counted from when there was a primary."""

import statistics
import threading
import time
import uuid

from ground import PATIENCE, Violated, until
from shop import Refused

# The promise.
DELIVERED = 10
# How often a member looks at My Page.
LOOK = 0.2
# What a wallet takes at once, in won: 5,000 orders.
TOP_UP = "5000000"


class Order:
    def __init__(self, id):
        self.id, self.acknowledged, self.delivered = id, time.monotonic(), None


class Member(threading.Thread):
    """One order after another, each with one key until it is acknowledged, each until it is delivered."""

    def __init__(self, crowd, number):
        super().__init__(daemon=True)
        self.crowd, self.email = crowd, f"member-{number}-{uuid.uuid4().hex[:8]}@example.com"
        self.orders, self.attempts, self.failure = [], 0, None
        self.me, self.token, self.rest = crowd.shop.person(self.email)
        won = {"amount": {"currencyCode": "KRW", "units": TOP_UP}, "cardToken": "tok_visa"}
        self.rest.insist("POST", f"/v1/members/{self.me}/wallet:topUp", won, self.token)

    def run(self):
        try:
            while not self.crowd.closing.is_set():
                begun = time.monotonic()
                self.follow(self.place())
                self.crowd.closing.wait(max(0, self.crowd.pause - (time.monotonic() - begun)))
        except Exception as error:
            self.failure = error

    def ask(self, method, path, body=None, key=""):
        """None while there is no answer that counts."""
        self.attempts += 1
        status, answer = self.rest.call(method, path, body, self.token, key)
        if status == 401:
            login = {"email": self.email, "password": "correct horse"}
            self.token = self.rest.insist("POST", "/v1/sessions", login, within=120)["accessToken"]
        elif status and status < 300:
            return answer
        elif status and status < 500 and status not in (404, 409, 429):
            raise Refused(f"{method} {path}: {status} {answer}")
        return None

    def place(self):
        key = str(uuid.uuid4())
        order = {"paymentMethod": "WALLET", "lines": [{"productId": self.crowd.product, "quantity": 1}]}
        while not (answer := self.ask("POST", "/v1/orders", order, key)):
            time.sleep(LOOK)
        self.orders.append(Order(answer["id"]))
        return self.orders[-1]

    def follow(self, order):
        path = f"/v1/mypage/{self.me}/orders/{order.id}"
        while (self.ask("GET", path) or {}).get("state") != "DELIVERING":
            if self.crowd.given_up.is_set():
                return
            time.sleep(LOOK)
        order.delivered = time.monotonic()


class Crowd:
    """All members."""

    def __init__(self, shop, members, rate):
        self.shop, self.product, self.pause = shop, shop.product(), members / rate
        self.closing, self.given_up = threading.Event(), threading.Event()
        self.members = [Member(self, number) for number in range(members)]
        for member in self.members:
            # Not all at the same moment.
            time.sleep(min(self.pause / members, 0.2))
            member.start()

    def orders(self):
        return [order for member in self.members for order in list(member.orders)]

    def delivered(self, promoted):
        """Waits until all that was acknowledged before this is delivered; answers when the last of them was,
        counted from the promotion, and how many orders had waited for it."""
        waiting = [order for order in self.orders() if order.acknowledged < promoted
                   and (order.delivered is None or order.delivered > promoted)]
        end = promoted + DELIVERED * PATIENCE
        while any(order.delivered is None for order in waiting):
            self.check()
            if time.monotonic() > end:
                late = [order.id for order in waiting if order.delivered is None]
                raise Violated(f"{len(late)} of {len(waiting)} orders are not delivered within {DELIVERED * PATIENCE:.0f} s "
                               f"of the new primary, {late[0]} first")
            time.sleep(0.05)
        return max((order.delivered - promoted for order in waiting), default=0.0), len(waiting)

    def goes_on(self):
        """Waits until as many orders are taken and delivered as there are members; answers how long half of them
        took at most, as long as nothing happens."""
        now = time.monotonic()
        fresh = lambda: [o.delivered - o.acknowledged for o in self.orders() if o.acknowledged > now and o.delivered]
        until("orders are taken and delivered again", lambda: len(fresh()) >= len(self.members), within=60)
        self.check()
        return statistics.median(fresh())

    def check(self):
        self.shop.runs()
        for member in self.members:
            if member.failure:
                raise Violated(f"an order was refused: {member.failure}")

    def close(self):
        """Lets all orders that were begun come to their end; answers how many there were."""
        self.closing.set()
        end = time.monotonic() + 60 * PATIENCE
        for member in self.members:
            member.join(max(0, end - time.monotonic()))
        self.given_up.set()
        self.check()
        late = [order.id for order in self.orders() if order.delivered is None]
        if late or any(member.is_alive() for member in self.members):
            raise Violated(f"orders that do not come to an end: {late or 'not acknowledged'}")
        orders = len(self.orders())
        [stored] = self.shop.sql("order", "select count(*) from orders")
        if int(stored) != orders:
            raise Violated(f"{orders} orders were acknowledged, {stored} are stored: a key did not hold")
        return orders
