// The dashboard with JavaScript: what moves is patched while the page is in sight.
import './page.js';

const main = document.querySelector('main[data-live]');
const SLOWEST_MS = 60_000;

/** Puts the texts and bars into their places. A bar never runs backwards. */
function patch({ texts, bars }) {
  for (const element of main.querySelectorAll('[data-text]')) {
    const text = texts[element.dataset.text];
    if (text !== undefined && element.textContent !== text) element.textContent = text;
  }
  for (const bar of main.querySelectorAll('progress[data-bar]')) {
    const value = bars[bar.dataset.bar];
    if (value !== undefined && value > bar.value) bar.value = value;
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
      if (response.status === 401 || response.status === 404) return location.reload();
      if (!response.ok) throw new Error(String(response.status));
      const state = await response.json();
      if (state.shape !== main.dataset.shape) {
        if (isUsed()) continue;
        return location.reload();
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

/** Whether somebody is about to do something, which loading the page again would undo. */
function isUsed() {
  return main.querySelector('details[open]') !== null;
}

function untilSeen() {
  if (!document.hidden) return undefined;
  return new Promise((resolve) => document.addEventListener('visibilitychange', resolve, { once: true }));
}

if (main !== null) void keepCurrent();
