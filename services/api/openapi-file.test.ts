import { readFile } from 'node:fs/promises';
import { lint, loadConfig } from '@redocly/openapi-core';
import { expect, test } from 'vitest';
import type { oas31 } from 'zod-openapi';
import type { OpenApiDocument } from './docs/openapi.ts';
import { neutralDocument, openApiFile } from './openapi-file.ts';

type OperationObject = oas31.OperationObject;
type ResponseObject = oas31.ResponseObject;

test('schemas/openapi.yaml is what the code describes: run npm run openapi after a change', async () => {
  expect(await readFile('schemas/openapi.yaml', 'utf8')).toBe(await openApiFile());
});

test('Redocly has nothing to say against the document', async () => {
  const config = await loadConfig({ configPath: 'schemas/redocly.yaml' });
  const problems = await lint({ ref: 'schemas/openapi.yaml', config });
  expect(problems.map(({ ruleId, message }) => `${ruleId}: ${message}`)).toEqual([]);
});

const CATALOGS = ['documint', 'cronping', 'flagbit', 'webhookvault'];

test.each(CATALOGS)(
  'with %s no component refers to itself alone, and every reference leads somewhere',
  async (name) => {
    const document = await neutralDocument('operator', `schemas/catalogs/${name}.yaml`);
    const components = document.components ?? {};
    for (const [name, schema] of Object.entries(components.schemas ?? {})) {
      expect(schema, name).not.toHaveProperty('$ref');
    }
    const references = [...JSON.stringify(document).matchAll(/"\$ref":"#\/components\/([^"/]+)\/([^"]+)"/g)];
    expect(references.length).toBeGreaterThan(100);
    for (const [, kind = '', name = ''] of references) {
      expect(components[kind as keyof typeof components], `${kind} ${name}`).toHaveProperty([name]);
    }
  },
);

test('every operation has a name of its own, texts, described parameters, and an example of what it returns', async () => {
  const faults: string[] = [];
  const names = new Set<string>();
  for (const { at, operation } of operationsOf(await neutralDocument())) {
    const { operationId = '', summary = '', description = '', tags = [], responses = {} } = operation;
    if (!/^[a-z]+[A-Z]\w*$/.test(operationId) || names.has(operationId)) faults.push(`${at}: operationId`);
    names.add(operationId);
    if (summary === '' || description === '') faults.push(`${at}: texts`);
    if (tags.length !== 1) faults.push(`${at}: tags`);
    if (!Object.keys(responses).some((status) => /^[23]/.test(status))) faults.push(`${at}: responses`);
    for (const parameter of operation.parameters ?? []) {
      if ('name' in parameter && (parameter.description ?? '') === '')
        faults.push(`${at}: ${parameter.name}`);
    }
    const succeeded = Object.entries(responses as Record<string, ResponseObject>).filter(([status]) =>
      status.startsWith('2'),
    );
    const json = succeeded.flatMap(([, response]) => response.content?.['application/json'] ?? []);
    const isFile = operationId.endsWith('OpenApi') || operationId === 'downloadExportFile';
    if (json.length > 0 && !isFile && !json.some(({ example }) => example !== undefined)) {
      faults.push(`${at}: example`);
    }
  }
  expect(faults).toEqual([]);
});

test('requests are strict, and responses may get new fields', async () => {
  const { components = {} } = await neutralDocument();
  for (const [name, schema] of Object.entries(components.schemas ?? {})) {
    const text = JSON.stringify(schema);
    if (name.endsWith('Request')) expect(schema, name).toHaveProperty('additionalProperties', false);
    else expect(text, name).not.toContain('"additionalProperties":false');
  }
});

function operationsOf({ paths = {} }: OpenApiDocument) {
  return Object.entries(paths).flatMap(([path, item]) =>
    Object.entries(item as Record<string, OperationObject>).map(([method, operation]) => ({
      at: `${method.toUpperCase()} ${path}`,
      operation,
    })),
  );
}
