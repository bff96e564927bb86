import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Result, RunOptions } from 'axe-core';
import {
  type Browser,
  type BrowserContext,
  type BrowserContextOptions,
  chromium,
  type Page,
} from 'playwright-core';

/** A browser that tests share: each opens contexts of its own. */
export interface TestBrowser extends AsyncDisposable {
  open(options?: BrowserContextOptions): Promise<BrowserContext>;
}

/** Those of a page for which the projects of a desktop and of a phone differ. */
export const DESKTOP = { viewport: { width: 1_440, height: 900 } } as const;
export const PHONE = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true } as const;

const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-background-networking'];

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];

/**
 * The machine's Chromium, or the browser that `CHROMIUM` names. A machine without one is told what it skips; in
 * CI a skipped test would pass for a tested one, so there it is an error.
 */
export async function openBrowser(): Promise<TestBrowser | undefined> {
  const executablePath = process.env.CHROMIUM ?? findExecutable();
  if (executablePath === undefined) {
    const missing = 'they need Chromium: apt-get install chromium, or name a browser with CHROMIUM';
    if (process.env.CI === 'true') throw new Error(`the tests of pages cannot run: ${missing}`);
    console.warn(`skipping the tests of pages: ${missing}`);
    return undefined;
  }
  const browser: Browser = await chromium.launch({ executablePath, args: FLAGS });
  return {
    open: (options = {}) => browser.newContext({ reducedMotion: 'reduce', ...options }),
    [Symbol.asyncDispose]: () => browser.close(),
  };
}

function findExecutable(): string | undefined {
  for (const name of NAMES) {
    try {
      return execFileSync('which', [name], { stdio: ['ignore', 'pipe', 'ignore'] })
        .toString()
        .trim();
    } catch {
      // The next name may be there.
    }
  }
  return undefined;
}

/**
 * Collects what a page complains of: console messages, errors of scripts, requests that fail or get an error,
 * and requests to another origin than its own. A violation of the content security policy is a console message.
 */
export function watchFaults(page: Page, origin: string): string[] {
  const faults: string[] = [];
  page.on('console', (message) => faults.push(`${page.url()} console: ${message.text()}`));
  page.on('pageerror', (error) => faults.push(`${page.url()} error: ${error.message}`));
  page.on('request', (request) => {
    if (new URL(request.url()).origin !== origin) faults.push(`${page.url()} asks ${request.url()}`);
  });
  page.on('requestfailed', (request) => faults.push(`${page.url()} failed: ${request.url()}`));
  page.on('response', (response) => {
    if (response.status() >= 400) faults.push(`${page.url()} ${response.status()}: ${response.url()}`);
  });
  return faults;
}

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** What axe finds wrong with the page as it is now, a line for each element. */
export async function findAxeViolations(page: Page, options: RunOptions = {}): Promise<string[]> {
  // By the debugger, which the page's content security policy does not bind. Works without JavaScript too.
  const session = await page.context().newCDPSession(page);
  try {
    const run = `(async () => {
      if (window.axe === undefined) { ${AXE} }
      const { violations } = await window.axe.run(document, ${JSON.stringify({ resultTypes: ['violations'], preload: false, iframes: false, ...options })});
      return JSON.stringify(violations);
    })()`;
    const { result, exceptionDetails } = await session.send('Runtime.evaluate', {
      expression: run,
      awaitPromise: true,
      returnByValue: true,
    });
    if (exceptionDetails !== undefined) throw new Error(JSON.stringify(exceptionDetails));
    const violations = JSON.parse(String(result.value)) as Result[];
    return violations.flatMap(({ id, help, nodes }) =>
      nodes.map(({ html }) => `${page.url()} ${id}: ${help}: ${html.slice(0, 160)}`),
    );
  } finally {
    await session.detach();
  }
}
