import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { expect, test } from 'vitest';
import { REFUSAL_WAITS } from './late-refusal.ts';
import { pacePublic } from './pace-public.ts';
import type { Route } from './route.ts';

const ROUTES: Readonly<Record<string, Pick<Route, 'path' | 'access'> & { isDownload?: boolean }>> = {
  '/docs': { path: '/docs', access: 'public' },
  '/healthz': { path: '/healthz', access: 'public' },
  '/file': { path: '/file', access: 'public', isDownload: true },
  '/exports': { path: '/exports', access: 'exports:read' },
};

/** Sends requests of which none is handled before all are sent. */
function paced() {
  const handled: string[] = [];
  const handle = pacePublic((request) => handled.push(String(request.url)), {
    routes: { find: (_method, path) => ROUTES[path] as Route | undefined },
    urls: { prefix: () => '' },
  });
  const send = (url: string) => {
    const request = new IncomingMessage(new Socket());
    Object.assign(request, { method: 'GET', url });
    const response = new ServerResponse(request);
    let waits = false;
    response.once(REFUSAL_WAITS, () => {
      waits = true;
    });
    handle(request, response);
    return { response, waits: () => waits };
  };
  return { handled, send };
}

const FLOOD = 1_000;

test.each(['/docs', '/healthz', '/nowhere'])('a flood of %s waits, but for its first few', (url) => {
  const { handled, send } = paced();
  const sent = Array.from({ length: FLOOD }, () => send(url));
  expect(handled.length).toBeGreaterThan(0);
  expect(handled.length).toBeLessThan(FLOOD / 2);
  // Its connections may be closed in favour of new ones.
  expect(sent.at(-1)?.waits()).toBe(true);
  for (const { response } of sent) response.destroy();
});

test('accounts and downloads do not wait for a flood, nor do probes for one of pages', () => {
  const { handled, send } = paced();
  const sent = Array.from({ length: FLOOD }, () => send('/docs'));
  for (const url of ['/exports', '/file', '/healthz']) {
    expect(send(url).waits()).toBe(false);
    expect(handled.at(-1)).toBe(url);
  }
  for (const { response } of sent) response.destroy();
});

test('a page that had to wait is served within seconds, and not once its client has left', async () => {
  const { handled, send } = paced();
  const sent = Array.from({ length: FLOOD }, () => send('/docs'));
  for (const { response } of sent) response.destroy();
  const before = handled.length;
  send('/docs');
  while (handled.length === before) await new Promise((resolve) => setTimeout(resolve, 1));
  expect(handled).toHaveLength(before + 1);
});
