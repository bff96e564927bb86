import { expect, test } from 'vitest';
import { isTypeWanted } from './event-pattern.ts';

test('a pattern means all, all of one kind, or one', () => {
  expect(isTypeWanted(['*'], 'invoice.created', 'invoice')).toBe(true);
  expect(isTypeWanted(['invoice.*'], 'invoice.created', 'invoice')).toBe(true);
  expect(isTypeWanted(['invoice.*'], 'invoice_item.created', 'invoice_item')).toBe(false);
  expect(isTypeWanted(['invoice.created'], 'invoice.created', 'invoice')).toBe(true);
  expect(isTypeWanted(['invoice.created', 'customer.*'], 'invoice.deleted', 'invoice')).toBe(false);
  expect(isTypeWanted([], 'invoice.created', 'invoice')).toBe(false);
});

test('a reset reaches whoever gets anything of its resource', () => {
  expect(isTypeWanted(['invoice.created'], 'feed.reset', 'invoice')).toBe(true);
  expect(isTypeWanted(['customer.*'], 'feed.reset', 'invoice')).toBe(false);
  expect(isTypeWanted(['*'], 'feed.reset', undefined)).toBe(true);
});
