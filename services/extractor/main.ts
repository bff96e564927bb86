import { lowerPriority } from '../../shared/runtime/lower-priority.ts';
import { runMain } from '../../shared/runtime/run-service.ts';
import { buildExtractor } from './build.ts';
import { readExtractorConfig } from './config.ts';

await runMain('extractor', (context) => {
  const config = readExtractorConfig(process.env);
  lowerPriority(config.backgroundNice, context.log);
  return buildExtractor(config, context);
});
