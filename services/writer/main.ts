import { runMain } from '../../shared/runtime/run-service.ts';
import { buildWriter } from './build.ts';
import { readWriterConfig } from './config.ts';

await runMain('writer', (context) => buildWriter(readWriterConfig(process.env), context));
