interface HeaderSpec {
  readonly description: string;
  readonly type: 'string' | 'integer';
  readonly example: string | number;
}

/** The headers of responses in the OpenAPI document, each once. */
export const RESPONSE_HEADERS = {
  'X-Request-Id': {
    description: 'ID of the request: the one that was sent, else a new one. Name it to support.',
    type: 'string',
    example: 'req_01JZ8Q4T7V9X3B5D7F9H1K3M5P',
  },
  'Retry-After': { description: 'Seconds to wait before the next request.', type: 'integer', example: 1 },
  Location: {
    description: 'Where the object is that the response is about; of a redirect, where the file is.',
    type: 'string',
    example: '/exports/exp_01JZ8Q4T7V9X3B5D7F9H1K3M5P',
  },
  'Idempotency-Replayed': {
    description: '`true` if this is the stored response of an earlier request with the same Idempotency-Key.',
    type: 'string',
    example: 'true',
  },
  'WWW-Authenticate': { description: 'How to authenticate.', type: 'string', example: 'Bearer' },
  'RateLimit-Policy': {
    description:
      'How many requests the key may send, and in how many seconds. Absent for the operator, and from a 429 for too many open requests or too many bytes of bodies.',
    type: 'string',
    example: '"default";q=6000;w=60, "burst";q=300;w=1',
  },
  RateLimit: {
    description: 'How many requests are left, and for how many seconds. Absent where `RateLimit-Policy` is.',
    type: 'string',
    example: '"default";r=5987;t=42, "burst";r=299;t=1',
  },
  ETag: {
    description: 'Names the bytes of the file. They never change.',
    type: 'string',
    example: '"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"',
  },
  'Accept-Ranges': { description: 'Parts of the file can be requested.', type: 'string', example: 'bytes' },
  'Content-Range': {
    description: 'The part of the file, and its length.',
    type: 'string',
    example: 'bytes 0-999/12345',
  },
  'Content-Disposition': {
    description: 'The name to save the file under.',
    type: 'string',
    example: 'attachment; filename="invoices.jsonl"',
  },
  'Repr-Digest': {
    description: 'SHA-256 of the whole file (RFC 9530).',
    type: 'string',
    example: 'sha-256=:n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=:',
  },
} as const satisfies Readonly<Record<string, HeaderSpec>>;

export type ResponseHeader = keyof typeof RESPONSE_HEADERS;
