import { runMain } from '../../shared/runtime/run-service.ts';
import { buildBulk } from './build.ts';
import { readBulkConfig } from './config.ts';

await runMain('bulk', (context) => buildBulk(readBulkConfig(process.env), context));
