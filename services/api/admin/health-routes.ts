import type { Pool } from 'pg';
import { z } from 'zod';
import type { SlotWatch } from '../../../shared/catalog/slot-health.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { jsonResponse } from '../http/response.ts';
import { defineRoute, type Route } from '../http/route.ts';
import { readFeedStatus } from './feed-status.ts';

export interface HealthDeps {
  /** Connections that customers' requests never use. */
  readonly reservedPool: Pool;
  /**
   * Whether the loop of the outbox relay runs. A broker that is down does not stop it, and jobs are still
   * accepted.
   */
  readonly isRelayRunning: () => boolean;
  readonly slotWatch: Pick<SlotWatch, 'latest'>;
}

const statusSchema = z.strictObject({ status: z.string() }).meta({ id: 'Health' });
const readySchema = z
  .strictObject({
    status: z.string(),
    checks: z.record(z.string(), z.boolean()),
    warnings: z
      .array(z.string())
      .meta({ description: 'Conditions that need an operator. Requests are still served.' }),
  })
  .meta({ id: 'Readiness' });

const EXAMPLE_READY: z.input<typeof readySchema> = {
  status: 'ok',
  checks: { control_store: true, outbox_relay: true },
  warnings: [],
};

/** The checks of a process's dependencies, named as in `/readyz`. */
export async function readChecks({
  reservedPool,
  isRelayRunning,
}: Pick<HealthDeps, 'reservedPool' | 'isRelayRunning'>): Promise<
  Record<'control_store' | 'outbox_relay', boolean>
> {
  return { control_store: await isStoreUp(reservedPool), outbox_relay: isRelayRunning() };
}

export function healthRoutes({ slotWatch, ...deps }: HealthDeps): Route[] {
  const open = { method: 'GET', access: 'public', account: 'none' } as const;
  let probing: Promise<ProbeFacts> | undefined;
  // Anybody may call this, so one probe at a time serves all callers: its connections also serve the lookup of keys.
  const probe = () => {
    probing ??= readFacts(deps).finally(() => {
      probing = undefined;
    });
    return probing;
  };
  return [
    defineRoute({
      ...open,
      path: '/healthz',
      operationId: 'getHealth',
      tag: 'operator',
      summary: 'Liveness probe',
      description: 'Responds for as long as the process lives. Restart it when it does not.',
      responses: {
        200: { description: 'The process is up.', schema: statusSchema, example: { status: 'ok' } },
      },
      handle: async () => jsonResponse(200, { status: 'ok' }),
    }),
    defineRoute({
      ...open,
      path: '/readyz',
      operationId: 'getReadiness',
      tag: 'operator',
      summary: 'Readiness probe',
      description: 'Whether the process serves requests now. Send it none while it does not.',
      responses: {
        200: { description: 'The process serves requests.', schema: readySchema, example: EXAMPLE_READY },
        503: {
          description: 'The process cannot serve requests. checks shows the reason.',
          schema: readySchema,
        },
      },
      async handle() {
        const { checks, feedWarnings } = await probe();
        const isReady = Object.values(checks).every(Boolean);
        const slot = slotWatch.latest()?.state ?? 'ok';
        const warnings = [...(slot === 'ok' ? [] : [`slot_${slot}`]), ...feedWarnings];
        return jsonResponse(isReady ? 200 : 503, {
          status: isReady ? 'ok' : 'unavailable',
          checks,
          warnings,
        });
      },
    }),
  ];
}

interface ProbeFacts {
  readonly checks: Awaited<ReturnType<typeof readChecks>>;
  readonly feedWarnings: readonly string[];
}

async function readFacts(deps: Omit<HealthDeps, 'slotWatch'>): Promise<ProbeFacts> {
  const checks = await readChecks(deps);
  return { checks, feedWarnings: checks.control_store ? await readFeedWarnings(deps.reservedPool) : [] };
}

/** A warning must not fail the probe. */
async function readFeedWarnings(pool: Pool): Promise<string[]> {
  try {
    const { setAside, stall } = await readFeedStatus(pool);
    const asides = setAside.map(({ resource }) => `set_aside:${resource}`);
    return stall === undefined ? asides : ['feed_stalled', ...asides];
  } catch {
    return [];
  }
}

/** A control store that takes longer counts as down. */
const PROBE_TIMEOUT_MS = 2_000;

export async function isStoreUp(db: Queryable): Promise<boolean> {
  const timeout = Promise.withResolvers<false>();
  const timer = setTimeout(() => timeout.resolve(false), PROBE_TIMEOUT_MS);
  const asked = db.query('select 1').then(
    () => true,
    () => false,
  );
  const isUp = await Promise.race([asked, timeout.promise]);
  clearTimeout(timer);
  return isUp;
}
