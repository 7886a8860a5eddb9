// A member's way through the shop, with the seller beside it: signs up, orders, pays a second order
// with coupon, points, wallet and card, follows it, cancels some of it, and returns some of the
// rest. Says what it does, and fails with one line.
//
//   SELLER_PASSWORD=… npm start -- [ADDRESS]

import { randomUUID } from "node:crypto";

import { Code, ConnectError, createClient, type Client, type Transport } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";

import { Coupon_State } from "./gen/hansang/coupon/v1/coupon_pb.js";
import { DeliveryService } from "./gen/hansang/delivery/v1/delivery_service_pb.js";
import { MemberService } from "./gen/hansang/member/v1/member_service_pb.js";
import {
  OrderView_Action,
  type MyPage,
  type OrderView,
} from "./gen/hansang/mypage/v1/mypage_pb.js";
import { MyPageService } from "./gen/hansang/mypage/v1/mypage_service_pb.js";
import { Order_CancelReason, Order_State, PaymentMethod } from "./gen/hansang/order/v1/order_pb.js";
import { OrderService } from "./gen/hansang/order/v1/order_service_pb.js";
import { ReturnService } from "./gen/hansang/order/v1/return_service_pb.js";
import { PaymentService } from "./gen/hansang/payment/v1/payment_service_pb.js";
import type { Product } from "./gen/hansang/product/v1/product_pb.js";
import { ProductService } from "./gen/hansang/product/v1/product_service_pb.js";

/** No call takes longer than this, and no order takes longer to be on its way. */
const timeoutMs = 30_000;

/** Of the second order: how much is ordered, cancelled and returned, and what the wallet pays. */
const [ordered, cancelled, returned, fromWallet] = [10, 2, 1, 500n];

/** The shop did what this program does not know how to go on from. */
class Unexpected extends Error {}

/** A header of a command: however often it is sent, it takes effect once. */
const once = () => ({ "idempotency-key": randomUUID() });

const won = (units: bigint) => ({ currencyCode: "KRW", units });

/** Somebody who is signed in: their id, and the headers of what they ask and command. */
async function signIn(transport: Transport, email: string, password: string) {
  const session = await createClient(MemberService, transport).createSession({ email, password });
  const headers = { authorization: `Bearer ${session.accessToken}` };
  const command = () => ({ headers: { ...headers, ...once() } });
  return { id: session.memberId, query: { headers }, command };
}
type Caller = Awaited<ReturnType<typeof signIn>>;
type Orders = Client<typeof OrderService>;

async function signUp(transport: Transport) {
  const [email, password] = [`${randomUUID()}@example.com`, randomUUID()];
  const member = { email, password, displayName: "Me" };
  await createClient(MemberService, transport).registerMember(member, { headers: once() });
  return signIn(transport, email, password);
}

/** What a member's My Page has said so far. */
class Follower {
  private lastEventId = "";
  private page?: MyPage;
  private readonly orders = new Map<string, OrderView>();
  private readonly pages: Client<typeof MyPageService>;
  private readonly me: Caller;

  constructor(transport: Transport, me: Caller) {
    this.pages = createClient(MyPageService, transport);
    this.me = me;
  }

  /** Watches on from the last message, until what was said is enough. */
  async until<T>(enough: () => T | false | undefined): Promise<T> {
    const known = enough();
    if (known) return known;
    const left = new AbortController();
    // A timeout of the transport's would keep the program waiting for it, once the watch is left.
    const signal = AbortSignal.any([left.signal, AbortSignal.timeout(timeoutMs)]);
    const request = { memberId: this.me.id, lastEventId: this.lastEventId };
    const options = { ...this.me.query, signal, timeoutMs: 0 };
    try {
      for await (const { eventId, page, order } of this.pages.watchMyPage(request, options)) {
        this.lastEventId = eventId;
        if (page) this.page = page;
        if (order) this.see(order);
        const found = enough();
        if (found) return found;
      }
      throw new Unexpected("the watch ended");
    } finally {
      left.abort();
    }
  }

  /** Prints the milestones that an order has passed since it was last seen. */
  private see(order: OrderView) {
    const seen = this.orders.get(order.orderId)?.history.length;
    for (const { state, label } of order.history.slice(seen)) {
      console.log(`              ${Order_State[state]} ${label}`);
    }
    this.orders.set(order.orderId, order);
    if (order.state === Order_State.CANCELLED) {
      throw new Unexpected(`the order was cancelled: ${Order_CancelReason[order.cancelReason]}`);
    }
  }

  reaches(orderId: string, state: Order_State) {
    return this.until(() => this.orders.get(orderId)?.state === state);
  }

  dispatched(orderId: string) {
    return this.until(() => {
      const order = this.orders.get(orderId);
      return order?.trackingNumber ? order : undefined;
    });
  }

  /** A coupon that can be redeemed, and points. */
  purse() {
    return this.until(() => {
      const coupon = this.page?.coupons.find(({ state }) => state === Coupon_State.ISSUED);
      const points = this.page?.mileageBalance;
      return coupon && points ? { coupon, points } : undefined;
    });
  }

  /** What may be done with an order, the shop says: no rule of it is repeated here. */
  require(orderId: string, action: OrderView_Action) {
    if (!this.orders.get(orderId)?.allowedActions.includes(action)) {
      throw new Unexpected(`the order does not allow ${OrderView_Action[action]}`);
    }
  }
}

async function firstOnSale(transport: Transport) {
  const { products } = await createClient(ProductService, transport).listProducts({});
  const meal = products.find(({ stock }) => stock > ordered);
  if (!meal) throw new Unexpected("nothing is on sale");
  return meal;
}

/** By wallet. */
async function orderOne(orders: Orders, me: Caller, meal: Product) {
  const request = {
    paymentMethod: PaymentMethod.WALLET,
    lines: [{ productId: meal.id, quantity: 1 }],
  };
  const command = me.command();
  const placed = await orders.placeOrder(request, command);
  console.log(`ordered       ${placed.id}`);
  // As after an answer that was lost: the same key, and so the same order.
  const again = await orders.placeOrder(request, command);
  console.log(`again         ${again.id}`);
  if (again.id !== placed.id) throw new Unexpected("one key has ordered twice");
  return placed;
}

/** Pays with whatever there is. */
async function checkOut(orders: Orders, me: Caller, mine: Follower, meal: Product) {
  // Signing up brings a coupon, and an order points, each a moment later.
  const { coupon, points } = await mine.purse();
  console.log(`has           ${coupon.displayName}, ${points} points`);
  const request = {
    paymentMethod: PaymentMethod.CARD,
    cardToken: "tok_visa",
    lines: [{ productId: meal.id, quantity: ordered }],
    couponId: coupon.id,
    points,
    walletAmount: won(fromWallet),
  };
  const placed = await orders.placeOrder(request, me.command());
  console.log(`ordered       ${placed.id}`);
  const amounts = [placed.goodsTotal, placed.couponDiscount, placed.walletUsed, placed.payable];
  const [goods, byCoupon, byWallet, byCard] = amounts.map((money) => money?.units ?? 0n);
  const parts = `${byCoupon} coupon + ${points} points + ${byWallet} wallet + ${byCard} card`;
  console.log(`receipt       ${goods} = ${parts}`);
  if (goods !== byCoupon + placed.pointsUsed + byWallet + byCard) {
    throw new Unexpected("the receipt does not add up");
  }
  return placed;
}

/** What the seller and a carrier do. */
async function deliver(transport: Transport, seller: Caller, mine: Follower, orderId: string) {
  const service = createClient(DeliveryService, transport);
  const [delivery] = (await service.listDeliveries({ orderId }, seller.query)).deliveries;
  if (!delivery) throw new Unexpected("the order has no delivery");
  const deliveryId = delivery.id;
  const parcel = { deliveryId, carrier: "CJ", trackingNumber: "6543210" };
  await service.dispatchDelivery(parcel, seller.command());
  const { carrier, trackingNumber } = await mine.dispatched(orderId);
  console.log(`dispatched    ${carrier} ${trackingNumber}`);
  await service.markDelivered({ deliveryId }, seller.command());
  await mine.reaches(orderId, Order_State.DELIVERED);
}

async function giveBack(
  transport: Transport,
  me: Caller,
  seller: Caller,
  orderId: string,
  piece: { productId: string; quantity: number },
) {
  const returns = createClient(ReturnService, transport);
  const request = { orderId, lines: [piece], reason: "Nobody came" };
  const { id: returnId } = await returns.requestReturn(request, me.command());
  const accepted = await returns.acceptReturn({ returnId }, seller.command());
  const back = `${accepted.refunded?.units} won + ${accepted.pointsRestored} points`;
  console.log(`returned      ${piece.quantity}: ${back}`);
}

async function run(transport: Transport) {
  const meal = await firstOnSale(transport);
  const { currencyCode, units } = meal.price ?? won(0n);
  console.log(`on sale       ${meal.displayName}, ${units} ${currencyCode}`);

  const me = await signUp(transport);
  console.log(`signed up     ${me.id}`);

  const payments = createClient(PaymentService, transport);
  const topUp = { memberId: me.id, amount: won(units + fromWallet), cardToken: "tok_visa" };
  const { balance } = await payments.topUpWallet(topUp, me.command());
  console.log(`balance       ${balance?.units}`);

  const [orders, mine] = [createClient(OrderService, transport), new Follower(transport, me)];
  const first = await orderOne(orders, me, meal);
  await mine.reaches(first.id, Order_State.DELIVERING);
  const { id: orderId } = await checkOut(orders, me, mine, meal);
  await mine.reaches(orderId, Order_State.DELIVERING);

  mine.require(orderId, OrderView_Action.CANCEL_LINES);
  const some = { orderId, lines: [{ productId: meal.id, quantity: cancelled }] };
  const [line] = (await orders.cancelLines(some, me.command())).lines;
  console.log(`cancelled     ${line?.cancelledQuantity} of ${line?.quantity}`);

  const password = process.env.SELLER_PASSWORD ?? "";
  const seller = await signIn(transport, "seller@hansang.local", password);
  await deliver(transport, seller, mine, orderId);

  mine.require(orderId, OrderView_Action.REQUEST_RETURN);
  await giveBack(transport, me, seller, orderId, { productId: meal.id, quantity: returned });

  const wallet = await payments.getWallet({ memberId: me.id }, me.query);
  console.log(`balance       ${wallet.balance?.units}`);
  const share = (fromWallet * BigInt(cancelled + returned)) / BigInt(ordered);
  if (wallet.balance?.units !== share) {
    throw new Unexpected("the wallet's share was not paid back");
  }
}

const address = process.argv[2] ?? "127.0.0.1:8080";
try {
  await run(createGrpcTransport({ baseUrl: `http://${address}`, defaultTimeoutMs: timeoutMs }));
} catch (error) {
  if (error instanceof Unexpected) console.error(`client: ${error.message}`);
  else {
    const { code, rawMessage } = ConnectError.from(error);
    console.error(`client: ${Code[code]}: ${rawMessage}`);
  }
  process.exitCode = 1;
}
