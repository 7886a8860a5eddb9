// Chromium, as the stories use it: what goes wrong in a page ends the story.

import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const PATIENCE_MS = 15_000;

export const { API, SHOTS } = process.env;

/** A browser for all stories. */
export const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM,
  args: ["--no-sandbox", "--disable-gpu"],
});

/** Fails with a sentence. */
export function check(right, sentence) {
  if (!right) throw new Error(sentence);
}

/** Somebody who visits, with a window of so many pixels; `complaints` are what the browser says. */
export async function visitor(width, { script = true, locale = "ko-KR", dark = false } = {}) {
  const context = await browser.newContext({
    viewport: { width, height: width < 600 ? 780 : 900 },
    javaScriptEnabled: script,
    locale,
    colorScheme: dark ? "dark" : "light",
    baseURL: API,
  });
  context.setDefaultTimeout(PATIENCE_MS);
  const page = await context.newPage();
  const complaints = [];
  // A page that answers 4xx or 5xx on purpose is reported as a failed resource.
  const meant = (text) => /Failed to load resource|the server responded with a status/.test(text);
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type()) && !meant(message.text())) complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("request", (request) => {
    if (!request.url().startsWith(API) && !request.url().startsWith("data:")) complaints.push(`asked ${request.url()}`);
  });
  return { context, page, complaints, width, script };
}

/** Looks at the page as it is: a picture, nothing too wide, nothing serious that axe finds. */
export async function look({ page, width, script, complaints }, name) {
  await page.screenshot({ path: `${SHOTS}/${name}-${width}.png`, fullPage: true });
  check(complaints.length === 0, `${name}: ${complaints.join("\n")}`);
  if (!script) return;
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  check(wide <= 0, `${name} at ${width}: ${wide} pixels too wide`);
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run());
  const serious = violations.filter(({ impact }) => ["serious", "critical"].includes(impact));
  const said = serious.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map((node) => node.html).join(" ")}`);
  check(serious.length === 0, `${name} at ${width}: axe finds ${said.join("\n")}`);
}

/** Asks the API. */
export async function call(token, path, body) {
  const answer = await fetch(API + path, {
    method: body ? "POST" : "GET",
    headers: { "content-type": "application/json", ...(token && { authorization: `Bearer ${token}` }) },
    body: body && JSON.stringify(body),
  });
  const text = await answer.text();
  check(answer.ok, `${path}: ${answer.status} ${text}`);
  return JSON.parse(text);
}
