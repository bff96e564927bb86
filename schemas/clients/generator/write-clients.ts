import { writeFile } from 'node:fs/promises';
import { clientFiles } from './client-files.ts';

for (const [path, text] of await clientFiles()) await writeFile(path, text);
