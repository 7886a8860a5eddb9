// Live states: follows the member's page, and puts what has changed in its place. Pages work without.

const said = document.getElementById("said");
const { here } = document.body.dataset;
let stream = document.body.dataset.live;
const AGAIN_MS = 3000;
const TOGETHER_MS = 200;

let waiting;
let lost = false;

/** Reads the page anew, and takes over what is live in it, unless somebody is at it. */
async function renew() {
  let answer;
  let text;
  try {
    answer = await fetch(here, { headers: { accept: "text/html" } });
    if (answer.redirected && new URL(answer.url).pathname !== new URL(here, location).pathname) {
      location.assign(here);
      return;
    }
    text = await answer.text();
  } catch {
    later(AGAIN_MS);
    return;
  }
  const fresh = new DOMParser().parseFromString(text, "text/html");
  for (const old of document.querySelectorAll("[data-live][id]")) {
    const now = fresh.getElementById(old.id);
    if (!now) {
      // Another page by now: what was away is there.
      if (answer.ok) return takeOver(fresh);
      continue;
    }
    if (now.innerHTML === old.innerHTML) continue;
    if (isTyped(old)) {
      later(AGAIN_MS);
      continue;
    }
    const focused = old.contains(document.activeElement) ? place(old) : null;
    const open = [...old.querySelectorAll("details")].map((part) => part.open);
    old.replaceChildren(...now.childNodes);
    old.querySelectorAll("details").forEach((part, at) => (part.open ||= open[at]));
    if (focused) old.querySelectorAll("a, button, summary")[focused.at]?.focus();
  }
  lookAgain(fresh);
}

/** Shows another page in place of this one, as it was read: asked for once more it might be refused. */
function takeOver(fresh) {
  document.title = fresh.title;
  document.querySelector("main").replaceChildren(...fresh.querySelector("main").childNodes);
  if (!stream && fresh.body.dataset.live) {
    stream = fresh.body.dataset.live;
    follow("");
  }
  lookAgain(document);
}

/** Whether somebody is filling something in. */
function isTyped(part) {
  const typed = (field) => field === document.activeElement || field.value !== field.defaultValue;
  return [...part.querySelectorAll("input:not([type=hidden]), textarea")].some(typed);
}

/** Which of the things that take the focus has it. */
function place(part) {
  return { at: [...part.querySelectorAll("a, button, summary")].indexOf(document.activeElement) };
}

function later(ms) {
  clearTimeout(waiting);
  waiting = setTimeout(renew, ms);
}

/** What could not be shown says when to look again. */
function lookAgain(page) {
  const seconds = [...page.querySelectorAll("main [data-again]")].map((part) => Number(part.dataset.again) || 5);
  if (seconds.length) later(Math.min(...seconds) * 1000);
}

function follow(after) {
  let last = after;
  // All that there is comes first: it is on the page already.
  let begun = Date.now();
  const events = new EventSource(after ? `${stream}?after=${encodeURIComponent(after)}` : stream);
  events.addEventListener("open", () => {
    begun = Date.now();
    if (!lost) return;
    lost = false;
    said.textContent = said.dataset.back;
    later(0);
  });
  events.addEventListener("page", (event) => {
    last = event.lastEventId;
    later(TOGETHER_MS);
  });
  events.addEventListener("order", (event) => {
    last = event.lastEventId;
    if (after || Date.now() - begun > 1000) said.textContent = event.data;
    later(TOGETHER_MS);
  });
  events.addEventListener("error", () => {
    if (!lost) said.textContent = said.dataset.lost;
    lost = true;
    if (events.readyState !== EventSource.CLOSED) return;
    // The stream is refused: the page may be there all the same.
    later(AGAIN_MS);
    setTimeout(() => follow(last), AGAIN_MS);
  });
  addEventListener("pagehide", () => events.close(), { once: true });
}

lookAgain(document);
if (stream) follow("");
