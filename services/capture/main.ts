import { runMain } from '../../shared/runtime/run-service.ts';
import { buildCapture } from './build.ts';
import { readCaptureConfig } from './config.ts';

await runMain('capture', (context) => buildCapture(readCaptureConfig(process.env), context));
