import { writeFile } from 'node:fs/promises';
import { openApiFile } from './openapi-file.ts';

// With --release, later changes are compared with the document as it is now.
const names = process.argv.includes('--release') ? ['openapi', 'openapi.released'] : ['openapi'];
for (const name of names) await writeFile(`schemas/${name}.yaml`, await openApiFile());
