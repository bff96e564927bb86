import { lowerPriority } from '../../shared/runtime/lower-priority.ts';
import { runMain } from '../../shared/runtime/run-service.ts';
import { buildBulk } from './build.ts';
import { readBulkConfig } from './config.ts';

await runMain('bulk', (context) => {
  const config = readBulkConfig(process.env);
  lowerPriority(config.backgroundNice, context.log);
  return buildBulk(config, context);
});
