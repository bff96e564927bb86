// Takes the code of a portal link from the fragment of the address, and out of it, so that no history keeps it.
import './page.js';

const form = document.querySelector('form[data-enter]');

function enter() {
  const code = new URLSearchParams(location.hash.slice(1)).get('code');
  if (code === null) return;
  history.replaceState(null, '', location.pathname);
  form.elements.code.value = code;
  form.requestSubmit();
}

// A second link, opened on this page, changes the fragment only.
addEventListener('hashchange', enter);
enter();
