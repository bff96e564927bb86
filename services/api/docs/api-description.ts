import type { ZodOpenApiObject } from 'zod-openapi';
import type { Tag } from '../http/route.ts';

const INTRODUCTION = `Bulk export and change feed, in tandem: the feed starts exactly where the export ends.

**Keys.** Send \`Authorization: Bearer <key>\`. A key belongs to one account and has scopes. The operator's key may
send every request, and names the account with \`account_id\`.

**Problems.** Errors are problem documents (RFC 9457, \`application/problem+json\`) with a \`code\` for programs and a
\`request_id\` for support. A path that does not exist gets \`not_found\`, and another method
\`method_not_allowed\` (405 with \`Allow\`).

**Repeating requests.** Send an \`Idempotency-Key\` with each request that creates something, and repeat the request
with the same key after a time-out, a 429 or a 503. Wait for the time of \`Retry-After\` first.

**Lists.** \`limit\` is the size of a page. Send \`next_cursor\` as \`cursor\` to get the next one. Newest first.

**Changes.** Unknown fields and parameters of a request are refused. Responses may get new fields, and lists of
values new members: ignore those that you do not know.`;

/** The sections of the documents, in order. */
const TAGS: Readonly<Record<Tag, string>> = {
  exports: 'A complete, consistent and immutable snapshot of the records of an account, as files.',
  feed: 'Every later change as an event, read by polling.',
  webhooks: 'Every later change as a signed request to a URL, with retries, replay and dead letters.',
  bulk: 'One operation on up to millions of records, with progress, quota and results.',
  account: 'What the key belongs to, and what it may use.',
  operator: 'For the operator of Tandem: accounts, keys, source, probes and metrics.',
};

/** What the document says of the API as a whole. */
export function describeApi({ version, server }: { version: string; server: string }) {
  return {
    openapi: '3.1.0',
    info: {
      title: 'Tandem',
      version,
      description: INTRODUCTION,
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: server }],
    tags: Object.entries(TAGS).map(([name, description]) => ({ name, description })),
  } satisfies Partial<ZodOpenApiObject> & { openapi: string };
}

export const SECURITY_SCHEMES = {
  key: {
    type: 'http',
    scheme: 'bearer',
    description: 'The key of an account with the scope that is listed, or the key of the operator.',
  },
  operatorKey: { type: 'http', scheme: 'bearer', description: 'The key of the operator.' },
} as const;
