// What goes wrong in a browser, and what is done on purpose: other members' ids, markup, forms that come twice, from
// elsewhere or too late, and too many requests. tests/web.sh brings the deployment up.

import { createServer } from "node:http";
import { writeFile } from "node:fs/promises";
import { API, browser, call, check, look, visitor } from "./browser.mjs";
import { badge, intoCart, order, PASSWORD, press, says, signUp } from "./steps.mjs";

const { PRODUCT, POLICIES } = process.env;
const MARKUP = `<img src=x onerror=alert(1)>'"&`;

const signIn = async ({ page }, email) => {
  await page.getByLabel("이메일").fill(email);
  await page.getByLabel("비밀번호").fill(PASSWORD);
  await press(page, "로그인");
};
const idOf = (page) => page.url().split("/").pop();
const session = async ({ context }) => (await context.cookies()).find(({ name }) => name === "hansang_session").value;

/** Sends a form of this page by hand, as whoever looks at it; the answer's status. */
const send = (page, path, fields) =>
  page.evaluate(
    async ([path, fields]) => {
      const signature = document.querySelector("[name=csrf]").value;
      const body = new URLSearchParams({ csrf: signature, key: crypto.randomUUID(), ...fields });
      return (await fetch(path, { method: "POST", body, redirect: "manual" })).status;
    },
    [path, fields],
  );

/** Nothing of one member's is there for another, whatever the address. */
async function othersIds() {
  const [mine, theirs] = [await visitor(1280), await visitor(1280)];
  await signUp(mine, "mine@example.com");
  await intoCart(mine);
  await order(mine, async () => {});
  await badge(mine.page, "배송중");
  const id = idOf(mine.page);
  const token = await session(mine);
  const { sub } = JSON.parse(Buffer.from(token.split(".")[1], "base64url"));
  const { addresses } = await call(token, `/v1/members/${sub}/addresses`);
  await signUp(theirs, "theirs@example.com");
  const { page } = theirs;
  for (const [path, status] of [
    [`/my/orders/${id}`, 404],
    [`/seller/orders/${id}`, 403],
    [`/admin/orders?order=${id}`, 403],
    [`/admin/members/${sub}`, 403],
    ["/my/orders/..%2f..%2fadmin", 404],
  ]) {
    check((await page.goto(path)).status() === status, `${path} is not ${status}`);
  }
  await page.goto("/my/addresses");
  for (const path of ["cancel", "confirm", "cancel-lines", "return"].map((what) => `/my/orders/${id}/${what}`)) {
    const status = await send(page, path, { product: PRODUCT, [`pieces-${PRODUCT}`]: "1", reason: "x" });
    check(status === 404, `${path} answers ${status}`);
  }
  // It is gone for whoever it never was there for.
  await send(page, `/my/addresses/${addresses[0].id}/delete`, {});
  const left = await call(token, `/v1/members/${sub}/addresses`);
  check(left.addresses.length === addresses.length, "another member has deleted an address");
  await intoCart(theirs);
  await page.goto("/checkout");
  const status = await send(page, "/checkout", {
    addressId: addresses[0].id, paymentMethod: "CARD", cardToken: "tok_visa", expectedTotal: "8900",
  });
  check(status >= 400, `an order to another member's address: ${status}`);
  await mine.page.reload();
  await badge(mine.page, "배송중");
  await Promise.all([mine, theirs].map(({ context }) => context.close()));
}

/** A form that comes twice is done once; a page from before is not shown again. */
async function twiceAndTooLate() {
  const who = await visitor(360);
  const { page, context } = who;
  await signUp(who, "twice@example.com");
  await intoCart(who);
  await page.goto("/checkout");
  for (const [name, text] of [["recipient", "이중"], ["phone", "010-1234-5678"], ["postcode", "04524"], ["line1", "서울"]]) {
    await page.locator(`[name=${name}]`).fill(text);
  }
  // The session ends while the address is typed.
  await context.clearCookies({ name: "hansang_session" });
  await press(page, "결제하기");
  await says(page, "먼저 로그인해 주세요");
  await signIn(who, "twice@example.com");
  await page.waitForURL("**/checkout");
  await says(page, "전주식 콩나물국밥");
  for (const [name, text] of [["recipient", "이중"], ["phone", "010-1234-5678"], ["postcode", "04524"], ["line1", "서울"]]) {
    await page.locator(`[name=${name}]`).fill(text);
  }
  const went = await page.evaluate(async () => {
    const body = new URLSearchParams(new FormData(document.querySelector("main form")));
    const once = async () => (await fetch("/checkout", { method: "POST", body })).url;
    return await Promise.all([once(), once(), once()]);
  });
  check(new Set(went).size === 1 && went[0].includes("/my/orders/"), `sent three times: ${went}`);
  await page.goto("/my/orders");
  check((await page.locator("article.order").count()) === 1, "sent three times, ordered more than once");
  await press(page, "로그아웃");
  await says(page, "로그아웃했습니다");
  await page.goBack();
  await page.waitForURL("**/sign-in**");
  check((await page.content()).includes("전주식 콩나물국밥") === false, "a page is shown after its session");
  await context.close();
}

/** A page of another site sends forms here, and changes nothing. */
async function elsewhere() {
  const who = await visitor(1280);
  await signUp(who, "lured@example.com");
  const foreign = `<form method="post" action="${API}/my/account"><input name="sure" value="yes"></form>
    <script>document.forms[0].submit()</script>`;
  const site = createServer((_, answer) => answer.setHeader("content-type", "text/html").end(foreign));
  await new Promise((ready) => site.listen(0, "127.0.0.1", ready));
  try {
    const page = await who.context.newPage();
    await page.goto(`http://localhost:${site.address().port}/`);
    await page.waitForURL(`${API}/**`);
    await page.getByText(/다른 사이트|로그인/).first().waitFor();
    check((await page.goto("/my/account")).status() === 200, "the member is not there any more");
    await page.getByText("lured@example.com").waitFor();
  } finally {
    site.close();
  }
  await who.context.close();
}

/** What people write is text wherever it is read: by them, by sellers, by admins. */
async function markup() {
  const who = await visitor(360);
  const { page } = who;
  page.on("dialog", () => who.complaints.push("a script of somebody's has run"));
  await signUp(who, "markup@example.com", MARKUP);
  await intoCart(who);
  await page.goto("/checkout");
  for (const name of ["recipient", "line1", "line2", "memo"]) await page.locator(`[name=${name}]`).fill(`${name} ${MARKUP}`);
  await page.locator("[name=phone]").fill("010-1234-5678");
  await page.locator("[name=postcode]").fill("04524");
  await press(page, "결제하기");
  await says(page, "주문했습니다");
  await badge(page, "배송중");
  await says(page, `memo ${MARKUP}`);
  await look(who, "markup-order");
  await page.goto("/my/account");
  await says(page, MARKUP);
  await page.goto(`/?query=${encodeURIComponent(MARKUP)}`);
  await says(page, "상품이 없습니다");
  await look(who, "search-nothing");
  const seller = await visitor(1280);
  seller.page.on("dialog", () => seller.complaints.push("a script of somebody's has run"));
  await seller.page.goto("/sign-in");
  await seller.page.getByLabel("이메일").fill("seller@hansang.local");
  await seller.page.getByLabel("비밀번호").fill(process.env.SELLER_PASSWORD);
  await press(seller.page, "로그인");
  await seller.page.goto("/seller/deliveries?state=STARTED");
  await says(seller.page, `memo ${MARKUP}`);
  await look(seller, "markup-deliveries");
  await Promise.all([who, seller].map(({ context }) => context.close()));
}

/** Everything without script. */
async function plain() {
  const who = await visitor(360, { script: false });
  const { page } = who;
  await signUp(who, "plainer@example.com");
  await page.goto("/my/wallet");
  await page.getByLabel("충전 금액").fill("20000");
  await press(page, "충전");
  await says(page, "지갑을 충전했습니다");
  await page.getByLabel("출금 금액").fill("5000");
  await page.getByLabel("계좌번호").fill("110-123-456789");
  await page.getByLabel("예금주").fill("김한상");
  await press(page, "출금");
  await says(page, "출금을 신청했습니다");
  await look(who, "plain-wallet");
  await page.goto("/my/addresses");
  for (const [name, text] of [["받는 사람", "김한상"], ["전화번호", "010-1234-5678"], ["우편번호", "04524"]]) {
    await page.getByLabel(name).fill(text);
  }
  await page.getByLabel("주소", { exact: true }).fill("서울특별시 중구 세종대로 110");
  await press(page, "저장");
  await says(page, "배송지를 저장했습니다");
  await intoCart(who, 2);
  await page.goto("/cart");
  await page.getByLabel("전주식 콩나물국밥 수량").fill("3");
  await press(page, "수량 변경");
  await says(page, "26,700원");
  await order(who, async () => {});
  await page.reload();
  await page.getByText("부분취소", { exact: true }).click();
  await page.getByLabel("전주식 콩나물국밥").fill("1");
  await press(page, "부분취소하기");
  await says(page, "고른 상품을 취소했습니다");
  await press(page, "English");
  await page.getByText("Where it goes").or(page.getByText("Delivery")).first().waitFor();
  await press(page, "한국어");
  await page.goto("/my/addresses");
  await press(page, "삭제");
  await says(page, "배송지를 삭제했습니다");
  await press(page, "로그아웃");
  await says(page, "로그아웃했습니다");
  await who.context.close();
}

/** Too many requests are refused with a page that says when to come back, and comes back by itself. */
async function tooMuch() {
  const who = await visitor(1280);
  const { page } = who;
  await writeFile(POLICIES, "method.product.GetProduct.ip_rate = { per_second = 1, burst = 1 }\n");
  try {
    const last = Date.now() + 15_000;
    let answer;
    do {
      answer = await page.goto(`/products/${PRODUCT}`);
      check(Date.now() < last, "no rate in time");
    } while (answer.status() !== 429);
    check(Number(answer.headers()["retry-after"]) >= 1, "no Retry-After");
    await page.getByRole("heading", { name: "요청이 너무 많습니다" }).waitFor();
    await look(who, "too-much");
    await page.getByRole("heading", { name: "전주식 콩나물국밥" }).waitFor();
  } finally {
    await writeFile(POLICIES, "");
  }
  await who.context.close();
}

try {
  await othersIds();
  await twiceAndTooLate();
  await elsewhere();
  await markup();
  await plain();
  await tooMuch();
  console.log(`web: ${API}: what is done on purpose changes nothing, and everything works without script`);
} finally {
  await browser.close();
}
