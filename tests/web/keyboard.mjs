// A whole purchase by keyboard alone, with the focus seen at every stop. tests/web.sh brings the deployment up.

import { API, browser, call, check, look, visitor } from "./browser.mjs";
import { PASSWORD, says } from "./steps.mjs";

const { PRODUCT } = process.env;
/** More stops than any page has. */
const STOPS = 120;

/** Where the focus is, and whether that can be seen: an outline around it or around what it belongs to, in the window. */
const stop = (page) =>
  page.evaluate(() => {
    const at = document.activeElement;
    const ringed = (element) => {
      const { outlineStyle, outlineWidth, outlineColor } = getComputedStyle(element);
      return outlineStyle !== "none" && parseFloat(outlineWidth) >= 2 && !outlineColor.endsWith(", 0)");
    };
    const { left, right, top, bottom } = at.getBoundingClientRect();
    const inside = right > 0 && bottom > 0 && left < innerWidth && top < innerHeight && right > left && bottom > top;
    return {
      what: at.outerHTML.slice(0, 120),
      seen: at === document.body || (inside && [at, at.closest("label")].some((it) => it && ringed(it))),
    };
  });

/** Presses Tab until the focus is there. */
async function reach(page, target, width) {
  await target.waitFor();
  for (let stops = 0; stops < STOPS; stops++) {
    await page.keyboard.press("Tab");
    const { what, seen } = await stop(page);
    check(seen, `at ${width} the focus cannot be seen: ${what}`);
    if (await target.evaluate((element) => element === document.activeElement)) return;
  }
  check(false, `at ${width} not reached by Tab: ${target}`);
}

async function purchase(width) {
  const who = await visitor(width);
  const { page } = who;
  const email = `keys-${width}@example.com`;
  const field = (name) => page.getByLabel(name, { exact: true });
  const to = (target) => reach(page, target, width);
  const write = async (name, text) => {
    await to(field(name).last());
    await page.keyboard.press("ControlOrMeta+a");
    await page.keyboard.type(text);
  };
  const follow = async (role, name) => {
    await to(page.getByRole(role, { name, exact: true }).first());
    await page.keyboard.press("Enter");
  };

  await page.goto("/");
  await follow("link", "회원가입");
  await page.waitForURL("**/sign-up*");
  await write("이메일", email);
  await write("비밀번호", PASSWORD);
  await write("이름", "박손끝");
  await follow("button", "회원가입");
  await says(page, "가입을 환영합니다");
  await earnPoints(email);

  await write("상품 검색", "콩나물");
  await page.keyboard.press("Enter");
  await says(page, "검색 결과");
  await to(page.getByRole("link", { name: "전주식 콩나물국밥" }).first());
  await page.keyboard.press("Enter");
  await write("수량", "2");
  await follow("button", "장바구니 담기");
  await says(page, "장바구니에 담았습니다");
  // Enter in a field changes the quantities, and throws nothing out.
  await write("전주식 콩나물국밥 수량", "3");
  await page.keyboard.press("Enter");
  await says(page, "26,700원");
  await follow("link", "주문하기");
  await page.waitForURL("**/checkout");
  await checkout({ page, to, write, follow });
  await says(page, "주문했습니다");
  await says(page, "배송중");
  await look(who, "keyboard-order");
  await follow("button", "주문취소");
  await says(page, "주문을 취소했습니다");
  await follow("link", "마이페이지");
  await says(page, "최근 주문");
  await follow("button", "로그아웃");
  await says(page, "로그아웃했습니다");
  await who.context.close();
}

/** Address, coupon, points, card: and the amounts before anything is paid. */
async function checkout({ page, to, write, follow }) {
  for (const [name, text] of [
    ["받는 사람", "박손끝"],
    ["전화번호", "010-1234-5678"],
    ["우편번호", "04524"],
    ["주소", "서울특별시 중구 세종대로 110"],
  ]) {
    await write(name, text);
  }
  await to(page.getByLabel("쿠폰", { exact: true }));
  await page.keyboard.press("ArrowDown");
  await to(page.getByLabel(/^포인트 사용/));
  await page.keyboard.press("ControlOrMeta+a");
  await page.keyboard.type("50");
  // Enter in a field works the amounts out; nobody pays by mistake.
  await page.keyboard.press("Enter");
  await says(page, "23,650원");
  check(page.url().endsWith("/checkout"), "Enter in a field has paid");
  await to(page.getByRole("radio", { name: /카드/ }));
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("ArrowUp");
  check(await page.getByRole("radio", { name: /카드/ }).isChecked(), "the arrows choose a method");
  await follow("button", "결제하기");
}

/** What an order that was paid brings. */
async function earnPoints(email) {
  const { accessToken: token, memberId } = await call("", "/v1/sessions", { email, password: PASSWORD });
  const id = memberId ?? JSON.parse(Buffer.from(token.split(".")[1], "base64url")).sub;
  const lines = [{ productId: PRODUCT, quantity: 1 }];
  await call(token, "/v1/orders", { lines, paymentMethod: "CARD", cardToken: "tok_visa" });
  const last = Date.now() + 20_000;
  for (;;) {
    const { balance } = await call(token, `/v1/members/${id}/mileage`);
    if (Number(balance) >= 50) return;
    check(Date.now() < last, "no points in time");
    await new Promise((again) => setTimeout(again, 100));
  }
}

try {
  for (const width of [1280, 360]) await purchase(width);
  console.log(`web: ${API}: a whole purchase by keyboard alone, with the focus seen at every stop`);
} finally {
  await browser.close();
}
