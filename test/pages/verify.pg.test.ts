import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  DESKTOP,
  findAxeViolations,
  findContrastViolations,
  openBrowser,
  PHONE,
  takePictures,
  watchFaults,
} from '../support/browser.ts';
import { createDashboardVisitor } from '../support/dashboard.ts';
import { DIGEST, openVerifyPages, type VerifyPages } from '../support/verify-pages.ts';

const browser = await openBrowser();

let pages: VerifyPages;
beforeAll(async () => {
  pages = await openVerifyPages();
});
afterAll(async () => {
  await browser?.[Symbol.asyncDispose]();
  await pages?.[Symbol.asyncDispose]();
});

test.skipIf(browser === undefined).each([true, false])(
  'a check is started by the keyboard and followed to its digests, with scripts: %s',
  async (javaScriptEnabled) => {
    const { api, recordedAccount, complete } = pages;
    const account = await recordedAccount();
    const [name = '', value = ''] = (await createDashboardVisitor(api).open(account)).split('=');
    const sizes = { desktop: DESKTOP, phone: PHONE };
    for (const [size, device] of Object.entries(sizes)) {
      await using context = await browser?.open({ ...device, javaScriptEnabled });
      if (context === undefined) return;
      await context.addCookies([{ name, value, url: api.url }]);
      const page = await context.newPage();
      const faults = watchFaults(page, api.url);
      const look = async (picture: string) => {
        const root = 'document.documentElement';
        const width = await page.evaluate(`${root}.scrollWidth - ${root}.clientWidth`);
        expect(width, `${picture} ${size}`).toBe(0);
        if (!javaScriptEnabled) return;
        await takePictures(page, `verify-${picture}`, size);
        for (const colorScheme of ['light', 'dark'] as const) {
          await page.emulateMedia({ colorScheme });
          expect(await findAxeViolations(page)).toEqual([]);
          expect(await findContrastViolations(page)).toEqual([]);
        }
        await page.emulateMedia({ colorScheme: 'light' });
      };
      await page.goto(`${api.url}/dashboard/verify`);
      await look('list');
      await page.getByRole('link', { name: 'New check' }).press('Enter');
      await page.getByRole('heading', { name: 'New check' }).waitFor();
      await look('new');
      await page.getByLabel('invoices').focus();
      await page.keyboard.press('Tab');
      await page.keyboard.press('Enter');
      await page.getByText('Queued').first().waitFor();
      await look('queued');
      const id = new URL(page.url()).pathname.split('/').at(-1) ?? '';
      await complete(id);
      if (!javaScriptEnabled) await page.reload();
      await page.getByText(DIGEST).waitFor();
      // What has changed loads the page again, which would take it from under the look.
      if (javaScriptEnabled) await page.reload();
      await look('completed');
      expect(faults).toEqual([]);
    }
  },
);
