// Runs before the first paint, so that a page never flashes in the other theme. A classic script for that reason.
(() => {
  let chosen = null;
  try {
    chosen = localStorage.getItem('theme');
  } catch {
    // Without storage the page follows the system.
  }
  const { dataset } = document.documentElement;
  // A page that is made in one theme stays in it.
  if (dataset.theme === undefined && (chosen === 'light' || chosen === 'dark')) dataset.theme = chosen;
  dataset.scripted = '';
})();
