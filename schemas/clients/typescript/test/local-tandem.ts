import { createHash } from 'node:crypto';
import { text } from 'node:stream/consumers';
import type { RowType } from '../../../../shared/domain/row-type.ts';
import { createDigest } from '../../../../shared/formats/digest.ts';
import { json, openLocalServer } from './local-server.ts';

export interface LocalEvent {
  readonly type: string;
  readonly resource?: string;
  /** JSON texts. */
  readonly key?: string;
  readonly data: string;
  readonly more?: string;
}

/** The part of the API that a replica uses, with the records and events of a test. */
export async function openLocalTandem() {
  const world = {
    /** JSON lines of the next export. */
    lines: [] as string[],
    events: [] as string[],
    /** Of the next export. */
    status: 'completed',
    /** Whether the feed still reaches back. */
    isKept: true,
    pageEvents: 2,
    exports: 0,
    webhooks: [] as string[],
    webhookStatus: 'active',
    heldBy: null as string | null,
    /** Events that the endpoint has given up. */
    deadLetters: [] as string[],
    /** Statuses of the next requests for events, without a problem document. */
    outage: [] as number[],
    redelivered: [] as string[],
    /** Whether past states of records are known. */
    hasPast: true,
    /** Called when an export is created, with its format. The response waits for what it returns. */
    onExport: (_format: string): unknown => undefined,
    cancelled: [] as string[],
    /** How far the cuts of the next exports are behind the last event. */
    cutsBehind: [] as number[],
  };
  const keys = new Map<string, string>();
  const exported = new Map<string, LocalExport>();
  const server = await openLocalServer(async (request, response) => {
    const url = new URL(request.url, 'http://x');
    const [, collection, id = '', part, name = part === 'dead-letters' ? part : undefined] =
      url.pathname.split('/');
    if (request.method === 'DELETE') {
      response.writeHead(204).end();
      return;
    }
    if (collection === 'events' && request.method === 'POST') {
      world.redelivered.push(id);
      json(response, 202, { state: 'queued' });
      return;
    }
    if (collection === 'webhooks' && name === 'dead-letters') {
      json(response, 200, { data: world.deadLetters.map((event_id) => ({ event_id })), has_more: false });
      return;
    }
    if (collection === 'webhooks' && request.method === 'GET') {
      json(response, 200, { id, status: world.webhookStatus, held_by: world.heldBy, order: 'strict' });
      return;
    }
    if (collection === 'webhooks') {
      world.webhooks.push(request.body);
      json(response, 201, { id: `whk_${world.webhooks.length}`, secret: SECRET });
      return;
    }
    if (collection === 'resources') {
      const data = ['invoices', 'customers'].map((each) => ({
        name: each,
        exports: { as_of: world.hasPast },
      }));
      json(response, 200, { data, has_more: false });
      return;
    }
    if (collection === 'exports' && part === 'cancel') {
      world.cancelled.push(id);
      json(response, 202, describe(id));
      return;
    }
    if (collection === 'exports' && name === undefined) {
      const key = String(request.headers['idempotency-key']);
      let known = id === '' ? keys.get(key) : id;
      if (known === undefined) {
        world.exports += 1;
        known = `exp_${world.exports}`;
        keys.set(key, known);
        const { format, buckets } = JSON.parse(request.body) as LocalRequest;
        const lines = world.lines.map((line) => `${line}\n`).join('');
        const start = world.events.length;
        const made = {
          rows: world.lines.length,
          start,
          status: world.status,
          cut: positionOf(start + 1 - (world.cutsBehind.shift() ?? 0)),
        };
        exported.set(
          known,
          format === 'digest'
            ? { ...made, ...(await digestOf(lines, buckets ?? null)), name: 'invoices.digest.jsonl' }
            : { ...made, text: lines, digest: undefined, name: 'invoices.jsonl' },
        );
        await world.onExport(format ?? 'jsonl');
      }
      json(response, id === '' ? 202 : 200, describe(known));
      return;
    }
    if (collection === 'exports') {
      const schemas = { invoices: { columns: COLUMNS } };
      json(response, 200, { schemas });
      return;
    }
    if (collection === 'storage') {
      response.writeHead(200).end(exported.get(id)?.text);
      return;
    }
    const failure = world.outage.shift();
    if (failure !== undefined) {
      response.writeHead(failure).end('<html>no gateway</html>');
      return;
    }
    if (!world.isKept) {
      json(response, 410, { code: 'gone' });
      return;
    }
    const after = url.searchParams.get('after');
    const start =
      after === null
        ? (exported.get(url.searchParams.get('after_export') ?? '')?.start ?? 0)
        : Number(after.split('-').at(-1));
    const size = Math.min(world.pageEvents, Number(url.searchParams.get('limit')));
    const end = Math.min(start + size, world.events.length);
    const data = world.events.slice(start, end).join(',');
    response
      .writeHead(200, { 'content-type': 'application/json' })
      .end(`{"data":[${data}],"has_more":${end < world.events.length},"next_cursor":"${end}"}`);
  });
  const describe = (id: string) => {
    const { text = '', status = 'failed', rows = 0, digest, cut, name } = exported.get(id) ?? {};
    const file = {
      name,
      resource: 'invoices',
      rows,
      ...(digest === undefined ? {} : { digest }),
      bytes: Buffer.byteLength(text),
      sha256: createHash('sha256').update(text).digest('hex'),
      url: `${server.url}/storage/${id}/`,
    };
    return {
      id,
      status,
      as_of: digest === undefined ? null : '2026-03-01T00:00:00Z',
      cut: digest === undefined ? null : { position: cut },
      snapshot: { lsn: '0/0' },
      files: status === 'completed' ? [file] : [],
      error: { message: 'no disk' },
    };
  };
  let position = 0;
  return {
    world,
    server,
    url: server.url,
    /** Adds an event to the feed. @returns its text */
    add({ type, resource = 'invoices', key = 'null', data, more = '' }: LocalEvent): string {
      position += 1;
      const at = positionOf(position);
      const text = `{"id":"evt_${position}","type":"${type}","timestamp":"2026-03-01T00:00:00.${String(position).padStart(6, '0')}Z","account_id":"acct_1","position":"${at}","resource":"${resource}","key":${key},"data":${data}${more}}`;
      world.events.push(text);
      return text;
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

interface LocalRequest {
  readonly format?: string;
  readonly buckets?: readonly number[];
}

interface LocalExport {
  readonly name: string;
  readonly text: string;
  readonly rows: number;
  readonly digest: string | undefined;
  /** Events before it are in the export. */
  readonly start: number;
  readonly cut: string;
  readonly status: string;
}

/** Of the first event: 1. */
function positionOf(number: number): string {
  return `0000000000000001-${String(number).padStart(10, '0')}`;
}

/** What Tandem itself makes of the rows. */
async function digestOf(lines: string, buckets: readonly number[] | null) {
  const rowType: RowType = {
    resource: 'invoices',
    columns: [{ name: 'id', type: { kind: 'long', pgName: 'int8' }, isKey: true }],
  };
  async function* pieces() {
    yield Buffer.from(lines);
  }
  const context = { signal: new AbortController().signal, scratchPath: async (name: string) => name };
  const encoded = createDigest(buckets).encode(pieces(), rowType, context);
  return { text: await text(encoded.bytes), digest: encoded.digest?.() };
}

export const SECRET = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;

const COLUMNS = [
  { name: 'id', type: 'int8', json: 'integer', key: true },
  { name: 'total', type: 'numeric', json: 'string', key: false },
  { name: 'memo', type: 'text', json: 'string', key: false },
];
