import pg from 'pg';
import { expect, test } from 'vitest';
import { CatalogBehindError } from '../../shared/catalog/catalog-behind-error.ts';
import { ConnectionLostError } from '../../shared/postgres/session.ts';
import { LeaseLostError } from '../../shared/runtime/lease-renewer.ts';
import { UnencodableRowError } from '../../shared/values/row-body.ts';
import {
  classifyExtractionError,
  ExportCancelledError,
  ExportFailedError,
  SnapshotGoneError,
  SourceAwayError,
  SourceSessionLostError,
  StoppingError,
  TableWantedError,
  toSourceError,
} from './extraction-errors.ts';

function refusedWith(code: string): Error {
  return Object.assign(new pg.DatabaseError('refused', 7, 'error'), { code });
}

const after = (error: unknown) => {
  const action = classifyExtractionError(error);
  return action.kind === 'retry' ? action.after : action.kind;
};

test('a server that is away is waited for', () => {
  expect(after(new SourceAwayError('snapshot', { cause: refusedWith('53300') }))).toBe('outage');
  expect(after(new SnapshotGoneError('0-1'))).toBe('outage');
  // Of the control store.
  for (const code of ['57P01', '08006', '28P01']) expect(after(refusedWith(code)), code).toBe('outage');
  expect(after(new ConnectionLostError('Connection terminated unexpectedly'))).toBe('outage');
  expect(after(Object.assign(new Error('x'), { code: 'ECONNREFUSED' }))).toBe('outage');
  const broker = Object.assign(new Error('x'), { name: 'KafkaJSNumberOfRetriesExceeded' });
  expect(after(new Error('sending', { cause: broker }))).toBe('outage');
  const unrenewed = { cause: refusedWith('57P03') };
  expect(after(new LeaseLostError('the lease could not be renewed in time', unrenewed))).toBe('outage');
});

test('what the work may itself be the cause of is tried again, and is a setback', () => {
  expect(after(new SourceSessionLostError('snapshot'))).toBe('setback');
  for (const code of ['53200', '40001', '57014', '25P02'])
    expect(after(refusedWith(code)), code).toBe('setback');
});

test('a session that the server ends is lost, whatever statement is told so', () => {
  for (const code of ['57P01', '57P02', '25P03', '25P04', '08006']) {
    expect(toSourceError('chunk', refusedWith(code)), code).toBeInstanceOf(SourceSessionLostError);
  }
  for (const code of ['42P01', '57014', '40001', '53200']) {
    expect(toSourceError('chunk', refusedWith(code)), code).toBeInstanceOf(pg.DatabaseError);
  }
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
  expect(after(new TypeError('x'))).toBe('unforeseen');
  expect(after(refusedWith('42601'))).toBe('unforeseen');
});
