import { setTimeout as delay } from 'node:timers/promises';

/** An export as the API shows it, as far as a client of ours reads it. */
export interface ExportView {
  id: string;
  status: string;
  rows: { estimated: number | null; extracted: number; written: number };
  snapshot?: {
    kind: string;
    reason: string | null;
    taken_at: string;
    lsn: string;
    xmin: string;
    xmax: string;
    xip: string[];
  };
  files?: { name: string; resource: string; rows: number; bytes: number; sha256: string; url: string }[];
  error?: { code: string; message: string };
}

export interface ApiClient {
  /** @throws Error with the problem document when the answer is not 2xx */
  call<T>(
    method: string,
    path: string,
    body?: unknown,
    headers?: Readonly<Record<string, string>>,
  ): Promise<T>;
  /** The answer's text as it came, for a reader who wants every digit. @throws as `call` does */
  text(
    method: string,
    path: string,
    body?: unknown,
    headers?: Readonly<Record<string, string>>,
  ): Promise<string>;
  /** Polls until the export has ended. @throws when it did not complete, or not within `timeoutMs` */
  completedExport(id: string, timeoutMs: number): Promise<ExportView>;
}

const MIN_POLL_MS = 20;
const MAX_POLL_MS = 500;
/** Of the time waited so far: what is added to it at most by noticing late. */
const POLL_SHARE = 0.02;

/** A small customer of the API: what any client would write, with nothing of Tandem's own code in it. */
export function createApiClient(baseUrl: string, key: string): ApiClient {
  const text: ApiClient['text'] = async (method, path, body, headers) => {
    const response = await fetch(`${baseUrl}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${key}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(30_000),
    });
    const answer = await response.text();
    if (!response.ok) throw new Error(`${method} ${path} returned ${response.status}: ${answer}`);
    return answer;
  };
  const call: ApiClient['call'] = async <T>(...request: Parameters<ApiClient['text']>) => {
    const answer = await text(...request);
    return (answer === '' ? undefined : JSON.parse(answer)) as T;
  };
  return {
    call,
    text,
    async completedExport(id, timeoutMs) {
      const startedAtMs = Date.now();
      const deadlineMs = startedAtMs + timeoutMs;
      for (;;) {
        const view = await call<ExportView>('GET', `/exports/${id}`);
        if (view.status === 'completed') return view;
        if (['failed', 'cancelled', 'expired'].includes(view.status)) {
          throw new Error(`export ${id} ended ${view.status}: ${JSON.stringify(view.error)}`);
        }
        if (Date.now() > deadlineMs)
          throw new Error(`export ${id} is still ${view.status}: ${JSON.stringify(view)}`);
        // A short export is noticed soon, and a long one is not asked about all the time.
        const waitedMs = Date.now() - startedAtMs;
        await delay(Math.min(MAX_POLL_MS, Math.max(MIN_POLL_MS, waitedMs * POLL_SHARE)));
      }
    },
  };
}
