// Refreshes the figures in place, and makes rates and times of what was counted between two looks. The
// token of who signs in stays here, in this page, and is gone with it.
const EVERY_MS = 3000, WINDOW_MS = 60000;
const $ = (id) => document.getElementById(id);
let token = '', looks = [], asking = false;

const keyOf = (row) => ['service', 'route'].map((kind) => `${kind} ${row.dataset[kind]}`).join();

function lookAt(live) {
  const rows = new Map();
  // A service at several endpoints has its counts in the first of its rows.
  for (const row of live.querySelectorAll('tr[data-buckets]')) {
    const buckets = row.dataset.buckets.split(' ').filter(Boolean).map((one) => one.split(':').map(Number));
    rows.set(keyOf(row), { count: Number(row.dataset.count), buckets });
  }
  return { at: Number(live.dataset.at), rows };
}

// As in the page's own figures: straight through the bucket.
function quantile(buckets, share) {
  const rank = share * buckets.at(-1)[1];
  let low = 0, before = 0;
  for (const [bound, upTo] of buckets) {
    if (upTo >= rank && upTo > before) {
      return bound === Infinity ? low : low + (bound - low) * (rank - before) / (upTo - before);
    }
    [low, before] = [bound, upTo];
  }
  return low;
}

const duration = (s) => s < 0.01 ? `${(s * 1e3).toFixed(1)} ms` : s < 1 ? `${(s * 1e3).toFixed(0)} ms` : `${s.toFixed(2)} s`;

// Rates, and times of the window instead of those since the start.
function compare(live, from, to) {
  const seconds = (to.at - from.at) / 1000;
  if (!(seconds > 0)) return;
  let all = 0;
  for (const row of live.querySelectorAll('tr[data-buckets]')) {
    const now = to.rows.get(keyOf(row));
    const then = from.rows.get(keyOf(row)) ?? { count: 0, buckets: now.buckets.map(([bound]) => [bound, 0]) };
    const count = now.count - then.count;
    // Began anew, or was asked at another place.
    if (count < 0 || now.buckets.length !== then.buckets.length) continue;
    if (row.dataset.route !== undefined) all += count;
    row.querySelector('.rate').textContent = (count / seconds).toFixed(count / seconds < 10 ? 2 : 0);
    const more = now.buckets.map(([bound, upTo], at) => [bound, upTo - then.buckets[at][1]]);
    for (const cell of row.querySelectorAll('.time')) {
      cell.textContent = count > 0 ? duration(quantile(more, Number(cell.dataset.share))) : '–';
    }
  }
  const requests = live.querySelector('#requests');
  requests.textContent = `${(all / seconds).toFixed(1)} /s`;
  requests.nextElementSibling.textContent = 'requests per second';
  live.querySelector('.window').textContent = `Rates and times of the last ${Math.round(seconds)} s.`;
}

async function refresh() {
  if (asking) return;
  asking = true;
  try {
    const headers = { accept: 'text/html, application/problem+json;q=0.5' };
    if (token) headers.authorization = `Bearer ${token}`;
    const answer = await fetch(location.href, { headers, cache: 'no-store' });
    if (!answer.ok) {
      token = '';
      looks = [];
      $('door').hidden = false;
      const problem = answer.headers.get('content-type').includes('json') ? await answer.json() : {};
      $('state').textContent = answer.status === 401 ? 'Please sign in.' : problem.detail ?? 'It is refused.';
      return;
    }
    // Its head stays out: that has a nonce of its own, which does not hold here.
    const text = await answer.text();
    const page = new DOMParser().parseFromString(text.slice(text.indexOf('<body>')), 'text/html');
    const live = page.getElementById('live'), look = lookAt(live);
    if (looks.at(-1)?.at !== look.at) looks.push(look);
    looks = looks.filter(({ at }) => look.at - at <= WINDOW_MS);
    compare(live, looks[0], look);
    $('live').replaceWith(live);
    if (!$('order')) $('door').before(page.getElementById('order'));
    else $('found').replaceWith(page.getElementById('found'));
    $('door').hidden = token !== '';
    $('state').textContent = `As of ${new Date(look.at).toLocaleTimeString()}`;
  } catch {
    $('state').textContent = 'The gateway does not answer; what is below is old.';
  } finally {
    asking = false;
  }
}

addEventListener('submit', async (event) => {
  event.preventDefault();
  const form = new FormData(event.target, event.submitter);
  if (event.target.classList.contains('fault')) {
    const answer = await fetch(event.target.action, { method: 'POST', body: new URLSearchParams(form), redirect: 'manual' });
    const done = answer.type === 'opaqueredirect';
    const what = `${form.get('fault')} ${form.get('service')}`;
    $('broken').textContent = done ? `Done: ${what}.` : `Not done: ${what}: ${(await answer.json()).detail}.`;
    return refresh();
  }
  if (event.target.id === 'find') {
    history.replaceState(null, '', form.get('order') ? `?${new URLSearchParams(form)}` : location.pathname);
    return refresh();
  }
  const answer = await fetch('/v1/sessions', {
    method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(Object.fromEntries(form)),
  });
  const said = await answer.json();
  $('refusal').textContent = answer.ok ? '' : said.detail;
  if (!answer.ok) return;
  token = said.accessToken;
  event.target.reset();
  await refresh();
});

const live = $('live');
if (live.dataset.at) looks.push(lookAt(live));
setInterval(refresh, EVERY_MS);
