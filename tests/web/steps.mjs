// What a member does again and again, in a browser.

const { PRODUCT } = process.env;
export const PASSWORD = "correct horse battery";

export const press = (page, name) => page.getByRole("button", { name, exact: true }).click();
export const says = (page, text) => page.getByText(text).first().waitFor();
export const badge = (page, text) => page.locator("#order .badge", { hasText: text }).first().waitFor();

export async function signUp({ page }, email, name = "김한상") {
  await page.goto("/sign-up");
  await page.getByLabel("이메일").fill(email);
  await page.getByLabel("비밀번호").fill(PASSWORD);
  await page.getByLabel("이름").fill(name);
  await press(page, "회원가입");
  await says(page, "가입을 환영합니다");
}

export async function intoCart({ page }, quantity = 1) {
  await page.goto(`/products/${PRODUCT}`);
  await page.getByLabel("수량").fill(String(quantity));
  await press(page, "장바구니 담기");
  await says(page, "장바구니에 담았습니다");
}

/** From the cart to the order's page; `choose` fills in what pays. */
export async function order({ page }, choose) {
  await page.goto("/cart");
  await page.getByRole("link", { name: "주문하기" }).click();
  if (await page.getByLabel("받는 사람").isVisible()) {
    await page.getByLabel("받는 사람").fill("김한상");
    await page.getByLabel("전화번호").fill("010-1234-5678");
    await page.getByLabel("우편번호").fill("04524");
    await page.getByLabel("주소", { exact: true }).fill("서울특별시 중구 세종대로 110");
  }
  await choose();
  await press(page, "결제하기");
  await says(page, "주문했습니다");
}
