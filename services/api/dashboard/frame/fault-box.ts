import type { AppError } from '../../../../shared/runtime/errors.ts';
import { type Html, html } from '../../pages/html.ts';

/**
 * The errors of a form, shown at the form.
 *
 * @param labels names of fields, by the end of their pointer; a field without one is named by its pointer
 */
export function faultBox(
  lead: string,
  { message, errors }: Pick<AppError, 'message' | 'errors'>,
  labels: Readonly<Record<string, string>> = {},
): Html {
  const nameOf = (pointer: string): Html => {
    const label = labels[pointer.split('/').at(-1) ?? ''];
    return label === undefined ? html`<code>${pointer}</code>` : html`<strong>${label}</strong>:`;
  };
  return html`<div class="fault" role="alert"><p><strong>${lead}</strong> ${errors.length === 0 ? message : null}</p>
${errors.length === 0 ? null : html`<ul>${errors.map(({ pointer, detail }) => html`<li>${pointer === '' ? null : nameOf(pointer)} ${detail}</li>`)}</ul>`}</div>`;
}
