import { runMain } from '../../shared/runtime/run-service.ts';
import { buildDispatcher } from './build.ts';
import { readDispatcherConfig } from './config.ts';

await runMain('dispatcher', (context) => buildDispatcher(readDispatcherConfig(process.env), context));
