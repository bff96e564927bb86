import { expect, test } from 'vitest';
import { apiNameOf, singularOf, uniqueName } from './names.ts';

test('any name of a table becomes one that a catalog takes', () => {
  expect(
    ['Orders', 'lineItems', '2fa codes', 'Größen', '日本', 'a.b"c', 'x'.repeat(70)].map(apiNameOf),
  ).toEqual(['orders', 'line_items', 't_2fa_codes', 'gro_en', 't_', 'a_b_c', 'x'.repeat(58)]);
});

test('events are called by the singular, and never like our own', () => {
  const plurals = ['invoices', 'companies', 'addresses', 'boxes', 'status', 'days', 'analysis', 'news_items'];
  expect(plurals.map(singularOf)).toEqual([
    'invoice',
    'company',
    'address',
    'box',
    'status',
    'day',
    'analysis',
    'news_item',
  ]);
  expect(['webhooks', 'feeds', 'exports'].map(singularOf)).toEqual([
    'webhook_record',
    'feed_record',
    'export_record',
  ]);
});

test('a name that is taken gets a number', () => {
  const taken = new Set<string>();
  expect(['a', 'a', 'b', 'a'].map((name) => uniqueName(name, taken))).toEqual(['a', 'a_2', 'b', 'a_3']);
});
