// What sellers and admins do, in a browser. tests/web.sh brings the deployment up.

import { API, browser, call, check, look, visitor } from "./browser.mjs";

const { ADMIN, SELLER_PASSWORD, ADMIN_PASSWORD } = process.env;
const PASSWORD = "correct horse battery";
const PNG = Buffer.from(
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==",
  "base64",
);
const SVG = Buffer.from("<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>");

const press = (page, name) => page.getByRole("button", { name, exact: true }).first().click();
const says = (page, text) => page.getByText(text).first().waitFor();
const done = (page) => says(page, "처리했습니다");
const won = (units) => ({ currencyCode: "KRW", units: String(units) });

async function signIn({ page }, email, password) {
  await page.goto("/sign-in");
  await page.getByLabel("이메일").fill(email);
  await page.getByLabel("비밀번호").fill(password);
  await press(page, "로그인");
  await says(page, "로그인했습니다");
}

/** Asks until it is so. */
async function eventually(what, ask) {
  const last = Date.now() + 20_000;
  for (;;) {
    const found = await ask().catch(() => null);
    if (found) return found;
    check(Date.now() < last, `not in time: ${what}`);
    await new Promise((again) => setTimeout(again, 100));
  }
}

/** A member, and orders of theirs, made over REST. */
async function customer(width) {
  const email = `buyer-${width}@example.com`;
  const { id } = await call("", "/v1/members", { email, password: PASSWORD, displayName: "이구매" });
  const { accessToken: token } = await call("", "/v1/sessions", { email, password: PASSWORD });
  const order = async (product, how) => {
    const lines = [{ productId: product, quantity: 1 }];
    const placed = await eventually("an order", () => call(token, "/v1/orders", { lines, ...how }));
    return placed.id;
  };
  const is = (order, state) =>
    eventually(`${order} ${state}`, async () => (await call(token, `/v1/orders/${order}`)).state === state);
  return { id, email, token, order, is };
}

/** What is sold: registered, with a picture, counted, taken off sale and put back. */
async function products(who) {
  const { page, width } = who;
  const name = `나주 배 ${width}`;
  await page.goto("/seller");
  await look(who, "seller");
  await page.getByRole("link", { name: "상품 등록" }).click();
  await press(page, "등록");
  await page.getByLabel("상품명").fill(name);
  await page.getByLabel("가격").fill("19000");
  await page.getByLabel("설명").fill("아삭하고 <b>달콤한</b> 배입니다.\n5kg 한 상자.");
  await look(who, "seller-new");
  await press(page, "등록");
  await done(page);
  const file = (mimeType, buffer) => ({ name: "a.png", mimeType, buffer });
  await page.getByLabel("사진 파일").setInputFiles(file("image/png", SVG));
  await press(page, "올리기");
  await says(page, "입력한 내용을 확인해 주세요");
  await page.getByLabel("사진 파일").setInputFiles(file("image/png", PNG));
  await press(page, "올리기");
  await done(page);
  const shown = await page.locator(".picture img").first().evaluate((image) => image.decode().then(() => image.naturalWidth));
  check(shown === 1, "the picture is not shown");
  await page.getByLabel("들어온 수량").fill("20");
  await press(page, "입고");
  await done(page);
  await page.getByText("재고 실사 조정").click();
  await page.getByLabel("조정 수량").fill("-30");
  await page.getByLabel("이유").fill("세어 봄");
  await press(page, "조정");
  await says(page, "재고가 0보다 작아질 수 없습니다");
  await look(who, "seller-stock-wrong");
  await page.getByLabel("조정 수량").fill("-2");
  await press(page, "조정");
  await done(page);
  await page.getByLabel("판매 상태").selectOption("OFF_SALE");
  await press(page, "저장");
  await done(page);
  await page.getByLabel("판매 상태").selectOption("ON_SALE");
  await press(page, "저장");
  await done(page);
  await look(who, "seller-product");
  const product = page.url().split("/").pop();
  await page.goto("/seller/products");
  await page.getByLabel("상품 찾기").fill("주 배");
  await press(page, "찾기");
  await page.getByRole("link", { name }).waitFor();
  await look(who, "seller-products");
  return product;
}

/** Transfers: confirmed by hand, recorded, held, and put into a wallet. */
async function deposits(who, buyer, product) {
  const { page, width } = who;
  const order = await buyer.order(product, { paymentMethod: "BANK_TRANSFER", depositorName: "이구매" });
  await buyer.is(order, "AWAITING_DEPOSIT");
  await page.goto("/seller/deposits");
  await page.getByText("손으로 확인").first().click();
  await page.locator("details[open]").getByLabel("입금자명").fill("이구매");
  await look(who, "seller-deposits");
  await press(page, "입금 확인");
  await done(page);
  await buyer.is(order, "DELIVERING");
  await page.getByText("입금 기록하기").click();
  await page.getByLabel("은행 거래번호").fill(`console ${width}`);
  await page.locator("details[open]").getByLabel("금액").fill("7000");
  await page.locator("details[open]").getByLabel("입금자명").fill("누구일까");
  await press(page, "기록");
  await done(page);
  await page.getByRole("link", { name: "누구일까" }).first().click();
  await says(page, "맞는 결제 없음");
  await look(who, "seller-deposit");
  await page.getByLabel("회원 번호").fill(buyer.id);
  await press(page, "적립");
  await done(page);
  await says(page, "지갑에 적립");
  return order;
}

/** A parcel goes and arrives; a member gives something back; an order is cancelled. */
async function parcels(who, buyer, product, order) {
  const { page } = who;
  const card = { paymentMethod: "CARD", cardToken: "tok_visa" };
  const other = await buyer.order(product, card);
  await buyer.is(other, "DELIVERING");
  await page.goto("/seller/deliveries?state=STARTED");
  const parcel = page.locator("article", { hasText: order });
  await look(who, "seller-deliveries");
  await parcel.getByLabel("택배사").fill("한상택배");
  await parcel.getByLabel("송장번호").fill(`${order.slice(0, 8)}`);
  await parcel.getByRole("button", { name: "발송 처리" }).click();
  await done(page);
  await page.goto("/seller/deliveries?state=DISPATCHED");
  await page.locator("article", { hasText: order }).getByRole("button", { name: "배송완료 처리" }).click();
  await done(page);
  await buyer.is(order, "DELIVERED");
  const lines = [{ productId: product, quantity: 1 }];
  await call(buyer.token, `/v1/orders/${order}/returns`, { lines, reason: "배가 너무 큽니다" });
  await page.goto("/seller/returns?state=REQUESTED");
  await says(page, "배가 너무 큽니다");
  await look(who, "seller-returns");
  await page.locator("article", { hasText: order }).getByRole("button", { name: "반품 받음" }).click();
  await says(page, /처리했습니다|처리하고 있습니다/);
  await page.goto("/seller/orders");
  await look(who, "seller-orders");
  await page.goto(`/seller/orders/${other}`);
  await look(who, "seller-order");
  await page.getByLabel("이유").fill("포장이 찢어짐");
  await press(page, "주문취소");
  await says(page, /처리했습니다|처리하고 있습니다/);
  await buyer.is(other, "CANCELLED");
}

async function sells(width) {
  const who = await visitor(width);
  await signIn(who, "seller@hansang.local", SELLER_PASSWORD);
  const product = await products(who);
  const buyer = await customer(width);
  const order = await deposits(who, buyer, product);
  await parcels(who, buyer, product, order);
  await who.page.goto("/admin");
  await says(who.page, "권한이 없습니다");
  await who.context.close();
  return { buyer, order };
}

/** Members and their roles and wallets, coupons, messages, money, stories, parked events, the audit list. */
async function runs(width, buyer, order) {
  const who = await visitor(width);
  const { page } = who;
  await signIn(who, "admin@hansang.local", ADMIN_PASSWORD);
  await page.goto("/admin");
  await look(who, "admin");
  await page.goto("/admin/members");
  await page.getByLabel("이메일이나 이름").fill(buyer.email.slice(0, 8));
  await press(page, "찾기");
  await says(page, buyer.email);
  await look(who, "admin-members");
  await page.goto(`/admin/members/${buyer.id}`);
  await press(page, "판매자 역할 부여");
  await done(page);
  await press(page, "판매자 역할 회수");
  await done(page);
  await page.getByText("잔액 조정").click();
  await page.getByLabel("더할 금액").fill("-1000");
  await page.getByLabel("이유").fill("잘못 적립함");
  await press(page, "조정");
  await done(page);
  await look(who, "admin-member");
  await coupons(who, buyer);
  await page.goto("/admin/templates");
  await page.getByLabel("글").first().fill("새 회원: {memberId}");
  await press(page, "저장");
  await done(page);
  await look(who, "admin-templates");
  await page.goto("/admin/money");
  for (const part of ["실패한 환불", "보류 중인 입금", "출금"]) await page.getByRole("heading", { name: part, exact: true }).waitFor();
  await look(who, "admin-money");
  await page.goto("/admin/orders");
  await page.getByLabel("주문번호").fill(order);
  await press(page, "보기");
  for (const name of ["OrderPlaced", "PaymentApproved", "StockDecreased", "DeliveryDispatched", "MemberNotificationSent"]) {
    await says(page, name);
  }
  await look(who, "admin-story");
  await page.goto("/admin/parked");
  await says(page, "보류된 이벤트가 없습니다");
  await look(who, "admin-parked");
  await page.goto("/admin/audit");
  await says(page, "잘못 적립함");
  await look(who, "admin-audit");
  await page.goto("/seller/deposits");
  await says(page, "누구일까");
  await page.goto("/seller/products");
  await says(page, "권한이 없습니다");
  await who.context.close();
}

async function coupons(who, buyer) {
  const { page, width } = who;
  await page.goto("/admin/coupons");
  await page.getByLabel("이름").fill(`가을 쿠폰 ${width}`);
  await page.getByRole("radio", { name: "비율" }).check();
  await page.getByLabel("비율 (%)").fill("10");
  await page.getByLabel("최대 할인").fill("5000");
  await press(page, "만들기");
  await done(page);
  await says(page, "10% (최대 5,000원)");
  const option = page.locator("select[name=policy] option", { hasText: `가을 쿠폰 ${width}` });
  await page.getByLabel("정책", { exact: true }).selectOption(await option.getAttribute("value"));
  await page.getByLabel("회원 번호").fill(buyer.id);
  await press(page, "발급");
  await done(page);
  await look(who, "admin-coupons");
  const { coupons } = await call(ADMIN, `/v1/members/${buyer.id}/coupons`);
  check(coupons.some(({ displayName }) => displayName === `가을 쿠폰 ${width}`), "no coupon was issued");
}

try {
  for (const width of [1280, 360]) {
    const { buyer, order } = await sells(width);
    await runs(width, buyer, order);
  }
  console.log(`web: ${API}: the consoles of sellers and admins work, at a desk and on a telephone`);
} finally {
  await browser.close();
}
