import { writeFile } from 'node:fs/promises';
import { openApiFile } from './openapi-file.ts';

await writeFile('schemas/openapi.yaml', await openApiFile());
