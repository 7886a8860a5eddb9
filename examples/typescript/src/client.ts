// A member's way through the shop: signs up, tops up, orders, follows the order until it is
// being delivered, and cancels it. Says what it does, and fails with one line.
//
//   npm start -- [ADDRESS]

import { randomUUID } from "node:crypto";

import { Code, ConnectError, createClient, type Client, type Transport } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";

import { MemberService } from "./gen/hansang/member/v1/member_service_pb.js";
import { MyPageService } from "./gen/hansang/mypage/v1/mypage_service_pb.js";
import { Order_CancelReason, Order_State, PaymentMethod } from "./gen/hansang/order/v1/order_pb.js";
import { OrderService } from "./gen/hansang/order/v1/order_service_pb.js";
import { PaymentService } from "./gen/hansang/payment/v1/payment_service_pb.js";
import { ProductService } from "./gen/hansang/product/v1/product_service_pb.js";

/** No call takes longer than this, and no order takes longer to be on its way. */
const timeoutMs = 30_000;

/** The shop did what this program does not know how to go on from. */
class Unexpected extends Error {}

/** A header of a command: however often it is sent, it takes effect once. */
const once = () => ({ "idempotency-key": randomUUID() });

/** A new member's id, and the header that says who calls. */
async function signUp(transport: Transport) {
  const members = createClient(MemberService, transport);
  const [email, password] = [`${randomUUID()}@example.com`, randomUUID()];
  await members.registerMember({ email, password, displayName: "Me" }, { headers: once() });
  const session = await members.createSession({ email, password });
  return { me: session.memberId, caller: { authorization: `Bearer ${session.accessToken}` } };
}

/** What has been seen of an order; a watch goes on from there. */
interface Seen {
  lastEventId: string;
  milestones: number;
}

/** Prints each milestone that an order passes, to the one that is waited for. */
async function follow(
  pages: Client<typeof MyPageService>,
  memberId: string,
  headers: HeadersInit,
  orderId: string,
  until: Order_State,
  seen: Seen,
) {
  const enough = new AbortController();
  // A timeout of the transport's would keep the program waiting for it, once the watch is left.
  const signal = AbortSignal.any([enough.signal, AbortSignal.timeout(timeoutMs)]);
  const options = { headers, signal, timeoutMs: 0 };
  try {
    const watch = pages.watchMyPage({ memberId, lastEventId: seen.lastEventId }, options);
    for await (const { eventId, order } of watch) {
      seen.lastEventId = eventId;
      if (order?.orderId !== orderId) continue;
      for (const { state, label } of order.history.slice(seen.milestones)) {
        console.log(`              ${Order_State[state]} ${label}`);
      }
      seen.milestones = order.history.length;
      if (order.state === until) return;
      if (order.state === Order_State.CANCELLED) {
        throw new Unexpected(`the order was cancelled: ${Order_CancelReason[order.cancelReason]}`);
      }
    }
    throw new Unexpected("the watch ended");
  } finally {
    enough.abort();
  }
}

async function run(transport: Transport) {
  const { products } = await createClient(ProductService, transport).listProducts({});
  const meal = products.find(({ stock }) => stock > 0);
  if (!meal?.price) throw new Unexpected("nothing is on sale");
  const { currencyCode, units } = meal.price;
  console.log(`on sale       ${meal.displayName}, ${units} ${currencyCode}`);

  const { me, caller } = await signUp(transport);
  const command = () => ({ headers: { ...caller, ...once() } });
  console.log(`signed up     ${me}`);

  const payments = createClient(PaymentService, transport);
  const amount = { currencyCode, units: units + 500n };
  const { balance: before } = await payments.topUpWallet(
    { memberId: me, amount, cardToken: "tok_visa" },
    command(),
  );
  console.log(`balance       ${before?.units}`);

  const orders = createClient(OrderService, transport);
  const request = {
    paymentMethod: PaymentMethod.WALLET,
    lines: [{ productId: meal.id, quantity: 1 }],
  };
  const placing = command();
  const placed = await orders.placeOrder(request, placing);
  console.log(`ordered       ${placed.id}`);
  // As after an answer that was lost: the same key, and so the same order.
  const again = await orders.placeOrder(request, placing);
  console.log(`again         ${again.id}`);

  const pages = createClient(MyPageService, transport);
  const seen = { lastEventId: "", milestones: 0 };
  await follow(pages, me, caller, placed.id, Order_State.DELIVERING, seen);
  await orders.cancelOrder({ orderId: placed.id }, command());
  console.log("cancelled");
  await follow(pages, me, caller, placed.id, Order_State.CANCELLED, seen);

  const { balance: after } = await payments.getWallet({ memberId: me }, { headers: caller });
  console.log(`balance       ${after?.units}`);
  if (after?.units !== before?.units) throw new Unexpected("the order was not paid back");
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
