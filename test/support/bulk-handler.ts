import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A request for one item. */
export interface Asked {
  /** `Idempotency-Key`. */
  readonly key: string;
  readonly itemId: string;
  readonly headers: Readonly<Record<string, string>>;
  /** The bytes of the request. */
  readonly text: string;
}

/** What the handler answers; the number of times that it was asked for the same key counts the present one. */
export type Answer = (asked: Asked, times: number, response: ServerResponse) => void;

export interface BulkHandler extends AsyncDisposable {
  readonly url: string;
  /** In order of arrival. */
  readonly asked: readonly Asked[];
  answer: Answer;
}

/** The handler of an HTTP operation on the loopback. It answers nothing until told otherwise. */
export async function openBulkHandler(): Promise<BulkHandler> {
  const asked: Asked[] = [];
  const server = createServer(async (request, response) => {
    let text = '';
    for await (const chunk of request) text += chunk;
    const one = {
      key: String(request.headers['idempotency-key']),
      itemId: (JSON.parse(text) as { item_id: string }).item_id,
      headers: request.headers as Record<string, string>,
      text,
    };
    asked.push(one);
    handler.answer(one, asked.filter(({ key }) => key === one.key).length, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const handler: BulkHandler = {
    url: `http://127.0.0.1:${port}/render`,
    asked,
    answer: () => undefined,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return handler;
}

/** Answers with JSON. */
export function answerWith(response: ServerResponse, status: number, body: unknown = {}): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}
