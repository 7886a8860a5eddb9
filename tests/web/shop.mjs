// The shop's stories, in a browser. tests/web.sh brings the deployment up.

import { readFile } from "node:fs/promises";
import { API, browser, call, check, look, visitor } from "./browser.mjs";
import { badge, intoCart, order, press, says, signUp } from "./steps.mjs";

const { SELLER, PRODUCT, PROCESSES } = process.env;

async function visits(width) {
  const who = await visitor(width);
  const { page } = who;
  const email = `member-${width}@example.com`;
  await page.goto("/");
  await look(who, "home");
  check((await page.content()).length < 50_000, "the front page is too large");
  await page.getByLabel("상품 검색").fill("콩나물");
  await page.getByLabel("상품 검색").press("Enter");
  await says(page, "전주식 콩나물국밥");
  check((await page.locator(".product").count()) === 1, "the search finds one");
  await look(who, "search");
  await page.getByRole("link", { name: "전주식 콩나물국밥" }).click();
  await look(who, "product");

  // Names as long as they may be fit everywhere.
  for (const [query, name] of [["무척이나", "long-name"], ["Unbroken", "long-word"]]) {
    await page.goto(`/?query=${query}`);
    await page.locator(".product-link").first().click();
    await press(page, "장바구니 담기");
    await says(page, "장바구니에 담았습니다");
    await page.goBack();
    await look(who, `product-${name}`);
  }
  await page.goto("/cart");
  await look(who, "cart-long");
  for (let lines = 2; lines > 0; lines--) await page.getByRole("button", { name: /삭제$/ }).first().click();
  await page.goto("/cart");
  await look(who, "cart-empty");
  await intoCart(who, 2);
  await page.reload();
  await page.getByRole("link", { name: "전주식 콩나물국밥" }).waitFor();
  await look(who, "cart");
  await page.goto("/sign-in");
  await look(who, "sign-in");
  await page.getByLabel("이메일").fill("nobody@example.com");
  await page.getByLabel("비밀번호").fill("wrong");
  await press(page, "로그인");
  await says(page, "맞지 않습니다");
  check((await page.getByLabel("이메일").inputValue()) === "nobody@example.com", "what was typed is gone");
  await look(who, "sign-in-wrong");
  await signUp(who, email);

  await page.goto("/my/coupons");
  await says(page, "3,000원");
  // By card, with a coupon, after a card that is declined and a field that is wrong.
  await page.goto("/checkout");
  await look(who, "checkout");
  await press(page, "결제하기");
  await says(page, "100자 이하로 꼭");
  await look(who, "checkout-wrong");
  await order(who, async () => {
    const coupon = page.locator("select[name=couponId] option").nth(1);
    await page.getByLabel("쿠폰").selectOption(await coupon.getAttribute("value"));
    await page.getByLabel("카드", { exact: true }).last().selectOption("tok_declined");
    await press(page, "금액 다시 계산");
    await says(page, "14,800원");
    await press(page, "결제하기");
    await says(page, "거절되었습니다");
    await page.getByLabel("카드", { exact: true }).last().selectOption("tok_visa");
  });
  await badge(page, "배송중");
  await look(who, "order-card");
  await press(page, "주문취소");
  await says(page, "주문을 취소했습니다");
  await badge(page, "주문취소");
  await look(who, "order-cancelled");
  check((await page.getByRole("button", { name: "주문취소", exact: true }).count()) === 0, "cancelled twice");

  await wallet(who);
  await transfer(who);
  await parts(who);
  await page.goto("/my");
  await page.getByRole("heading", { name: "최근 주문" }).waitFor();
  await look(who, "my");
  for (const part of ["orders", "coupons", "points", "wallet", "addresses", "account"]) {
    await page.goto(`/my/${part}`);
    await look(who, `my-${part}`);
  }
  await page.goto("/nowhere");
  await look(who, "nowhere");
  await who.context.close();
}

async function wallet(who) {
  const { page } = who;
  await page.goto("/my/wallet");
  await page.getByLabel("충전 금액").fill("30000");
  await press(page, "충전");
  await says(page, "지갑을 충전했습니다");
  await intoCart(who);
  await order(who, () => page.getByRole("radio", { name: /지갑/ }).check());
  await badge(page, "배송중");
}

/** The page shows what happens elsewhere, without anybody loading it anew. */
async function transfer(who) {
  const { page } = who;
  await intoCart(who);
  await order(who, async () => {
    await page.getByRole("radio", { name: /계좌이체/ }).check();
    await page.getByLabel("입금자 이름").fill("김한상");
  });
  await badge(page, "입금확인대기");
  await says(page, "입금 계좌");
  const reference = await page.locator(".deposit code").textContent();
  await look(who, "order-transfer");
  await page.evaluate(() => (window.here = true));
  await call(SELLER, "/v1/deposits", {
    bankTransactionId: `web ${who.width}`,
    amount: { currencyCode: "KRW", units: "8900" },
    depositorName: "김한상",
    reference,
  });
  await badge(page, "배송중");
  check((await page.locator(".deposit").count()) === 0, "still asks for the deposit");
  const deliveries = await call(SELLER, `/v1/deliveries?orderId=${page.url().split("/").pop()}`);
  const delivery = deliveries.deliveries[0].id;
  await call(SELLER, `/v1/deliveries/${delivery}:dispatch`, { carrier: "한상택배", trackingNumber: "1234-5678" });
  await says(page, "1234-5678");
  await call(SELLER, `/v1/deliveries/${delivery}:markDelivered`, {});
  await badge(page, "배송완료");
  check(await page.evaluate(() => window.here), "the page was loaded anew");
  await press(page, "수령확인");
  await badge(page, "수령확인");
  await look(who, "order-closed");
}

/** Some of an order is cancelled, and some of the rest comes back. */
async function parts(who) {
  const { page } = who;
  await intoCart(who, 3);
  await order(who, async () => {});
  const pieces = page.getByLabel("전주식 콩나물국밥");
  await page.getByText("부분취소", { exact: true }).click();
  await pieces.fill("1");
  await look(who, "order-parts");
  await press(page, "부분취소하기");
  await says(page, "1개 취소");
  await badge(page, "배송중");
  const { deliveries } = await call(SELLER, `/v1/deliveries?orderId=${page.url().split("/").pop()}`);
  await call(SELLER, `/v1/deliveries/${deliveries[0].id}:dispatch`, { carrier: "한상택배", trackingNumber: "77" });
  await call(SELLER, `/v1/deliveries/${deliveries[0].id}:markDelivered`, {});
  await page.getByText("반품신청", { exact: true }).click();
  await pieces.fill("1");
  await page.getByLabel("반품 사유").fill("국물이 샜습니다");
  await press(page, "반품신청하기");
  await says(page, "반품을 신청했습니다");
  await badge(page, "반품신청");
  await look(who, "order-return");
  const { returns } = await call(SELLER, `/v1/orders/${page.url().split("/").pop()}/returns`);
  await call(SELLER, `/v1/returns/${returns[0].id}:accept`, {});
  await badge(page, "반품완료");
}

/** With order, payment and delivery stopped the page is there, says so, and recovers by itself. */
async function away() {
  const who = await visitor(1280);
  const { page } = who;
  await signUp(who, "away@example.com");
  await intoCart(who);
  await order(who, async () => {});
  await badge(page, "배송중");
  const placed = page.url();
  await page.goto("/my");
  await says(page, "전주식 콩나물국밥");
  const processes = JSON.parse(await readFile(PROCESSES, "utf8"));
  const stopped = processes.filter(({ service }) => ["order", "payment", "delivery"].includes(service));
  check(stopped.length === 3, "they run elsewhere");
  try {
    for (const { pid } of stopped) process.kill(pid, "SIGSTOP");
    await page.reload();
    await says(page, "전주식 콩나물국밥");
    for (const name of ["주문", "결제", "배송"]) await says(page, new RegExp(`${name} 서비스.*응답하지 않습니다`));
    await look(who, "my-away");
    // What needs them is there and cannot be pressed; nobody waits for them to find out.
    const begun = Date.now();
    await page.goto(placed);
    await says(page, "지금은 할 수 없습니다");
    for (const name of ["주문취소", "수령확인"]) {
      check(await page.getByRole("button", { name, exact: true }).isDisabled(), `${name} can be pressed`);
    }
    await page.goto("/my/wallet");
    await says(page, /결제 서비스.*응답하지 않습니다/);
    check(Date.now() - begun < 4000, `two pages took ${Date.now() - begun} ms`);
    await look(who, "wallet-away");
    await page.goto(placed);
    await says(page, "지금은 할 수 없습니다");
    await look(who, "order-away");
  } finally {
    for (const { pid } of stopped) process.kill(pid, "SIGCONT");
  }
  await page.locator(".alert-wait").first().waitFor({ state: "detached", timeout: 40_000 });
  check(await page.getByRole("button", { name: "주문취소", exact: true }).isEnabled(), "it does not recover by itself");
  await who.context.close();
}

/** A person without script orders, and follows the order. */
async function withoutScript() {
  const who = await visitor(1280, { script: false });
  const { page } = who;
  await signUp(who, "plain@example.com");
  await intoCart(who);
  await order(who, async () => {});
  const stepped = async () => {
    await page.reload();
    return (await page.locator("#order .badge", { hasText: "배송중" }).count()) > 0;
  };
  const last = Date.now() + 15_000;
  while (!(await stepped())) check(Date.now() < last, "no milestone without script");
  await look(who, "plain-order");
  await press(page, "주문취소");
  await says(page, "주문을 취소했습니다");
  await press(page, "로그아웃");
  await says(page, "로그아웃했습니다");
  await who.context.close();
}

/** In English, in the dark, by keyboard alone. */
async function otherwise() {
  const who = await visitor(1280, { locale: "en-GB", dark: true });
  const { page } = who;
  await page.goto("/");
  await page.keyboard.press("Tab");
  check((await page.evaluate(() => document.activeElement.className)) === "skip", "the way past the header");
  await look(who, "english-dark");
  await page.goto(`/products/${PRODUCT}`);
  await page.getByRole("button", { name: "Add to cart" }).focus();
  await page.keyboard.press("Enter");
  await says(page, "It is in your cart");
  await press(page, "한국어");
  await says(page, "장바구니");
  await look(who, "cart-dark");
  await who.context.close();
}

try {
  for (const width of [1280, 360]) await visits(width);
  await withoutScript();
  await otherwise();
  await away();
  console.log(`web: ${API}: the stories play, at a desk and on a telephone, with script and without`);
} finally {
  await browser.close();
}
