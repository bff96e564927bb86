import pg from 'pg';
import { expect, test } from 'vitest';
import { CatalogBehindError } from '../../shared/catalog/catalog-behind-error.ts';
import { LeaseLostError } from '../../shared/runtime/lease-renewer.ts';
import { UnencodableRowError } from '../../shared/values/row-body.ts';
import {
  classifyExtractionError,
  ExportCancelledError,
  ExportFailedError,
  SnapshotGoneError,
  SourceSessionLostError,
  StoppingError,
  TableWantedError,
} from './extraction-errors.ts';

function refusedWith(code: string): Error {
  return Object.assign(new pg.DatabaseError('refused', 7, 'error'), { code });
}

test('what can pass is tried again', () => {
  const retry = { kind: 'retry', isForeseen: true };
  expect(classifyExtractionError(new SourceSessionLostError('snapshot'))).toEqual(retry);
  expect(classifyExtractionError(new SnapshotGoneError('0-1'))).toEqual(retry);
  for (const code of ['57P01', '53300', '40001', '57014', '25P03', '28P01']) {
    expect(classifyExtractionError(refusedWith(code)), code).toEqual(retry);
  }
  expect(classifyExtractionError(Object.assign(new Error('x'), { code: 'ECONNREFUSED' }))).toEqual(retry);
  const outage = Object.assign(new Error('x'), { name: 'KafkaJSNumberOfRetriesExceeded' });
  expect(classifyExtractionError(new Error('sending', { cause: outage }))).toEqual(retry);
});

test('who waits for a table comes first, as does a catalog that is about to be adapted, and the last of several times is told', () => {
  expect(classifyExtractionError(new TableWantedError('chunk'))).toMatchObject({
    kind: 'give-way',
    failure: { kind: 'fail', code: 'table_locked' },
  });
  expect(classifyExtractionError(new CatalogBehindError('deals'))).toMatchObject({
    kind: 'give-way',
    failure: {
      kind: 'fail',
      code: 'table_changed',
      message: expect.stringContaining('deals no longer has a column'),
    },
  });
});

test('what would end the same again fails the export with a code', () => {
  const codeOf = (error: unknown) => {
    const action = classifyExtractionError(error);
    return action.kind === 'fail' ? action.code : action.kind;
  };
  expect(codeOf(refusedWith('42P01'))).toBe('table_changed');
  expect(codeOf(refusedWith('42501'))).toBe('permission_denied');
  expect(codeOf(refusedWith('XX001'))).toBe('source_corrupted');
  expect(codeOf(refusedWith('22P02'))).toBe('source_refused');
  expect(codeOf(new ExportFailedError('feed_not_running', 'x'))).toBe('feed_not_running');
  expect(codeOf(new UnencodableRowError('orders', 'total', undefined))).toBe('row_unencodable');
  const tooLarge = Object.assign(new Error('x'), {
    name: 'KafkaJSProtocolError',
    type: 'MESSAGE_TOO_LARGE',
  });
  expect(codeOf(tooLarge)).toBe('row_too_large');
  const incompatible = Object.assign(new Error('x'), { name: 'ResponseError', status: 409 });
  expect(codeOf(incompatible)).toBe('schema_incompatible');
});

test('work that is cancelled or stopped is let go, and another’s is left alone', () => {
  expect(classifyExtractionError(new ExportCancelledError('x'))).toEqual({ kind: 'let-go' });
  expect(classifyExtractionError(new StoppingError('x'))).toEqual({ kind: 'let-go' });
  expect(classifyExtractionError(new LeaseLostError('x'))).toEqual({ kind: 'abandon' });
});

test('what nobody foresaw is tried again, and counts towards giving up', () => {
  expect(classifyExtractionError(new TypeError('x'))).toEqual({ kind: 'retry', isForeseen: false });
  expect(classifyExtractionError(refusedWith('42601'))).toEqual({ kind: 'retry', isForeseen: false });
});
