"""A member's way through the shop, with the seller beside it: signs up, orders, pays a second
order with coupon, points, wallet and card, follows it, cancels some of it, and returns some of the
rest. Says what it does, and fails with one line.

    SELLER_PASSWORD=… python3 client.py [ADDRESS]
"""

import os
import sys
from collections import defaultdict
from pathlib import Path
from uuid import uuid4

import grpc

sys.path.insert(0, str(Path(__file__).parent / "gen"))

from google.type.money_pb2 import Money
from hansang.coupon.v1.coupon_pb2 import Coupon
from hansang.delivery.v1 import delivery_service_pb2 as delivery
from hansang.delivery.v1.delivery_service_pb2_grpc import DeliveryServiceStub
from hansang.member.v1 import member_service_pb2 as member
from hansang.member.v1.member_service_pb2_grpc import MemberServiceStub
from hansang.mypage.v1 import mypage_service_pb2 as mypage
from hansang.mypage.v1.mypage_pb2 import MyPage, OrderView
from hansang.mypage.v1.mypage_service_pb2_grpc import MyPageServiceStub
from hansang.order.v1 import order_service_pb2 as order
from hansang.order.v1 import return_service_pb2 as returns
from hansang.order.v1.order_pb2 import CARD, WALLET, Order, Pieces
from hansang.order.v1.order_service_pb2_grpc import OrderServiceStub
from hansang.order.v1.return_service_pb2_grpc import ReturnServiceStub
from hansang.payment.v1 import payment_service_pb2 as payment
from hansang.payment.v1.payment_service_pb2_grpc import PaymentServiceStub
from hansang.product.v1 import product_service_pb2 as product
from hansang.product.v1.product_service_pb2_grpc import ProductServiceStub

# No call takes longer than this, and no order takes longer to be on its way.
SECONDS = 30
# Of the second order: how much is ordered, cancelled and returned, and what the wallet pays.
ORDERED, CANCELLED, RETURNED, FROM_WALLET = 10, 2, 1, 500


class Unexpected(Exception):
    """The shop did what this program does not know how to go on from."""


def once():
    """Metadata of a command: however often it is sent, it takes effect once."""
    return ("idempotency-key", str(uuid4()))


def won(units):
    return Money(currency_code="KRW", units=units)


class Caller:
    """Somebody who is signed in."""

    def __init__(self, members, email, password):
        request = member.CreateSessionRequest(email=email, password=password)
        session = members.CreateSession(request, timeout=SECONDS)
        self.id = session.member_id
        self.metadata = ("authorization", f"Bearer {session.access_token}")

    def query(self, call, request):
        return call(request, metadata=[self.metadata], timeout=SECONDS)

    def command(self, call, request, key=None):
        return call(request, metadata=[self.metadata, key or once()], timeout=SECONDS)


def sign_up(members):
    email, password = f"{uuid4()}@example.com", str(uuid4())
    request = member.RegisterMemberRequest(email=email, password=password, display_name="Me")
    members.RegisterMember(request, metadata=[once()], timeout=SECONDS)
    return Caller(members, email, password)


class Follower:
    """What a member's My Page has said so far."""

    def __init__(self, channel, me):
        self.pages, self.me = MyPageServiceStub(channel), me
        self.last_event_id = ""
        self.page = MyPage()
        self.orders = defaultdict(OrderView)

    def until(self, enough):
        """Watches on from the last message, until what was said is enough."""
        request = mypage.WatchMyPageRequest(member_id=self.me.id, last_event_id=self.last_event_id)
        watch = self.me.query(self.pages.WatchMyPage, request)
        while not enough():
            message = next(watch, None)
            if message is None:
                raise Unexpected("the watch ended")
            self.last_event_id = message.event_id
            if message.HasField("page"):
                self.page = message.page
            else:
                self.see(message.order)
        watch.cancel()

    def see(self, view):
        """Prints the milestones that an order has passed since it was last seen."""
        for milestone in view.history[len(self.orders[view.order_id].history) :]:
            print(f"              {Order.State.Name(milestone.state)} {milestone.label}")
        self.orders[view.order_id] = view
        if view.state == Order.CANCELLED:
            reason = Order.CancelReason.Name(view.cancel_reason)
            raise Unexpected(f"the order was cancelled: {reason}")

    def reaches(self, order_id, state):
        self.until(lambda: self.orders[order_id].state == state)

    def coupon(self):
        """One that can be redeemed."""
        usable = (coupon for coupon in self.page.coupons if coupon.state == Coupon.ISSUED)
        return next(usable, None)

    def require(self, order_id, action):
        """What may be done with an order, the shop says: no rule of it is repeated here."""
        if action not in self.orders[order_id].allowed_actions:
            raise Unexpected(f"the order does not allow {OrderView.Action.Name(action)}")


def first_on_sale(channel):
    request = product.ListProductsRequest()
    goods = ProductServiceStub(channel).ListProducts(request, timeout=SECONDS)
    meal = next((meal for meal in goods.products if meal.stock > ORDERED), None)
    if meal is None:
        raise Unexpected("nothing is on sale")
    return meal


def order_one(orders, me, meal):
    """By wallet."""
    request = order.PlaceOrderRequest(
        payment_method=WALLET,
        lines=[order.PlaceOrderRequest.Line(product_id=meal.id, quantity=1)],
    )
    key = once()
    placed = me.command(orders.PlaceOrder, request, key)
    print(f"ordered       {placed.id}")
    # As after an answer that was lost: the same key, and so the same order.
    again = me.command(orders.PlaceOrder, request, key)
    print(f"again         {again.id}")
    if again.id != placed.id:
        raise Unexpected("one key has ordered twice")
    return placed


def check_out(orders, me, mine, meal):
    """Pays with whatever there is."""
    # Signing up brings a coupon, and an order points, each a moment later.
    mine.until(lambda: mine.coupon() and mine.page.mileage_balance)
    coupon, points = mine.coupon(), mine.page.mileage_balance
    print(f"has           {coupon.display_name}, {points} points")
    request = order.PlaceOrderRequest(
        payment_method=CARD,
        card_token="tok_visa",
        lines=[order.PlaceOrderRequest.Line(product_id=meal.id, quantity=ORDERED)],
        coupon_id=coupon.id,
        points=points,
        wallet_amount=won(FROM_WALLET),
    )
    placed = me.command(orders.PlaceOrder, request)
    print(f"ordered       {placed.id}")
    goods, by_card = placed.goods_total.units, placed.payable.units
    by_coupon, by_wallet = placed.coupon_discount.units, placed.wallet_used.units
    parts = f"{by_coupon} coupon + {points} points + {by_wallet} wallet + {by_card} card"
    print(f"receipt       {goods} = {parts}")
    if goods != by_coupon + placed.points_used + by_wallet + by_card:
        raise Unexpected("the receipt does not add up")
    return placed


def deliver(channel, seller, mine, order_id):
    """What the seller and a carrier do."""
    deliveries = DeliveryServiceStub(channel)
    request = delivery.ListDeliveriesRequest(order_id=order_id)
    parcel = next(iter(seller.query(deliveries.ListDeliveries, request).deliveries), None)
    if parcel is None:
        raise Unexpected("the order has no delivery")
    request = delivery.DispatchDeliveryRequest(
        delivery_id=parcel.id, carrier="CJ", tracking_number="6543210"
    )
    seller.command(deliveries.DispatchDelivery, request)
    mine.until(lambda: mine.orders[order_id].tracking_number)
    view = mine.orders[order_id]
    print(f"dispatched    {view.carrier} {view.tracking_number}")
    request = delivery.MarkDeliveredRequest(delivery_id=parcel.id)
    seller.command(deliveries.MarkDelivered, request)
    mine.reaches(order_id, Order.DELIVERED)


def give_back(channel, me, seller, order_id, lines):
    shelf = ReturnServiceStub(channel)
    request = returns.RequestReturnRequest(order_id=order_id, lines=lines, reason="Nobody came")
    asked = me.command(shelf.RequestReturn, request)
    accepted = seller.command(shelf.AcceptReturn, returns.AcceptReturnRequest(return_id=asked.id))
    back = f"{accepted.refunded.units} won + {accepted.points_restored} points"
    print(f"returned      {lines[0].quantity}: {back}")


def run(channel):
    meal = first_on_sale(channel)
    print(f"on sale       {meal.display_name}, {meal.price.units} {meal.price.currency_code}")

    members = MemberServiceStub(channel)
    me = sign_up(members)
    print(f"signed up     {me.id}")

    payments = PaymentServiceStub(channel)
    request = payment.TopUpWalletRequest(
        member_id=me.id, amount=won(meal.price.units + FROM_WALLET), card_token="tok_visa"
    )
    wallet = me.command(payments.TopUpWallet, request)
    print(f"balance       {wallet.balance.units}")

    orders, mine = OrderServiceStub(channel), Follower(channel, me)
    mine.reaches(order_one(orders, me, meal).id, Order.DELIVERING)
    order_id = check_out(orders, me, mine, meal).id
    mine.reaches(order_id, Order.DELIVERING)

    mine.require(order_id, OrderView.CANCEL_LINES)
    some = [Pieces(product_id=meal.id, quantity=CANCELLED)]
    request = order.CancelLinesRequest(order_id=order_id, lines=some)
    line = me.command(orders.CancelLines, request).lines[0]
    print(f"cancelled     {line.cancelled_quantity} of {line.quantity}")

    seller = Caller(members, "seller@hansang.local", os.environ.get("SELLER_PASSWORD"))
    deliver(channel, seller, mine, order_id)

    mine.require(order_id, OrderView.REQUEST_RETURN)
    some = [Pieces(product_id=meal.id, quantity=RETURNED)]
    give_back(channel, me, seller, order_id, some)

    wallet = me.query(payments.GetWallet, payment.GetWalletRequest(member_id=me.id))
    print(f"balance       {wallet.balance.units}")
    if wallet.balance.units != FROM_WALLET * (CANCELLED + RETURNED) // ORDERED:
        raise Unexpected("the wallet's share was not paid back")


def main():
    address = sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:8080"
    try:
        with grpc.insecure_channel(address) as channel:
            run(channel)
    except grpc.RpcError as error:
        sys.exit(f"client: {error.code().name}: {error.details()}")
    except Unexpected as error:
        sys.exit(f"client: {error}")


if __name__ == "__main__":
    main()
