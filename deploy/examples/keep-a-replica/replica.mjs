#!/usr/bin/env node
/**
 * Keeps a replica of your account's records in a SQLite file: one export, then the webhook feed from exactly where the
 * export ends.
 *
 *   TANDEM_URL=https://tandem.example.com TANDEM_KEY=tk_… \
 *   PUBLIC_URL=https://your.host/hook PORT=8090 node replica.mjs customers invoices
 *
 * It may be stopped and killed at any moment: what it has answered with 2xx is in the file.
 */
import { createServer } from 'node:http';
import { Replica, Tandem } from '@tandem/client';
import { SqliteStore } from '@tandem/client/sqlite';

const { TANDEM_URL, TANDEM_KEY, PUBLIC_URL, PORT = '8090', REPLICA = 'replica.db' } = process.env;
const resources = process.argv.slice(2);
if (!TANDEM_URL || !TANDEM_KEY || !PUBLIC_URL || resources.length === 0) {
  console.error('usage: TANDEM_URL=… TANDEM_KEY=… PUBLIC_URL=… node replica.mjs <resource> …');
  process.exit(2);
}

const client = new Tandem({ baseUrl: TANDEM_URL, key: TANDEM_KEY });
const replica = new Replica({ client, store: new SqliteStore(REPLICA), resources });

/** Larger than any request of Tandem: a batch has at most 512 KB, and a record one field of 1 GB at the worst. */
const MAX_BODY_BYTES = 2 ** 26;

async function readBody(request) {
  const chunks = [];
  let bytes = 0;
  for await (const chunk of request) {
    bytes += chunk.length;
    if (bytes > MAX_BODY_BYTES) throw new Error(`a body of more than ${MAX_BODY_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

const server = createServer(async (request, response) => {
  try {
    // 204, 401, or 503 while an export is loaded: Tandem delivers again whatever is not 2xx.
    response.writeHead(await replica.receive(request.headers, await readBody(request))).end();
  } catch (error) {
    console.error(error);
    response.writeHead(500).end();
  }
});
server.listen(Number(PORT), () => console.log(`listening on port ${PORT}`));

await replica.follow({
  webhook: { url: PUBLIC_URL },
  onReset: (reason) => console.log(`reset: ${reason}`),
  onError: (error) => console.error(error.message),
});
