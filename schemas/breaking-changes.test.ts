import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { findBreakingChanges, findUnnamed, type Json } from './breaking-changes.ts';

const RELEASED = 'schemas/openapi.released.yaml';

const read = async (path: string): Promise<Json> => parse(await readFile(path, 'utf8'));
const current = await read('schemas/openapi.yaml');
const changed = (change: (document: Json) => void): string[] => {
  const document = structuredClone(current);
  change(document);
  return findBreakingChanges(current, document).map(({ operation, place, what }) =>
    `${operation} ${place} ${what}`.replace('  ', ' '),
  );
};
const fieldsOf = (document: Json, name: string) => document.components.schemas[name].properties;

test('what breaks clients of the last release is in the changelog', async () => {
  // Before the first release there is nothing to break.
  const base = existsSync(RELEASED) ? await read(RELEASED) : current;
  const changelog = await readFile('CHANGELOG.md', 'utf8');
  expect(findUnnamed(findBreakingChanges(base, current), changelog)).toEqual([]);
});

test.each<[string, (document: Json) => void, string[]]>([
  ['a path', ({ paths }) => delete paths['/feed'], ['getFeed is gone']],
  ['a method', ({ paths }) => delete paths['/webhooks/{id}'].patch, ['updateWebhook is gone']],
  [
    'a name',
    ({ paths }) => (paths['/feed'].get.operationId = 'showFeed'),
    ['getFeed is now called showFeed'],
  ],
  [
    'a parameter',
    ({ paths }) => paths['/exports'].get.parameters.splice(0, 1),
    ['listExports limit is gone'],
  ],
  [
    'a field of a request',
    (document) => delete fieldsOf(document, 'CreateExportRequest').csv_safe,
    ['createExport csv_safe is gone'],
  ],
  [
    'a value of a request',
    (document) => fieldsOf(document, 'CreateExportRequest').format.enum.shift(),
    ['createExport format no longer takes jsonl'],
  ],
  [
    'a new obligation',
    (document) => (document.components.schemas.CreateExportRequest.required = ['format']),
    ['createExport format is now required'],
  ],
  [
    'a lower limit',
    (document) => (fieldsOf(document, 'CreateExportRequest').fields.maxItems = 10),
    ['createExport fields has a lower maxItems'],
  ],
  [
    'a type',
    (document) => (fieldsOf(document, 'CreateAccountRequest').name.type = 'integer'),
    ['createAccount name has the types integer instead of string'],
  ],
  [
    'a field of a response',
    (document) => delete fieldsOf(document, 'FeedStatus').set_aside,
    ['getFeed set_aside is gone'],
  ],
  [
    'a promise of a response',
    (document) => document.components.schemas.FeedStatus.required.pop(),
    ['getFeed set_aside may now be absent'],
  ],
  [
    'null in a response',
    (document) => (fieldsOf(document, 'BulkFile').items.type = ['integer', 'null']),
    ['createBulkFile items has the types integer or null instead of integer'],
  ],
  ['a status', ({ paths }) => delete paths['/exports'].post.responses['200'], ['createExport 200 is gone']],
  [
    'a header',
    ({ paths }) => delete paths['/exports'].post.responses['202'].headers.Location,
    ['createExport Location is gone from 202'],
  ],
  [
    'a scope',
    ({ paths }) => paths['/feed'].get.security[0].key.push('bulk:read'),
    ['getFeed bulk:read is needed too'],
  ],
  ['an event', ({ webhooks }) => delete webhooks['invoice.created'], ['invoice.created is gone']],
  [
    'a field of an event',
    (document) => delete fieldsOf(document, 'ExportEvent').data,
    ['export.completed data is gone', 'export.failed data is gone', 'export.expiring data is gone'],
  ],
])('%s that goes or changes is found', (_, change, found) => {
  expect(changed(change)).toEqual(found);
});

test('what is only added breaks nothing', () => {
  const found = changed((document) => {
    document.paths['/new'] = document.paths['/feed'];
    document.paths['/exports'].get.parameters.push({ name: 'new', in: 'query', schema: { type: 'string' } });
    fieldsOf(document, 'CreateExportRequest').new = { type: 'string' };
    fieldsOf(document, 'CreateExportRequest').format.enum.push('avro');
    fieldsOf(document, 'Export').new = { type: 'string' };
    fieldsOf(document, 'Export').status.enum.push('new');
    document.components.schemas.Export.required.push('new');
  });
  expect(found).toEqual([]);
});

test('an entry of the changelog names the operation and the place', () => {
  const changes = [{ operation: 'createExport', place: 'csv_safe', what: 'is gone' }];
  const log = (entry: string) =>
    `# Changelog\n\n## Unreleased\n\n${entry}\n\n## 0.1.0\n\n- \`createExport\` \`csv_safe\`\n`;
  expect(findUnnamed(changes, log('- `createExport` no longer takes `csv_safe`.'))).toEqual([]);
  expect(findUnnamed(changes, log('- `createExport` is faster.\n- `csv_safe` is better.'))).toEqual(changes);
  expect(findUnnamed(changes, log('- Nothing.'))).toEqual(changes);
});
