// The documentation with JavaScript: the language chosen in one example holds for all, also on the next page.
import { recall, remember } from './page.js';

const LANGUAGE = 'docs-language';

function choose(language) {
  for (const input of document.querySelectorAll(`.tabs > input[value="${CSS.escape(language)}"]`)) {
    input.checked = true;
  }
}

const before = recall(LANGUAGE);
if (before !== null) choose(before);

document.addEventListener('change', ({ target }) => {
  if (!(target instanceof HTMLInputElement) || !target.matches('.tabs > input')) return;
  // Examples above this one may change their height: what the reader looks at stays where it is.
  const { top } = target.parentElement.getBoundingClientRect();
  choose(target.value);
  remember(LANGUAGE, target.value);
  scrollBy({ top: target.parentElement.getBoundingClientRect().top - top, behavior: 'instant' });
});

// On a phone the menu closes when a link within the page was followed.
const menu = document.getElementById('menu');
menu?.addEventListener('click', ({ target }) => {
  if (target instanceof Element && target.closest('a') !== null && menu.matches(':popover-open')) {
    menu.hidePopover();
  }
});
