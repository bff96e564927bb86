import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Result } from 'axe-core';
import {
  type Browser,
  type BrowserContext,
  type BrowserContextOptions,
  chromium,
  type Page,
} from 'playwright-core';

/** Of whatever a page is waited for. A busy machine takes its time. */
const LIMIT_MS = 120_000;

/** A browser that tests share: each opens contexts of its own. */
export interface TestBrowser extends AsyncDisposable {
  open(options?: BrowserContextOptions): Promise<BrowserContext>;
}

/** Those of a page for which the projects of a desktop and of a phone differ. */
export const DESKTOP = { viewport: { width: 1_440, height: 900 } } as const;
export const PHONE = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true } as const;

const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-background-networking',
  // Names for tests (RFC 6761) are on this machine.
  '--host-resolver-rules=MAP *.test 127.0.0.1',
];

/** What several vendors do by default, and Chromium with this. */
const BLOCK_THIRD_PARTY_COOKIES = '--test-third-party-cookie-phaseout';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];

/**
 * The machine's Chromium, or the browser that `CHROMIUM` names. A machine without one is told what it skips; in
 * CI a skipped test would pass for a tested one, so there it is an error.
 */
export async function openBrowser({
  blocksThirdPartyCookies = false,
} = {}): Promise<TestBrowser | undefined> {
  const executablePath = process.env.CHROMIUM ?? findExecutable();
  if (executablePath === undefined) {
    const missing = 'they need Chromium: apt-get install chromium, or name a browser with CHROMIUM';
    if (process.env.CI === 'true') throw new Error(`the tests of pages cannot run: ${missing}`);
    console.warn(`skipping the tests of pages: ${missing}`);
    return undefined;
  }
  const browser: Browser = await chromium.launch({
    executablePath,
    args: blocksThirdPartyCookies ? [...FLAGS, BLOCK_THIRD_PARTY_COOKIES] : FLAGS,
  });
  return {
    async open(options = {}) {
      const context = await browser.newContext({ reducedMotion: 'reduce', ...options });
      context.setDefaultTimeout(LIMIT_MS);
      return context;
    },
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
  page.on('requestfailed', (request) => {
    const reason = request.failure()?.errorText ?? '';
    // A page that is left while its icon loads gives that request up.
    if (reason !== 'net::ERR_ABORTED') faults.push(`${page.url()} failed: ${request.url()} ${reason}`);
  });
  page.on('response', (response) => {
    if (response.status() >= 400) faults.push(`${page.url()} ${response.status()}: ${response.url()}`);
  });
  return faults;
}

/** Pixels by which the page is wider than its window. The inner width of a phone would grow with the page. */
export async function overflowOf(page: Page): Promise<number> {
  const width = Number(await page.evaluate('document.documentElement.scrollWidth'));
  return width - (page.viewportSize()?.width ?? width);
}

/** Where `npm run screenshots` puts its pictures; git ignores them. */
const SCREENSHOTS =
  process.env.SCREENSHOTS === undefined
    ? undefined
    : fileURLToPath(new URL('../../.tandem/screenshots/', import.meta.url));

/** Takes pictures of a page, light and dark, when they are asked for. */
export async function takePictures(page: Page, name: string, size: string): Promise<void> {
  if (SCREENSHOTS === undefined) return;
  await mkdir(SCREENSHOTS, { recursive: true });
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme });
    await page.screenshot({ path: join(SCREENSHOTS, `${name}-${size}-${colorScheme}.png`) });
  }
  await page.emulateMedia({ colorScheme: 'light' });
}

/**
 * Everything that is wrong with a page as it is now: what axe finds, the contrast in light and dark, and its width. Takes its
 * pictures when they are asked for. Needs JavaScript.
 */
export async function findFaultsOfLook(page: Page, name: string, size: string): Promise<string[]> {
  const found = await findAxeViolations(page);
  for (const colorScheme of ['dark', 'light'] as const) {
    await page.emulateMedia({ colorScheme });
    found.push(...(await findContrastViolations(page)));
  }
  const overflow = await overflowOf(page);
  if (overflow > 0) found.push(`${size} ${name} is ${overflow} pixels too wide`);
  await takePictures(page, name, size);
  return found;
}

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/**
 * What axe finds wrong with the page as it is now, a line for each element, except for the contrast. Needs
 * JavaScript.
 */
export async function findAxeViolations(page: Page): Promise<string[]> {
  return run(
    page,
    `const reports = [await axe.run(document, { ...options, rules: { 'color-contrast': { enabled: false } } })];`,
  );
}

/**
 * What axe finds wrong with the contrast. That of a text depends on its colours and its size alone, so of all
 * texts that are alike one is checked: on a page with thousands of marked words that takes a tenth of the time.
 */
export async function findContrastViolations(page: Page): Promise<string[]> {
  return run(
    page,
    `const reports = [await axe.run({ include: differentTexts() }, { ...options, runOnly: ['color-contrast'] })];`,
  );
}

/** The smallest element of each kind of text on the page: of the same colours, size and weight. */
const DIFFERENT_TEXTS = `function differentTexts() {
  const grounds = new Map([[null, '']]);
  const groundOf = (element) => {
    if (!grounds.has(element)) {
      const { backgroundColor, backgroundImage, opacity } = getComputedStyle(element);
      grounds.set(element, groundOf(element.parentElement) + backgroundColor + backgroundImage + opacity);
    }
    return grounds.get(element);
  };
  const kinds = new Map();
  for (const element of document.querySelectorAll('body *')) {
    const hasText = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim() !== '');
    if (!hasText || !element.checkVisibility()) continue;
    const { color, fontSize, fontWeight } = getComputedStyle(element);
    const kind = [color, fontSize, fontWeight, groundOf(element)].join();
    const size = element.querySelectorAll('*').length;
    if (!(kinds.get(kind)?.size <= size)) kinds.set(kind, { element, size });
  }
  return [...kinds.values()].map(({ element }) => element);
}`;

/** By the debugger, which the page's content security policy does not bind. */
async function run(page: Page, script: string): Promise<string[]> {
  const session = await page.context().newCDPSession(page);
  try {
    const { result, exceptionDetails } = await session.send('Runtime.evaluate', {
      expression: `(async () => {
        if (window.axe === undefined) { ${AXE} }
        ${DIFFERENT_TEXTS}
        const options = { resultTypes: ['violations'], preload: false, iframes: false };
        ${script}
        return JSON.stringify(reports.flatMap(({ violations }) => violations));
      })()`,
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
