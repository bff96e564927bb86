import { type Html, html } from '../../pages/html.ts';
import type { Fault } from './job-request.ts';

/** The errors of one part of the form, shown beside it. */
export function faultHtml(faults: readonly Fault[], place: string): Html | null {
  const found = faults.filter((fault) => fault.place === place);
  return found.length === 0
    ? null
    : html`<p class="field-fault">${found.map(({ detail }) => `${detail} `)}</p>`;
}
