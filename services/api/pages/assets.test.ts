import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { AppError } from '../../../shared/runtime/errors.ts';
import type { ApiRequest } from '../http/route.ts';
import { createAssets } from './assets.ts';
import { contentSecurityPolicy, staticPageResponse } from './page-response.ts';

const FOLDER = new URL('./assets/', import.meta.url);

const assets = createAssets();

function ask(path: string) {
  const [, , version = '', file = ''] = path.split('/');
  const request = { path, param: (name: string) => (name === 'version' ? version : file) };
  return assets.route.handle(request as ApiRequest);
}

test('a file is kept for good under its hash, and not under another', async () => {
  const path = assets.path('base.css');
  const { status, headers, body } = await ask(path);
  expect(status).toBe(200);
  expect(headers).toMatchObject({
    'content-type': 'text/css; charset=utf-8',
    'cache-control': 'public, max-age=31536000, immutable',
    'x-content-type-options': 'nosniff',
  });
  expect(body).toBe(readFileSync(new URL('base.css', FOLDER), 'utf8'));
  const other = await ask('/assets/0000000000000000/base.css');
  expect(other).toMatchObject({ status: 200, headers: { 'cache-control': 'no-store' } });
});

test('only files of the folder are there', async () => {
  for (const name of ['assets.ts', '../assets.ts', 'none.js', '']) {
    await expect(ask(`/assets/x/${name}`)).rejects.toThrow(AppError);
    expect(() => assets.path(name)).toThrow(RangeError);
  }
});

test('modules import each other by plain names, and nothing makes code or markup of a text', () => {
  const scripts = readdirSync(FOLDER).filter((name) => name.endsWith('.js'));
  expect(scripts.length).toBeGreaterThan(1);
  for (const name of scripts) {
    const text = readFileSync(new URL(name, FOLDER), 'utf8');
    for (const [, target = ''] of text.matchAll(/from '([^']+)'/g)) {
      expect(scripts, name).toContain(target.replace(/^\.\//, ''));
    }
    expect(text, name).not.toMatch(
      /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function/,
    );
  }
});

test('the policy allows nothing inline and nothing from elsewhere', () => {
  const policy = contentSecurityPolicy();
  expect(policy).toContain("default-src 'none'");
  expect(policy).toContain("frame-ancestors 'none'");
  expect(policy).toContain("form-action 'none'");
  expect(policy).not.toMatch(/unsafe|https?:|\*/);
  expect(policy).not.toContain('connect-src');
  expect(
    contentSecurityPolicy({ connects: true, hasForms: true, frameAncestors: 'https://a.example' }),
  ).toMatch(/connect-src 'self'.*form-action 'self'.*frame-ancestors https:\/\/a\.example/);
});

test('a copy that holds is told so, and a long header of copies costs no more than a short one', () => {
  const answer = (known: string) =>
    staticPageResponse({ header: () => known }, { body: 'x', etag: '"x"' }).status;
  expect(['"y" , W/"x"', '"x"', '"y"', ''].map(answer)).toEqual([304, 304, 200, 200]);
  // Each would take a second where the cost grows with the square of the length.
  for (let count = 0; count < 100; count += 1) expect(answer(`"y"${' '.repeat(15_000)}"x"`)).toBe(200);
});
