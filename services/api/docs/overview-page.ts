import { html } from '../pages/html.ts';
import { codeBlock } from './highlight.ts';
import type { ToHref } from './markdown.ts';
import type { PageText } from './page.ts';

interface Card {
  readonly target: string;
  readonly title: string;
  readonly text: string;
}

const TASKS: readonly Card[] = [
  {
    target: 'quickstart.md',
    title: 'Export, then follow',
    text: 'A complete copy of your records, and every later change, joined without a gap.',
  },
  {
    target: 'exports.md',
    title: 'Choose an export',
    text: 'Formats, ranges and options by what you need it for, and why one fails.',
  },
  {
    target: 'replica.md',
    title: 'Keep a replica',
    text: 'Apply the feed to your own copy, through crashes, repeats and resets.',
  },
  {
    target: 'warehouse.md',
    title: 'Sync a warehouse',
    text: 'Parquet files of everything once, then of what changed since.',
  },
  {
    target: 'receivers.md',
    title: 'Receive webhooks',
    text: 'What a receiver must withstand, and a checklist before you go live.',
  },
  {
    target: 'bulk.md',
    title: 'Change many records',
    text: 'One operation on millions of records, with progress and a result for each.',
  },
  {
    target: 'topics.md',
    title: 'Read Kafka topics',
    text: 'The same rows and changes for the product’s data team, typed in Avro.',
  },
];

const REFERENCE: readonly Card[] = [
  {
    target: 'docs:api/exports',
    title: 'API reference',
    text: 'Every operation, with examples that a test sends.',
  },
  { target: 'events.md', title: 'Event types', text: 'What each event reports, and its body.' },
  { target: 'docs:problems', title: 'Problem codes', text: 'What each error means and what to do.' },
  { target: 'limits.md', title: 'Limits and quotas', text: 'What is bounded, and what happens beyond it.' },
];

const FIRST_REQUESTS = `# 1. Ask for all invoices as a file
curl -sS -X POST "$TANDEM_URL/exports" -H "Authorization: Bearer $TANDEM_KEY" \\
  -H 'Content-Type: application/json' -d '{"resource": "invoices"}'

# 2. Once it is completed, download the file
curl -sS "$TANDEM_URL/exports/$EXPORT_ID" -H "Authorization: Bearer $TANDEM_KEY"

# 3. Read every change that the file does not hold
curl -sS "$TANDEM_URL/events?after_export=$EXPORT_ID" -H "Authorization: Bearer $TANDEM_KEY"`;

/** The first page: what there is, by what a reader wants to do. */
export function overviewPage(toHref: ToHref): PageText {
  const cards = (all: readonly Card[]) =>
    html`<ul class="cards">${all.map(
      ({ target, title, text }) =>
        html`<li><a href="${toHref(target)}"><strong>${title}</strong><span>${text}</span></a></li>`,
    )}</ul>`;
  return {
    name: '',
    title: 'Tandem',
    description: 'Bulk export and change feed: guides, API reference, event types and problem codes.',
    body: html`<div class="landing">
<div class="hero"><h1>All your records, and every later change</h1>
<p class="lead">Export a complete, consistent copy of your records as files. Then follow every change by webhook or by
polling. The feed starts exactly where the export ends: nothing is missing, nothing arrives twice.</p>
<p><a class="button primary" href="${toHref('quickstart.md')}">Start with the quickstart</a>
<a class="button" href="${toHref('docs:api/exports')}">API reference</a></p></div>
<h2 id="three-requests">Three requests</h2>
${codeBlock(FIRST_REQUESTS, 'bash')}
<h2 id="what-do-you-want-to-do">What do you want to do?</h2>
${cards(TASKS)}
<h2 id="reference">Reference</h2>
${cards(REFERENCE)}
</div>`,
  };
}
