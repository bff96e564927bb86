// The form of a new export with JavaScript: the estimate follows the choices.
import './dashboard.js';

const form = document.querySelector('form[data-new-export]');
const PAUSE_MS = 350;

let timer;
let asked;

/** Shows an estimate. Without one, as while nothing is chosen, the dashes of the server stand. */
function show(texts) {
  for (const element of form.querySelectorAll('[data-estimate-text]')) {
    element.textContent = texts[element.dataset.estimateText] ?? '';
  }
  form.querySelector('[data-estimate-fault]').hidden = texts.fault === null;
  form.querySelector('[data-estimate-hint]').hidden = isChosen();
}

function isChosen() {
  const fields = new FormData(form);
  return fields.get('kind') === 'changes' ? fields.get('changes_since') : fields.has('resource');
}

async function estimate() {
  asked?.abort();
  asked = new AbortController();
  const panel = form.querySelector('[data-estimate]');
  panel.setAttribute('aria-busy', 'true');
  try {
    const response = await fetch(form.dataset.newExport, {
      method: 'POST',
      body: new URLSearchParams(new FormData(form)),
      headers: { accept: 'application/json' },
      signal: asked.signal,
    });
    // Whatever is wrong with the session, sending the form says it.
    if (response.ok) show(await response.json());
    panel.removeAttribute('aria-busy');
  } catch (error) {
    if (error.name !== 'AbortError') panel.removeAttribute('aria-busy');
  }
}

form.addEventListener('input', () => {
  clearTimeout(timer);
  timer = setTimeout(estimate, PAUSE_MS);
});
// A browser that goes back to the page may have kept what was chosen.
if (isChosen()) estimate();
