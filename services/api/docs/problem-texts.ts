import type { ProblemCode } from '../http/problem.ts';

/** What the page of a problem says beyond its meaning. Texts are Markdown. */
export interface ProblemText {
  /** When it happens. */
  readonly causes: readonly string[];
  /** What to do, in order. */
  readonly remedies: readonly string[];
  /** `detail` and further members of an example document. */
  readonly example: Readonly<Record<string, unknown>> & { readonly detail: string };
}

export const PROBLEM_TEXTS: Readonly<Record<ProblemCode, ProblemText>> = {
  malformed: {
    causes: [
      'The body is not valid JSON or not UTF-8, or it ended early.',
      'The path or the query has a character that must be percent-encoded, or is too long.',
      'The request is not valid HTTP.',
    ],
    remedies: [
      'Print the body as it is sent, and parse it with a strict JSON parser. A comma too many is the usual cause.',
      'Encode parameters with a function of your language, not by hand.',
    ],
    example: { detail: 'The body is not valid JSON.' },
  },
  unauthorized: {
    causes: [
      'There is no `Authorization` header, or it does not start with `Bearer`.',
      'The key is mistyped, is of another installation, or was revoked.',
    ],
    remedies: [
      'Send `Authorization: Bearer <key>` with the whole key. Check that no line break follows it.',
      'Ask the operator for a new key. A key cannot be shown a second time.',
    ],
    example: { detail: 'The key is unknown or revoked.' },
  },
  forbidden: {
    causes: [
      'The key lacks the scope of the operation. `scope` names it.',
      'The operation is for the operator alone.',
      'A presigned link has expired, or was altered.',
    ],
    remedies: [
      'Ask the operator for a key with that scope. The scopes of a key do not change.',
      'For a link: show the export again. Each response has a fresh link.',
    ],
    example: { detail: 'This key lacks the scope exports:write.', scope: 'exports:write' },
  },
  not_found: {
    causes: [
      'The ID is mistyped, or of an object that was deleted.',
      'The object belongs to another account than the key.',
      'The path does not exist.',
    ],
    remedies: [
      'Check the prefix of the ID: `exp_`, `blk_`, `whk_`, `evt_`.',
      'Check that the key belongs to the account that created the object.',
    ],
    example: { detail: 'There is no export exp_01JZ8Q6B3D5F7H9K1N3Q5S7V9X.' },
  },
  method_not_allowed: {
    causes: ['The path exists, but not with this method.'],
    remedies: ['Use one of the methods that the header `Allow` lists.'],
    example: { detail: 'The path does not support PUT. Allowed: GET, HEAD, DELETE' },
  },
  timed_out: {
    causes: [
      'The connection is too slow for the body, or stood still.',
      'The client announced more bytes than it sent.',
    ],
    remedies: [
      'Send the request again, with the same `Idempotency-Key` if it creates something.',
      'Upload long lists of IDs as a file instead.',
    ],
    example: { detail: 'The request did not arrive in time.' },
  },
  conflict: {
    causes: [
      'The object is in a state that does not allow the request: an export that is completed cannot be cancelled.',
      'Another request with the same `Idempotency-Key` is still in progress.',
      'The object would exist twice.',
    ],
    remedies: [
      'Read `detail`: it says what to do first. `export_status` or `job_status` has the state.',
      'With `Retry-After`: wait, then send the same request again.',
    ],
    example: {
      detail: 'The export is completed and can no longer be cancelled.',
      export_status: 'completed',
    },
  },
  gone: {
    causes: [
      'The files of the export reached the end of their retention, or the export was deleted.',
      'The events that the request needs are no longer retained.',
    ],
    remedies: ['Create a new export. Continue the feed after it.'],
    example: { detail: 'The files of this export were removed. Create a new export.' },
  },
  precondition_failed: {
    causes: ['`If-Match` names another file than the one that is there.'],
    remedies: ['Start the download again, without the part that you have.'],
    example: { detail: 'The file does not match If-Match.' },
  },
  too_large: {
    causes: ['The body has more bytes than the operation reads. `detail` has the limit.'],
    remedies: ['Split the request.', 'For many IDs: upload them as a file, and name it with `file_id`.'],
    example: { detail: 'The body may have at most 262144 bytes.' },
  },
  unsupported_media_type: {
    causes: [
      'The `Content-Type` is missing, or is not the one that the operation reads.',
      'The body is compressed, or in another encoding than UTF-8.',
    ],
    remedies: ['Send `Content-Type: application/json`, in UTF-8, without a `Content-Encoding`.'],
    example: { detail: 'Send JSON, with Content-Type: application/json.' },
  },
  range_not_satisfiable: {
    causes: [
      '`Range` starts behind the end of the file. The download was already complete, or is of another file.',
    ],
    remedies: ['Compare the bytes that you have with the length in `Content-Range`, and with `sha256`.'],
    example: { detail: 'The file has 48120 bytes.' },
  },
  invalid: {
    causes: [
      'A field is missing, unknown, or has a value that is not allowed.',
      'A parameter of the query is wrong or unknown.',
      'An `Idempotency-Key` was used with another body before.',
      'Fields contradict each other.',
    ],
    remedies: [
      'Go through `errors`. Each has a JSON pointer into the body, or the name of a parameter, and says what is expected. All faults are listed at once.',
      'Do not send the same request again: it fails again.',
    ],
    example: {
      detail: 'The request has 2 errors; see errors.',
      errors: [
        { pointer: '/resource', detail: 'must be a resource: invoices, customers, line_items' },
        { pointer: '/colour', detail: 'is unknown' },
      ],
    },
  },
  too_many: {
    causes: [
      'The account sends more requests per second, or has more of them open, than its limit.',
      'The queue of exports or bulk jobs is full. `active_jobs` names what is running or waiting.',
      'A bulk job without `async` has more items than the quota of this period has left.',
      'Too many downloads, uploads or result files of the account run at once.',
    ],
    remedies: [
      'Wait for the seconds of `Retry-After`, then send the same request again.',
      'Spread requests, and poll less often. A webhook endpoint needs no polling at all.',
      'See [Limits and quotas](limits.md). The operator can raise them.',
    ],
    example: {
      detail: 'This account exceeds its limit: 300 requests per second. Slow down and try again.',
    },
  },
  headers_too_large: {
    causes: ['The headers of the request are larger than 16 KiB. Cookies of a browser are the usual cause.'],
    remedies: ['Send only the headers that the operation needs.'],
    example: { detail: 'The headers are too large.' },
  },
  internal: {
    causes: ['A fault of Tandem. It is in the operator’s log, with the `request_id`.'],
    remedies: [
      'Send the request again after some seconds, with the same `Idempotency-Key` if it creates something.',
      'If the error persists, report the `request_id` to the operator.',
    ],
    example: {
      detail: 'An internal error occurred. Try again. If the error persists, report the request_id.',
    },
  },
  unavailable: {
    causes: [
      'A database or the file storage does not respond, or has too many requests at once.',
      'Tandem is starting or stopping.',
    ],
    remedies: [
      'Wait for the seconds of `Retry-After`, then send the same request again.',
      'Running exports, jobs and deliveries continue by themselves.',
    ],
    example: { detail: 'The control store does not respond. Try again shortly.' },
  },
  feed_behind: {
    causes: [
      'The source database retains too many changes that the feed has not read yet. More work would add to them.',
      'The replication slot is missing or lost.',
    ],
    remedies: [
      'Wait for the seconds of `Retry-After`. Work that is running continues.',
      'If it persists, the operator finds the state of the slot at `GET /admin/source`.',
    ],
    example: {
      detail: 'The change feed is too far behind, so new exports and bulk jobs are refused. Try again later.',
    },
  },
};
