import { type Html, html } from '../../pages/html.ts';
import type { Live } from './live.ts';
import type { Visit } from './visit.ts';

const TONES: Readonly<Record<string, string>> = {
  pending: 'amber',
  running: 'blue',
  cancelling: 'amber',
  completed: 'green',
  active: 'green',
  paused: 'amber',
  failed: 'red',
  disabled: 'red',
};

/** The state of a job or an endpoint as a coloured word. */
export function statusBadge(status: string, { text }: Pick<Visit, 'text'>): Html {
  const words: Readonly<Record<string, string>> = text.frame.status;
  return html`<span class="badge" data-tone="${TONES[status] ?? ''}">${words[status] ?? status}</span>`;
}

/** A relative time that is updated. */
export function timeOf(live: Live, { formats }: Pick<Visit, 'formats'>, name: string, at: string): Html {
  return live.time(name, at, formats.relative(at), formats.utc(at));
}
