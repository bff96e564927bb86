import type { Page } from 'playwright-core';
import type { DashboardPage } from '../../services/api/dashboard/frame/visit.ts';

/** Pages of one kind that are visited: they differ in the states of their objects. */
const MAX_OF_A_KIND = 2;

export interface Crawled {
  /** Addresses, with the path of the route that serves each. */
  readonly visited: ReadonlyMap<string, string>;
  /** Routes of pages that no link has led to. */
  readonly unreached: readonly string[];
}

/** Follows the links of a dashboard from page to page, and leaves out files and what only modules ask for. */
export async function crawlDashboard(
  page: Page,
  start: readonly string[],
  pages: readonly DashboardPage[],
  visit: (path: string, isFirst: boolean) => Promise<void>,
): Promise<Crawled> {
  const shown = pages.filter((each) => each.method === 'GET' && each.isLive !== true).map(({ path }) => path);
  const routeOf = (address: string) =>
    shown.find((path) => patternOf(path).test(address.split('?')[0] ?? ''));
  const visited = new Map<string, string>();
  const waiting = [...start];
  for (let path = waiting.shift(); path !== undefined; path = waiting.shift()) {
    const route = routeOf(path);
    const count = [...visited.values()].filter((each) => each === route).length;
    if (route === undefined || visited.has(path) || count >= MAX_OF_A_KIND) continue;
    visited.set(path, route);
    await page.goto(new URL(path, page.url()).href);
    await visit(path, count === 0);
    waiting.push(...(await linksOf(page)));
  }
  const reached = new Set(visited.values());
  return { visited, unreached: shown.filter((path) => !reached.has(path) && !isFile(path)) };
}

function isFile(path: string): boolean {
  return /\/(?:file|json)$|\/files\//.test(path);
}

function patternOf(path: string): RegExp {
  return new RegExp(`^${path.replace(/\{\w+\}/g, '[^/]+')}$`);
}

/** Links to pages of the dashboard, those to new kinds of objects first in the order of the page. */
async function linksOf(page: Page): Promise<string[]> {
  return page.evaluate(`[...document.querySelectorAll('a[href]:not([download])')]
    .filter((link) => link.origin === location.origin && !link.pathname.endsWith('/file'))
    .map((link) => link.pathname + link.search)`);
}
