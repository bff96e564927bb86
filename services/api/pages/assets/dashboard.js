// The dashboard with JavaScript: what moves is patched while the page is in sight.
import './page.js';

const main = document.querySelector('main[data-live]');
const SLOWEST_MS = 60_000;

/** Puts the texts, bars and columns into their places. A bar never runs backwards. */
function patch({ texts, bars, columns }) {
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
}

async function keepCurrent() {
  const everyMs = Number(main.dataset.every) * 1_000;
  const offline = main.querySelector('[data-offline]');
  let pauseMs = everyMs;
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
    await untilSeen();
    try {
      const response = await fetch(main.dataset.live, { headers: { accept: 'application/json' } });
      // The page itself says what is wrong: the session is over, or the export is not there any more.
      if (response.status === 401 || response.status === 404) return loadAgain();
      if (!response.ok) throw new Error(String(response.status));
      const state = await response.json();
      if (state.shape !== main.dataset.shape) {
        if (isUsed()) continue;
        return loadAgain();
      }
      patch(state);
      offline.hidden = true;
      pauseMs = everyMs;
    } catch {
      offline.hidden = false;
      pauseMs = Math.min(pauseMs * 2, SLOWEST_MS);
    }
  }
}

/** Loads the page in a way that the server can tell from what somebody does: it keeps no idle session alive. */
function loadAgain() {
  const url = new URL(location.href);
  url.searchParams.set('auto', String(Math.round(scrollY)));
  location.replace(url);
}

/** Takes the mark out of the address: whoever loads the page now does it. */
function endLoadAgain() {
  const url = new URL(location.href);
  const place = url.searchParams.get('auto');
  if (place === null) return;
  url.searchParams.delete('auto');
  history.replaceState(null, '', url);
  scrollTo(0, Number(place));
}

/** Whether somebody is about to do something, which loading the page again would undo. */
function isUsed() {
  return main.querySelector('details[open]') !== null;
}

function untilSeen() {
  if (!document.hidden) return undefined;
  return new Promise((resolve) => document.addEventListener('visibilitychange', resolve, { once: true }));
}

endLoadAgain();
if (main !== null) void keepCurrent();
