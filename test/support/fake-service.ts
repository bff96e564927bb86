/**
 * A service for tests of the supervisor: ready at once, ends when it is told to. `FAKE_MODE` changes that:
 * `setup-error` ends it at its start as wrong settings would, `never-ready` keeps its `/readyz` at 503.
 */
import { basename } from 'node:path';
import { openHealthServer } from '../../shared/runtime/health.ts';
import { createMetrics } from '../../shared/runtime/metrics.ts';

const name = basename(process.argv[1] ?? '');
if (process.env.FAKE_MODE === 'setup-error') {
  process.stderr.write(`{"event":"service.starting"}\ntandem ${name}: DATABASE_URL is not set\n`);
  process.exit(2);
}
if (process.env.FAKE_MODE === 'never-ready') process.stderr.write('still waiting for the database\n');
const port = Number(process.env.PORT ?? process.env.HEALTH_PORT);
const health = { live: true, ready: process.env.FAKE_MODE !== 'never-ready', metrics: createMetrics() };
const server = await openHealthServer(health, port, process.env.HOST ?? '127.0.0.1');
process.once('SIGTERM', async () => {
  await server.close();
  process.exit(0);
});
