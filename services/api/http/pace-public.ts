import type { RequestListener } from 'node:http';
import { waitLate } from './late-refusal.ts';
import type { Mounted } from './mount-routes.ts';
import { createPacer } from './pacer.ts';
import type { PublicUrls } from './public-urls.ts';
import { routeOf } from './refuse-over-limit.ts';

/** Requests for public pages per second, of all clients together: a seventh of the time. Further ones wait for their turn. */
const PAGES_PER_SECOND = 200;

/** The longest wait: somebody who opens a page during a flood gets it within seconds. */
const MAX_PAGE_TURN_MS = 2_000;

/** What orchestrators and load balancers ask. */
export const PROBES: ReadonlySet<string> = new Set(['/healthz', '/readyz']);

/** Probes have turns of their own: a client that asks often waits for a second only. */
const PROBES_PER_SECOND = 200;
const MAX_PROBE_TURN_MS = 300;

/**
 * Lets requests that no key stands for take turns: public pages and their files, probes, and whatever no route serves. They have
 * no account whose limits hold, and an address may be that of all clients of a proxy. Without a rate, forty connections that ask
 * for pages in a loop leave accounts a tenth of the time. Downloads by a link count as their account's.
 */
export function pacePublic(
  handle: RequestListener,
  deps: { readonly routes: Pick<Mounted, 'find'>; readonly urls: Pick<PublicUrls, 'prefix'> },
): RequestListener {
  const pacePage = createPacer(PAGES_PER_SECOND, MAX_PAGE_TURN_MS);
  const paceProbe = createPacer(PROBES_PER_SECOND, MAX_PROBE_TURN_MS);
  return (request, response) => {
    const route = routeOf(request, deps);
    const isPaced = route === undefined || (route.access === 'public' && route.isDownload !== true);
    if (!isPaced) return handle(request, response);
    const pace = PROBES.has(route?.path ?? '') ? paceProbe : pacePage;
    const waitMs = pace('', performance.now());
    if (waitMs < 1) return handle(request, response);
    waitLate(response, waitMs, () => {
      if (!response.closed) handle(request, response);
    });
  };
}
