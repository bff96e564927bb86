import { lookup } from 'node:dns/promises';
import { existsSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { showBytes } from '../../../shared/catalog/slot-health.ts';
import { type Area, type Found, failure, ok, warning } from './area.ts';

export interface MachineToExamine {
  readonly scratchDirectory: string;
  /** A `file:` URL of the storage; undefined for a bucket. */
  readonly storageDirectory: string | undefined;
  readonly publicUrl: string | undefined;
}

const LITTLE_SPACE_BYTES = 2 * 1_024 ** 3;
const FULL_BYTES = 100 * 1_024 ** 2;

/** What is only true of the machine that this runs on: run it where the services run. */
export async function examineMachine(area: Area, machine: MachineToExamine): Promise<void> {
  await examineDisk(area, 'scratch disk', machine.scratchDirectory, 'WRITER_SCRATCH_DIR');
  if (machine.storageDirectory !== undefined) {
    await examineDisk(area, 'storage disk', fileURLToPath(machine.storageDirectory), 'STORAGE_URL');
  }
  await examinePublicUrl(area, machine.publicUrl);
}

async function examineDisk(area: Area, what: string, directory: string, setting: string): Promise<void> {
  await area.attempt(
    what,
    `correct ${setting}, or make the directory readable`,
    async () => {
      let existing = directory;
      while (!existsSync(existing) && dirname(existing) !== existing) existing = dirname(existing);
      const { bavail, bsize } = await statfs(existing);
      return bavail * bsize;
    },
    (free): Found => {
      const detail = `${showBytes(free)} are free in ${directory}`;
      if (free < FULL_BYTES) return failure(detail, `make room, or set ${setting} to another disk`);
      if (free < LITTLE_SPACE_BYTES) return warning(detail, `make room, or set ${setting} to another disk`);
      return ok(detail);
    },
  );
}

async function examinePublicUrl(area: Area, publicUrl: string | undefined): Promise<void> {
  if (publicUrl === undefined) {
    area.add(
      'public URL',
      warning(
        'PUBLIC_URL is not set: links lead to HOST and PORT',
        'set it to where customers reach the API',
      ),
    );
    return;
  }
  const { hostname } = new URL(publicUrl);
  const address = await area.attempt(
    'DNS of the public URL',
    'add a DNS record for this name, or correct PUBLIC_URL',
    () => lookup(hostname.replace(/^\[(.*)\]$/, '$1')),
    (found) => ok(`${hostname} is ${found.address}`),
  );
  if (address === undefined) return;
  await area.attempt(
    'public URL',
    'start the API, or lead the load balancer to it; some networks do not reach their own public address',
    async () => {
      const response = await fetch(`${publicUrl}/healthz`, { signal: AbortSignal.timeout(area.limitMs) });
      await response.body?.cancel();
      return response.status;
    },
    (status): Found =>
      status === 200
        ? ok(`${publicUrl} is the API`)
        : failure(
            `${publicUrl}/healthz returned status ${status}`,
            'lead the load balancer to the API, without another path',
          ),
  );
}
