import { neutralDocument } from '../../../services/api/openapi-file.ts';
import { type OpenApiDocument, readDocument } from './document.ts';
import { pythonOf } from './python.ts';
import { typescriptOf } from './typescript.ts';

/** The generated files of the clients, by their paths, and their texts. */
export async function clientFiles(): Promise<ReadonlyMap<string, string>> {
  const model = readDocument((await neutralDocument('operator')) as unknown as OpenApiDocument);
  return new Map([
    ['schemas/clients/typescript/src/generated.ts', typescriptOf(model)],
    ['schemas/clients/python/src/tandem_client/_generated.py', pythonOf(model)],
  ]);
}
