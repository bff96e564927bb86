// The dashboard with JavaScript: what moves is patched while the page is in sight.
import './page.js';
import { isUsed } from './in-use.js';

const main = document.querySelector('main[data-live]');

/** Without a stream, a page asks this often at most. */
const LEAST_POLL_MS = 10_000;
const MOST_POLL_MS = 60_000;

/** Polls before a stream is tried again. */
const POLLS_BEFORE_STREAM = 6;

/** The first event comes at once, and later ones at least every 15 seconds, unless something on the way keeps them back. */
const FIRST_EVENT_MS = 10_000;
const NEXT_EVENT_MS = 40_000;

/** A page that loads itself does so no more often. */
const LEAST_LOAD_MS = 3_000;

const wasLoadedByItself = endLoadAgain();
/** Ends what waits or listens: a page that is hidden asks nothing. */
let stop = () => {};
let isLoading = false;

/** Puts the texts, bars, columns and links into their places. A bar never runs backwards. */
function patch({ texts, bars, columns, links }) {
  for (const element of main.querySelectorAll('[data-text]')) {
    const text = texts[element.dataset.text];
    if (text !== undefined && element.textContent !== text) element.textContent = text;
  }
  for (const bar of main.querySelectorAll('progress[data-bar]')) {
    const value = bars[bar.dataset.bar];
    if (value !== undefined && value > bar.value) bar.value = value;
  }
  for (const column of main.querySelectorAll('[data-column]')) {
    const [y, height] = columns[column.dataset.column] ?? [];
    if (y === undefined) continue;
    column.setAttribute('y', y);
    column.setAttribute('height', height);
  }
  for (const link of main.querySelectorAll('a[data-link]')) {
    const [href, text] = links[link.dataset.link] ?? [];
    if (href === undefined) continue;
    if (link.getAttribute('href') !== href) link.setAttribute('href', href);
    if (link.textContent !== text) link.textContent = text;
  }
}

/** Shows a note of the page, or takes it away. */
function note(name, isShown) {
  const element = main.querySelector(`:scope > [data-note="${name}"]`);
  if (element.hidden === isShown) element.hidden = !isShown;
}

function take(state) {
  note('stale', false);
  if (state.shape === main.dataset.shape) {
    note('changed', false);
    patch(state);
  } else loadUnlessUsed();
}

/** Loading the page again would undo what somebody is about to do: they are told, and choose when. */
function loadUnlessUsed() {
  const isBusy = isUsed(main);
  note('changed', isBusy);
  if (!isBusy) loadAgain();
}

/** Loads the page in a way that the server can tell from what somebody does: it keeps no idle session alive. */
function loadAgain(isOver = false) {
  if (isLoading) return;
  isLoading = true;
  const waitMs = wasLoadedByItself ? Math.max(0, LEAST_LOAD_MS - performance.now()) : 0;
  setTimeout(() => {
    isLoading = false;
    if (!isOver && isUsed(main)) return note('changed', true);
    const url = new URL(location.href);
    url.searchParams.set('auto', String(Math.round(scrollY)));
    location.replace(url);
  }, waitMs);
}

/** Takes the mark out of the address: whoever loads the page now does it. */
function endLoadAgain() {
  const url = new URL(location.href);
  const place = url.searchParams.get('auto');
  if (place === null) return false;
  url.searchParams.delete('auto');
  history.replaceState(null, '', url);
  scrollTo(0, Number(place));
  return true;
}

/** Listens to what changes. Without a stream, as where the server has none left or a proxy keeps it back, the page polls. */
function listen() {
  const source = new EventSource(main.dataset.live);
  let faults = 0;
  let watch;
  const hear = (ms) => {
    clearTimeout(watch);
    watch = setTimeout(() => {
      stop();
      poll();
    }, ms);
  };
  stop = () => {
    clearTimeout(watch);
    source.close();
  };
  const on = (event, act) =>
    source.addEventListener(event, ({ data }) => {
      faults = 0;
      hear(NEXT_EVENT_MS);
      act(JSON.parse(data));
    });
  on('state', take);
  on('beat', () => note('stale', false));
  on('stale', () => note('stale', true));
  on('over', () => {
    stop();
    loadAgain(true);
  });
  source.addEventListener('error', () => {
    if (source.readyState === EventSource.CLOSED) {
      stop();
      poll();
      return;
    }
    // The first time a stream may just have ended, as when the server starts again.
    faults += 1;
    if (faults > 1) note('stale', true);
  });
  hear(FIRST_EVENT_MS);
}

async function poll() {
  const leastMs = Math.max(LEAST_POLL_MS, Number(main.dataset.every) * 1_000);
  let pauseMs = leastMs;
  let isStopped = false;
  let wake = () => {};
  stop = () => {
    isStopped = true;
    wake();
  };
  for (let polls = 0; polls < POLLS_BEFORE_STREAM; polls += 1) {
    try {
      const response = await fetch(main.dataset.live, { headers: { accept: 'application/json' } });
      if (isStopped) return;
      // The page itself says what is wrong: the session is over, or the export is not there any more.
      if (response.status === 401 || response.status === 404) return loadAgain(true);
      if (!response.ok) throw new Error(String(response.status));
      take(await response.json());
      pauseMs = leastMs;
    } catch {
      note('stale', true);
      pauseMs = Math.min(pauseMs * 2, MOST_POLL_MS);
    }
    await new Promise((resolve) => {
      wake = resolve;
      setTimeout(resolve, pauseMs);
    });
    if (isStopped) return;
  }
  listen();
}

function followSight() {
  stop();
  stop = () => {};
  if (!document.hidden) listen();
}

if (main !== null) {
  document.addEventListener('visibilitychange', followSight);
  followSight();
  // A change that waited for somebody who has finished.
  setInterval(() => {
    if (!main.querySelector(':scope > [data-note="changed"]').hidden) loadUnlessUsed();
  }, LEAST_POLL_MS);
}
