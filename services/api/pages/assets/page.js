// What every page gets with JavaScript: the choice of a theme, and buttons that copy code. All works without.

const root = document.documentElement;

/** Of the buttons that copy, in the language of the page. */
const [COPY, COPIED, SELECTED] = (document.body?.dataset.copyWords ?? 'Copy|Copied|Selected').split('|');

/** Remembers a choice in this browser, if it may. */
export function remember(name, value) {
  try {
    localStorage.setItem(name, value);
  } catch {
    // The choice holds for this page.
  }
}

export function recall(name) {
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
}

function isDark() {
  return root.dataset.theme === undefined
    ? matchMedia('(prefers-color-scheme: dark)').matches
    : root.dataset.theme === 'dark';
}

for (const button of document.querySelectorAll('button[data-theme-switch]')) {
  const show = () => button.setAttribute('aria-pressed', String(isDark()));
  button.addEventListener('click', () => {
    root.dataset.theme = isDark() ? 'light' : 'dark';
    remember('theme', root.dataset.theme);
    show();
  });
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', show);
  show();
}

for (const block of document.querySelectorAll('[data-copy]')) {
  const button = document.createElement('button');
  button.type = 'button';
  button.className = 'copy';
  button.textContent = COPY;
  button.addEventListener('click', async () => {
    // With tabs, the code that is shown.
    const codes = [...block.querySelectorAll('pre code')];
    const code = codes.find((each) => each.getClientRects().length > 0) ?? codes[0];
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = COPIED;
    } catch {
      // The clipboard may be out of reach, as on plain http: leave the text selected for the keyboard.
      getSelection().selectAllChildren(code);
      button.textContent = SELECTED;
    }
    setTimeout(() => {
      button.textContent = COPY;
    }, 2_000);
  });
  (block.querySelector('.code-head') ?? block).append(button);
}
