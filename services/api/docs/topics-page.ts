import { readFile } from 'node:fs/promises';
import { parse } from 'yaml';
import { type Html, html } from '../pages/html.ts';
import { jsonBlock } from './highlight.ts';
import { anchorLink, type Rendered, renderInline, type ToHref, table } from './markdown.ts';
import type { PageText } from './page.ts';

const SCHEMAS = new URL('../../../schemas/', import.meta.url);

interface Channel {
  readonly address: string;
  readonly description: string;
  readonly messages: Readonly<Record<string, { readonly $ref: string }>>;
  readonly bindings: {
    readonly kafka: {
      readonly partitions: number;
      readonly topicConfiguration: {
        readonly 'cleanup.policy': readonly string[];
        readonly 'retention.ms'?: number;
      };
    };
  };
}

interface Message {
  readonly name: string;
  readonly title: string;
  readonly headers: { readonly $ref: string };
  readonly payload: { readonly schema: { readonly $ref: string } };
  readonly bindings: { readonly kafka: { readonly key: { readonly description: string } } };
}

interface HeadersSchema {
  readonly required: readonly string[];
  readonly properties: Readonly<
    Record<string, { readonly description?: string; readonly enum?: readonly string[] }>
  >;
}

/** The AsyncAPI document as far as the page shows it, with the Avro schemas that it refers to. */
export interface AsyncApi {
  readonly channels: Readonly<Record<string, Channel>>;
  readonly messages: Readonly<Record<string, Message>>;
  readonly schemas: Readonly<Record<string, unknown>>;
  /** By the reference in a message. */
  readonly avro: ReadonlyMap<string, unknown>;
}

export async function readAsyncApi(): Promise<AsyncApi> {
  const document = parse(await readFile(new URL('asyncapi.yaml', SCHEMAS), 'utf8'));
  const { messages, schemas } = document.components as Pick<AsyncApi, 'messages' | 'schemas'>;
  const files = Object.values(messages)
    .map(({ payload }) => payload.schema.$ref)
    .filter((reference) => reference.endsWith('.avsc'));
  const avro = await Promise.all(
    files.map(
      async (path): Promise<[string, unknown]> => [
        path,
        JSON.parse(await readFile(new URL(path, SCHEMAS), 'utf8')),
      ],
    ),
  );
  return { channels: document.channels, messages, schemas, avro: new Map(avro) };
}

/** The guide to the topics, and after it each topic with its messages, their headers and schemas. */
export function topicsPage(api: AsyncApi, guide: Rendered, toHref: ToHref): PageText {
  const channels = Object.entries(api.channels);
  const overview = channels.map(
    ([id, { address, bindings }]) => html`<tr><td><a href="#topic-${id}"><code>${address}</code></a></td>
<td>${bindings.kafka.partitions}</td><td>${keptFor(bindings.kafka.topicConfiguration)}</td></tr>`,
  );
  return {
    name: 'topics',
    title: 'Kafka topics',
    description:
      'Topics, headers and envelopes for the data team, and the filter that joins rows and changes.',
    headings: [
      ...guide.headings,
      { id: 'all-topics', text: 'All topics', depth: 2 },
      ...channels.map(([id, { address }]) => ({ id: `topic-${id}`, text: address, depth: 2 })),
    ],
    body: html`${guide.html}
<h2 id="all-topics">All topics${anchorLink('all-topics')}</h2>
${table(html`<th scope="col">Topic</th><th scope="col">Partitions</th><th scope="col">Kept</th>`, overview)}
${channels.map(([id, channel]) => topicHtml(api, id, channel, toHref))}`,
  };
}

const DAY_MS = 86_400_000;

function keptFor(settings: Channel['bindings']['kafka']['topicConfiguration']): string {
  const ms = settings['retention.ms'];
  return ms === undefined ? 'the last record of each key' : `${ms / DAY_MS} days`;
}

function topicHtml(
  api: AsyncApi,
  id: string,
  { address, description, messages }: Channel,
  toHref: ToHref,
): Html {
  return html`<h2 id="topic-${id}"><code>${address}</code>${anchorLink(`topic-${id}`)}</h2>
<p>${renderInline(description, toHref)}</p>
${Object.keys(messages).map((name) => messageHtml(api, name, toHref))}`;
}

function messageHtml({ messages, schemas, avro }: AsyncApi, name: string, toHref: ToHref): Html | null {
  const message = messages[name];
  if (message === undefined) return null;
  const headers = schemas[lastOf(message.headers.$ref)] as HeadersSchema;
  const reference = message.payload.schema.$ref;
  const { doc, ...schema } = (avro.get(reference) ?? schemas[lastOf(reference)]) as { readonly doc?: string };
  return html`<h3 id="message-${name}">${name}${anchorLink(`message-${name}`)}</h3>
<p class="muted">Key: ${message.bindings.kafka.key.description}</p>
${doc === undefined ? null : html`<p>${renderInline(doc, toHref)}</p>`}
<dl class="members">${Object.entries(headers.properties).map(
    ([header, { description = '', enum: values = [] }]) =>
      html`<div><dt><code>${header}</code> <span class="type">header</span>${
        headers.required.includes(header) ? html` <span class="required">required</span>` : null
      }</dt><dd>${renderInline(description, toHref)}${values.map((value, index) => [index === 0 ? 'one of ' : ' ', html`<code>${value}</code>`])}</dd></div>`,
  )}</dl>
${jsonBlock(schema, `Avro schema of ${name}`)}`;
}

function lastOf(reference: string): string {
  return reference.split('/').at(-1) ?? '';
}
