import type { z } from 'zod';
import { type Html, html } from '../../pages/html.ts';
import type { statusSchema } from '../../status/response.ts';
import type { Visit } from '../frame/visit.ts';
import { type ANCHORS, runbookLink } from './runbook.ts';

export type Status = z.output<typeof statusSchema>;

export function badge(tone: string, text: string): Html {
  return html`<span class="badge" data-tone="${tone}">${text}</span>`;
}

/** A card whose title is beside a link to the section of the runbook that helps. */
export function section(title: string, anchor: keyof typeof ANCHORS, content: Html, visit: Visit): Html {
  return html`<section class="card"><div class="title-row"><h2>${title}</h2>${runbookLink(anchor, visit)}</div>${content}</section>`;
}
