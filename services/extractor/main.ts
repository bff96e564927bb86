import { runMain } from '../../shared/runtime/run-service.ts';
import { buildExtractor } from './build.ts';
import { readExtractorConfig } from './config.ts';

await runMain('extractor', (context) => buildExtractor(readExtractorConfig(process.env), context));
