// Whether somebody is in the middle of something that loading the page again would undo.

/** A dialog or a detail is open, something is typed or chosen, a text is marked, or the keyboard is somewhere. */
export function isUsed(root) {
  if (root.querySelector('details[open], dialog[open], :focus-visible') !== null) return true;
  const marked = getSelection();
  if (marked !== null && !marked.isCollapsed && root.contains(marked.anchorNode)) return true;
  return [...root.querySelectorAll('input, select, textarea')].some(isChanged);
}

function isChanged(field) {
  if (field instanceof HTMLSelectElement) {
    const options = [...field.options];
    // Without a choice of the page the first option is chosen.
    const byDefault = options.filter((option) => option.defaultSelected);
    return byDefault.length === 0
      ? field.selectedIndex > 0
      : options.some((option) => option.selected !== option.defaultSelected);
  }
  if (field.type === 'hidden') return false;
  if (field.type === 'checkbox' || field.type === 'radio') return field.checked !== field.defaultChecked;
  return field.value !== field.defaultValue;
}
