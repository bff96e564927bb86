// Runs before the first paint, so that a page never flashes in the other theme. A classic script for that reason.
(() => {
  let chosen = null;
  try {
    chosen = localStorage.getItem('theme');
  } catch {
    // Without storage the page follows the system.
  }
  if (chosen === 'light' || chosen === 'dark') document.documentElement.dataset.theme = chosen;
  document.documentElement.dataset.scripted = '';
})();
