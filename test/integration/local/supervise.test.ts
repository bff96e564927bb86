import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { identifyProcess } from '../../../deploy/local/run-processes.ts';
import { startServices } from '../../../deploy/local/supervise.ts';
import { SetupError } from '../../../shared/runtime/errors.ts';
import { silentLog } from '../../../shared/runtime/log.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';
import { waitFor } from '../../support/wait-for.ts';

const FAKE = fileURLToPath(new URL('../../support/fake-service.ts', import.meta.url));

function start(
  services: Parameters<typeof startServices>[0]['services'],
  env: Record<string, string> = {},
  home = temporaryDirectory(),
) {
  return startServices({
    home,
    env: { PATH: process.env.PATH, ...env },
    services,
    log: silentLog,
    mainOf: () => FAKE,
  });
}

test('services run as often as asked, each at an address of its own, and end with the supervisor', async () => {
  const services = await start({ api: 1, extractor: 2 });
  await services.untilReady();
  const pids = [...services.pids('api'), ...services.pids('extractor')].map(Number);
  expect(new Set(pids).size).toBe(3);
  const urls = [services.url('api'), services.url('extractor', 0), services.url('extractor', 1)];
  expect(new Set(urls).size).toBe(3);
  for (const url of urls) expect((await fetch(`${url}/healthz`)).status).toBe(200);
  await services.stop();
  expect(pids.map(identifyProcess)).toEqual([null, null, null]);
});

test('services that listen on every address are reached by the loopback one, IPv6 or not', async () => {
  for (const HOST of ['0.0.0.0', '::', '::1']) {
    await using services = await start({ api: 1 }, { HOST });
    await services.untilReady();
    expect(services.apiUrl).toMatch(HOST === '::1' ? /^http:\/\/\[::1]:\d+$/ : /^http:\/\/127\.0\.0\.1:\d+$/);
  }
});

test('a killed service is started again at the same address', async () => {
  await using services = await start({ capture: 1 });
  await services.untilReady();
  const [before] = services.pids('capture');
  services.kill('capture', 0, 'SIGKILL');
  const after = await waitFor('another process', () =>
    services.pids('capture').find((pid) => pid !== before),
  );
  expect(after).not.toBe(before);
  await services.untilReady();
});

test('wrong settings end the start with what the service said, and are not tried again', async () => {
  await using services = await start({ writer: 1 }, { FAKE_MODE: 'setup-error' });
  const ready = services.untilReady();
  await expect(ready).rejects.toThrow(SetupError);
  await expect(ready).rejects.toThrow(/^tandem fake-service.ts: DATABASE_URL is not set$/);
  expect(services.pids('writer')).toEqual([undefined]);
});

test('a service that does not become ready in time is named with its log', async () => {
  const home = temporaryDirectory();
  await using services = await start({ dispatcher: 1 }, { FAKE_MODE: 'never-ready' }, home);
  const log = join(home, 'logs', 'dispatcher-0.log');
  await waitFor('it to say why', () => readFileSync(log, 'utf8').includes('still waiting'));
  const ready = services.untilReady({ limitMs: 500 });
  await expect(ready).rejects.toThrow(/dispatcher is not ready .*dispatcher-0\.log:\n.*still waiting/);
});

test('a start that is given up ends the wait with the reason', async () => {
  await using services = await start({ dispatcher: 1 }, { FAKE_MODE: 'never-ready' });
  const reason = new Error('enough');
  await expect(services.untilReady({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
});
