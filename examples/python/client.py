"""A member's way through the shop: signs up, tops up, orders, follows the order until it is
being delivered, and cancels it. Says what it does, and fails with one line.

    python3 client.py [ADDRESS]
"""

import sys
from pathlib import Path
from uuid import uuid4

import grpc

sys.path.insert(0, str(Path(__file__).parent / "gen"))

from google.type.money_pb2 import Money
from hansang.member.v1 import member_service_pb2 as member
from hansang.member.v1.member_service_pb2_grpc import MemberServiceStub
from hansang.mypage.v1 import mypage_service_pb2 as mypage
from hansang.mypage.v1.mypage_service_pb2_grpc import MyPageServiceStub
from hansang.order.v1 import order_service_pb2 as order
from hansang.order.v1.order_pb2 import WALLET, Order
from hansang.order.v1.order_service_pb2_grpc import OrderServiceStub
from hansang.payment.v1 import payment_service_pb2 as payment
from hansang.payment.v1.payment_service_pb2_grpc import PaymentServiceStub
from hansang.product.v1 import product_service_pb2 as product
from hansang.product.v1.product_service_pb2_grpc import ProductServiceStub

# No call takes longer than this, and no order takes longer to be on its way.
SECONDS = 30


class Unexpected(Exception):
    """The shop did what this program does not know how to go on from."""


def once():
    """Metadata of a command: however often it is sent, it takes effect once."""
    return ("idempotency-key", str(uuid4()))


def sign_up(channel):
    """A new member's id, and the metadata that says who calls."""
    members = MemberServiceStub(channel)
    email, password = f"{uuid4()}@example.com", str(uuid4())
    members.RegisterMember(
        member.RegisterMemberRequest(email=email, password=password, display_name="Me"),
        metadata=[once()],
        timeout=SECONDS,
    )
    session = members.CreateSession(
        member.CreateSessionRequest(email=email, password=password), timeout=SECONDS
    )
    return session.member_id, ("authorization", f"Bearer {session.access_token}")


def follow(pages, me, caller, placed, until, after=("", 0)):
    """Prints each milestone that an order passes, to the one that is waited for. Goes on after the
    last message and milestone that were seen; answers with those that it has seen itself."""
    last_event_id, seen = after
    request = mypage.WatchMyPageRequest(member_id=me, last_event_id=last_event_id)
    watch = pages.WatchMyPage(request, metadata=[caller], timeout=SECONDS)
    for message in watch:
        if message.order.order_id != placed.id:
            continue
        for milestone in message.order.history[seen:]:
            print(f"              {Order.State.Name(milestone.state)} {milestone.label}")
        seen = len(message.order.history)
        if message.order.state == until:
            watch.cancel()
            return message.event_id, seen
        if message.order.state == Order.CANCELLED:
            reason = Order.CancelReason.Name(message.order.cancel_reason)
            raise Unexpected(f"the order was cancelled: {reason}")
    raise Unexpected("the watch ended")


def run(channel):
    goods = ProductServiceStub(channel).ListProducts(
        product.ListProductsRequest(), timeout=SECONDS
    )
    meal = next((meal for meal in goods.products if meal.stock > 0), None)
    if meal is None:
        raise Unexpected("nothing is on sale")
    print(f"on sale       {meal.display_name}, {meal.price.units} {meal.price.currency_code}")

    me, caller = sign_up(channel)
    print(f"signed up     {me}")

    payments = PaymentServiceStub(channel)
    wallet = payments.TopUpWallet(
        payment.TopUpWalletRequest(
            member_id=me,
            amount=Money(currency_code=meal.price.currency_code, units=meal.price.units + 500),
            card_token="tok_visa",
        ),
        metadata=[caller, once()],
        timeout=SECONDS,
    )
    topped_up = wallet.balance.units
    print(f"balance       {topped_up}")

    orders = OrderServiceStub(channel)
    request = order.PlaceOrderRequest(
        payment_method=WALLET,
        lines=[order.PlaceOrderRequest.Line(product_id=meal.id, quantity=1)],
    )
    key = once()
    placed = orders.PlaceOrder(request, metadata=[caller, key], timeout=SECONDS)
    print(f"ordered       {placed.id}")
    # As after an answer that was lost: the same key, and so the same order.
    again = orders.PlaceOrder(request, metadata=[caller, key], timeout=SECONDS)
    print(f"again         {again.id}")

    pages = MyPageServiceStub(channel)
    seen = follow(pages, me, caller, placed, Order.DELIVERING)
    orders.CancelOrder(
        order.CancelOrderRequest(order_id=placed.id), metadata=[caller, once()], timeout=SECONDS
    )
    print("cancelled")
    follow(pages, me, caller, placed, Order.CANCELLED, seen)

    wallet = payments.GetWallet(
        payment.GetWalletRequest(member_id=me), metadata=[caller], timeout=SECONDS
    )
    print(f"balance       {wallet.balance.units}")
    if wallet.balance.units != topped_up:
        raise Unexpected("the order was not paid back")


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
