import { type Html, html } from '../../pages/html.ts';
import type { Live } from '../frame/live.ts';
import type { Visit } from '../frame/visit.ts';
import { FAILING_PATH } from './failing-endpoints-page.ts';
import { type Status, section } from './status-parts.ts';

/** What waits and what runs, a line for each queue. Counts of zero are left out of long lines. */
export function queuesCard({ queues }: Status, live: Live, visit: Visit): Html {
  const text = visit.text.operator.status;
  if (queues === null) {
    return section(text.queues, 'slow', html`<p class="muted">${visit.text.operator.unknown}</p>`, visit);
  }
  const { queue, count } = text;
  const { exports, export_chunks: chunks, bulk, bulk_chunks: items, deliveries, endpoints, outbox } = queues;
  const paused = bulk.paused + bulk.paused_by_feed + bulk.paused_by_handler + bulk.paused_by_quota;
  const lines = [
    {
      name: 'exports',
      title: queue.exports,
      oldest: exports.oldest_queued_seconds,
      counts: [
        [exports.queued, count.queued],
        [exports.waiting_for_feed, count.waitingForFeed],
        [exports.extracting, count.extracting],
        [exports.assembling, count.assembling],
        [exports.paused, count.paused],
      ],
    },
    {
      name: 'chunks',
      title: queue.chunks,
      oldest: null,
      counts: [
        [chunks.waiting, count.waiting],
        [chunks.reading, count.reading],
        [chunks.unwritten, count.unwritten],
      ],
    },
    {
      name: 'bulk',
      title: queue.bulk,
      oldest: bulk.oldest_queued_seconds,
      counts: [
        [bulk.queued, count.queued],
        [bulk.running, count.running],
        [paused, count.paused],
      ],
    },
    {
      name: 'items',
      title: queue.bulkChunks,
      oldest: null,
      counts: [
        [items.waiting, count.waiting],
        [items.working, count.working],
      ],
    },
    {
      name: 'deliveries',
      title: queue.deliveries,
      oldest: null,
      counts: [
        [deliveries.retrying, count.retrying],
        [deliveries.due, count.due],
        [deliveries.dead, count.dead],
      ],
    },
    {
      name: 'endpoints',
      title: queue.endpoints,
      oldest: null,
      counts: [
        [endpoints.active, count.active],
        [endpoints.failing, count.failing],
        [endpoints.paused, count.paused],
        [endpoints.disabled, count.disabled],
      ],
    },
    {
      name: 'outbox',
      title: queue.outbox,
      oldest: outbox.oldest_seconds,
      counts: [[outbox.waiting, count.waiting]],
    },
  ] as const;
  const { number, duration } = visit.formats;
  const shown = (counts: readonly (readonly [number, string])[]) => {
    const some = counts.filter(([value]) => value > 0);
    return some.map(([value, name]) => `${number(value)} ${name}`).join(', ');
  };
  return section(
    text.queues,
    'slow',
    html`<dl class="facts">${lines.map(({ name, title, oldest, counts }) => {
      const line = shown(counts);
      const ages = oldest === null ? '' : ` (${text.oldest(duration(oldest))})`;
      return html`<div><dt>${title}</dt><dd>${live.text(`queue-${name}`, line === '' ? visit.text.frame.none : line + ages)}</dd></div>`;
    })}</dl>
${endpoints.failing + endpoints.disabled === 0 ? null : html`<p><a href="${visit.href(FAILING_PATH)}">${text.showFailing}</a></p>`}
${deliveries.dead === 0 ? null : html`<p>${live.text('dead', text.deadLetters(number(deliveries.dead)))} <a href="${visit.href('/dashboard/operator/dead-letters')}">${text.showDead}</a></p>`}`,
    visit,
  );
}
