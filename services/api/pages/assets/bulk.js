// The form of a new bulk job with JavaScript: it offers only what goes together.
import './page.js';

/** A field offers the comparisons that its type has. */
for (const row of document.querySelectorAll('[data-row]')) {
  const [field, operator] = row.querySelectorAll('select');
  const value = row.querySelector('input');
  const show = () => {
    const filters = field.selectedOptions[0]?.dataset.filters?.split(' ');
    for (const option of operator.options) {
      const name = option.value === 'is_not_null' ? 'is_null' : option.value;
      option.disabled = filters !== undefined && !filters.includes(name);
    }
    if (operator.selectedOptions[0]?.disabled) {
      operator.value = [...operator.options].find((option) => !option.disabled)?.value ?? '';
    }
    value.disabled = operator.value.startsWith('is_');
  };
  field.addEventListener('change', show);
  operator.addEventListener('change', show);
  show();
}

/** Whoever gives a value means to set it. */
for (const param of document.querySelectorAll('[data-param]')) {
  const mode = param.querySelector('select[name^="mode."]');
  const value = param.querySelector('[name^="set."]');
  if (mode === null) continue;
  value.addEventListener('input', () => {
    mode.value = 'set';
  });
}
