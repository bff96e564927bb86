import { lowerPriority } from '../../shared/runtime/lower-priority.ts';
import { runMain } from '../../shared/runtime/run-service.ts';
import { buildWriter } from './build.ts';
import { readWriterConfig } from './config.ts';

await runMain('writer', (context) => {
  const config = readWriterConfig(process.env);
  lowerPriority(config.backgroundNice, context.log);
  return buildWriter(config, context);
});
