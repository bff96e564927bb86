import { runMain } from '../../shared/runtime/run-service.ts';
import { buildApi } from './build.ts';
import { readApiConfig } from './config.ts';

await runMain('api', (context) => buildApi(readApiConfig(process.env), context));
