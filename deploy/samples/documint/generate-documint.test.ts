import fc from 'fast-check';
import { expect, test } from 'vitest';
import { SetupError } from '../../../shared/runtime/errors.ts';
import { planRows } from './generate-documint.ts';

test('with one account everything is the main account’s', () => {
  expect(planRows({ rows: 1_000_000, accounts: 1 })).toEqual({
    seed: 1,
    accounts: 1,
    customers: 50_000,
    mainCustomers: 50_000,
    invoices: 1_000_000,
    mainSharePpm: 1_000_000,
    lineItems: 500_000,
  });
});

test('every account has a customer, however few rows there are', () => {
  fc.assert(
    fc.property(
      fc.nat({ max: 100_000 }),
      fc.integer({ min: 1, max: 999 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (rows, accounts, mainAccountShare) => {
        const plan = planRows({ rows, accounts, mainAccountShare });
        expect(plan.mainCustomers).toBeGreaterThanOrEqual(1);
        expect(plan.customers - plan.mainCustomers).toBeGreaterThanOrEqual(accounts - 1);
      },
    ),
  );
});

test('options out of range are told together', () => {
  const plan = () =>
    planRows({ rows: 1.5, seed: -1, accounts: 0, mainAccountShare: 2, lineItemsPerInvoice: NaN });
  expect(plan).toThrow(SetupError);
  expect(plan).toThrow(/rows .*\n.*seed .*\n.*accounts .*\n.*mainAccountShare .*\n.*lineItemsPerInvoice /);
});
