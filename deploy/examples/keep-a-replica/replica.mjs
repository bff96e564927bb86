#!/usr/bin/env node
/**
 * Keeps a replica of your account's records in a SQLite file: one export, then the webhook feed from exactly where the
 * export ends. Node 22.13 or newer, and no package.
 *
 *   TANDEM_URL=https://tandem.example.com TANDEM_KEY=tk_… \
 *   PUBLIC_URL=https://your.host/hook PORT=8090 node replica.mjs customers invoices
 *
 * It may be stopped and killed at any moment: what it has answered with 2xx is in the file.
 */
import { createHmac, randomUUID, timingSafeEqual } from 'node:crypto';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import { DatabaseSync } from 'node:sqlite';
import { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';

const { TANDEM_URL, TANDEM_KEY, PUBLIC_URL, PORT = '8090', REPLICA = 'replica.db' } = process.env;
const resources = process.argv.slice(2);
if (!TANDEM_URL || !TANDEM_KEY || !PUBLIC_URL || resources.length === 0) {
  console.error('usage: TANDEM_URL=… TANDEM_KEY=… PUBLIC_URL=… node replica.mjs <resource> …');
  process.exit(2);
}

const MAX_BODY_BYTES = 2 ** 26;
/** A signature older than this may be a copy of an old request. */
const MAX_AGE_SECONDS = 300;
/** Tandem keeps events this long (`EVENT_RETENTION_DAYS`), so none comes again later. */
const EVENT_DAYS = 30;

const db = new DatabaseSync(REPLICA);
db.exec(`
  pragma journal_mode = wal;
  create table if not exists records (resource text, key text, data text, primary key (resource, key));
  create table if not exists applied (
    resource text, key text, position text, at integer default (unixepoch()), primary key (resource, key)
  );
  create index if not exists applied_at on applied (at);
  create table if not exists state (name text primary key, value text);
`);
const readState = (name) => db.prepare('select value from state where name = ?').get(name)?.value;
const writeState = db.prepare('insert or replace into state values (?, ?)');
const putRecord = db.prepare('insert or replace into records values (?, ?, ?)');
const removeRecord = db.prepare('delete from records where resource = ? and key = ?');
const readRecord = db.prepare('select data from records where resource = ? and key = ?');
const noteApplied = db.prepare(`
  insert into applied (resource, key, position) values (?, ?, ?)
  on conflict do update set position = excluded.position, at = excluded.at where excluded.position > position`);
/** Removes more than each event adds, so the table holds one row for each record that changed within EVENT_DAYS. */
const sweepApplied = db.prepare(`
  delete from applied where rowid in (
    select rowid from applied where at < unixepoch() - ${EVENT_DAYS} * 86400 order by at limit 2
  )`);

/** Numbers keep their digits: an ID beyond 2^53 and a price of 10.00 would change as JavaScript numbers. */
const parse = (text) =>
  JSON.parse(text, (_name, value, { source }) => (typeof value === 'number' ? JSON.rawJSON(source) : value));

const inTransaction = (work) => {
  db.exec('begin immediate');
  try {
    const result = work();
    db.exec('commit');
    return result;
  } catch (error) {
    db.exec('rollback');
    throw error;
  }
};

async function call(method, path, body, headers = {}) {
  for (;;) {
    const response = await fetch(`${TANDEM_URL}${path}`, {
      method,
      headers: { authorization: `Bearer ${TANDEM_KEY}`, 'content-type': 'application/json', ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (response.ok) return text === '' ? undefined : JSON.parse(text);
    if (response.status === 404 && method !== 'POST') return undefined;
    if (response.status !== 429 && response.status < 500) throw new Error(`${method} ${path}: ${text}`);
    await delay(1_000 * Number(response.headers.get('retry-after') ?? 1));
  }
}

/**
 * Forgets the subscription, so that `resume` takes a new export. Runs in the transaction of the event that makes it
 * necessary: a process that is killed right after its response finds it at its next start.
 */
function startAgain() {
  const old = readState('webhook') ?? readState('old_webhook');
  db.exec('delete from state');
  if (old !== undefined) writeState.run('old_webhook', old);
  // The same key finds the same export and webhook endpoint if this process ends before it has stored the response.
  writeState.run('attempt', randomUUID());
}

/** Goes on where an earlier process ended: with the export, its files, or the subscription. */
async function resume() {
  const known = readState('webhook');
  if (known !== undefined) {
    const webhook = await call('GET', `/webhooks/${known}`);
    if (['active', 'paused'].includes(webhook?.status)) return;
    console.log(
      `${known} is ${webhook?.status ?? 'deleted'}: its events may be lost, so the replica starts again`,
    );
    inTransaction(startAgain);
  }
  if (readState('attempt') === undefined) inTransaction(startAgain);
  const old = readState('old_webhook');
  if (old !== undefined) {
    await call('DELETE', `/webhooks/${old}`);
    db.exec("delete from state where name = 'old_webhook'");
  }
  const keyOf = (step) => ({ 'idempotency-key': `${readState('attempt')}-${step}` });
  let job = await call('POST', '/exports', { resources }, keyOf('export'));
  while (['pending', 'running'].includes(job?.status)) {
    await delay(500);
    job = await call('GET', `/exports/${job.id}`);
  }
  if (job?.status !== 'completed') {
    // The next start takes another export.
    inTransaction(startAgain);
    throw new Error(`the export is ${job?.status ?? 'deleted'}: ${JSON.stringify(job)}`);
  }
  if (readState('loaded') === undefined) await load(job);
  const events = ['*'];
  const start = { after_export: job.id };
  const webhook = await call('POST', '/webhooks', { url: PUBLIC_URL, events, start }, keyOf('webhook'));
  inTransaction(() => {
    writeState.run('secret', webhook.secret);
    writeState.run('webhook', webhook.id);
  });
  console.log(`subscribed as ${webhook.id}, from where ${job.id} ends`);
}

async function load(job) {
  const manifest = await (await fetch(job.manifest_url)).json();
  let count = 0;
  inTransaction(() => db.exec('delete from records; delete from applied'));
  for (const { resource, url } of job.files) {
    const keyColumns = manifest.schemas[resource].columns.filter(({ key }) => key).map(({ name }) => name);
    const response = await fetch(url);
    if (!response.ok) throw new Error(`${url}: ${response.status}`);
    const rows = [];
    const save = () =>
      inTransaction(() => {
        for (const row of rows.splice(0)) putRecord.run(...row);
      });
    for await (const line of createInterface({ input: Readable.fromWeb(response.body) })) {
      const record = parse(line);
      const key = Object.fromEntries(keyColumns.map((name) => [name, record[name]]));
      if (rows.push([resource, JSON.stringify(key), JSON.stringify(record)]) === 1_000) save();
      count += 1;
    }
    save();
  }
  inTransaction(() => writeState.run('loaded', job.id));
  console.log(`loaded ${count} records of ${job.id}`);
}

/** Applies one event. The replica and the position that it has reached change together. */
function apply(event) {
  // Account events, such as export.completed, have no resource.
  if (!resources.includes(event.resource)) return;
  const key = JSON.stringify(event.key);
  // Events of one record arrive in order: what is not past the last one was applied, or is older and was redelivered.
  if (noteApplied.run(event.resource, key, event.position).changes === 0) return;
  sweepApplied.run();
  if (event.type.endsWith('.deleted')) {
    removeRecord.run(event.resource, key);
    return;
  }
  const data = event.data;
  if (event.unchanged?.length > 0) {
    const { data: kept = '{}' } = readRecord.get(event.resource, key) ?? {};
    const before = parse(kept);
    for (const name of event.unchanged) data[name] = before[name];
  }
  putRecord.run(event.resource, key, JSON.stringify(data));
}

function isSigned({ headers }, body, secret) {
  const { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': signatures = '' } = headers;
  if (Math.abs(Date.now() / 1_000 - Number(timestamp)) > MAX_AGE_SECONDS) return false;
  const secretKey = Buffer.from(secret.replace(/^whsec_/, ''), 'base64');
  const expected = createHmac('sha256', secretKey).update(`${id}.${timestamp}.`).update(body).digest();
  return signatures.split(' ').some((signature) => {
    const given = Buffer.from(signature.replace(/^v1,/, ''), 'base64');
    return given.length === expected.length && timingSafeEqual(given, expected);
  });
}

/** @returns the status of the response; Tandem delivers again whatever is not 2xx */
function receive(request, body) {
  const secret = readState('secret');
  // The first events may come before the response that has the secret.
  if (secret === undefined) return 503;
  if (!isSigned(request, body, secret)) return 401;
  const delivery = parse(body.toString());
  const events = delivery.type === 'batch' ? delivery.events : [delivery];
  const isReset = ({ type, data }) =>
    type === 'feed.reset' && data.resources.some((name) => resources.includes(name));
  const reset = events.find(isReset);
  inTransaction(() => {
    events.filter(({ type }) => type !== 'feed.reset').forEach(apply);
    if (reset !== undefined) startAgain();
  });
  if (reset !== undefined) {
    console.log(`reset of ${reset.data.resources.join(', ')}: ${reset.data.reason}`);
    goOn();
  }
  return 204;
}

/** One `resume` at a time: a reset may come while the one of the start runs. */
let work = Promise.resolve();
function goOn() {
  work = work.then(resume).catch((error) => {
    console.error(error);
    process.exit(1);
  });
}

const server = createServer((request, response) => {
  const chunks = [];
  let bytes = 0;
  request.on('data', (chunk) => {
    bytes += chunk.length;
    if (bytes > MAX_BODY_BYTES) request.destroy();
    else chunks.push(chunk);
  });
  request.on('end', () => {
    let status = 500;
    try {
      status = receive(request, Buffer.concat(chunks));
    } catch (error) {
      console.error(error);
    }
    response.writeHead(status).end();
  });
});
server.listen(Number(PORT), () => console.log(`listening on port ${PORT}`));
goOn();
