import { expect, test } from 'vitest';
import { ExportFailedError } from '../extraction-errors.ts';
import { readRequest, resourceOf } from './export-request.ts';

test('a request that can not be read, or a resource that has left the catalog, fails the export', () => {
  expect(() => readRequest({})).toThrow(ExportFailedError);
  expect(() => resourceOf({ name: 'shop', resources: [] }, 'orders')).toThrow(ExportFailedError);
});
