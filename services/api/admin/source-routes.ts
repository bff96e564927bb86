import type { Pool } from 'pg';
import { z } from 'zod';
import type { OpenTransaction } from '../../../shared/catalog/open-transactions.ts';
import type { SlotThresholds, SlotWatch } from '../../../shared/catalog/slot-health.ts';
import { EXAMPLE } from '../http/example-values.ts';
import { jsonResponse } from '../http/response.ts';
import { defineRoute, type Route } from '../http/route.ts';
import { findFeedAge, readFeedStatus } from './feed-status.ts';

export interface SourceDeps {
  readonly pool: Pool;
  readonly slotWatch: Pick<SlotWatch, 'latest'>;
  readonly slotName: string;
  readonly slotThresholds: SlotThresholds;
  /** Undefined when the source does not respond. */
  readonly openTransactions: () => Promise<readonly OpenTransaction[] | undefined>;
}

const bytes = z.number().min(0).nullable();

export const sourceSchema = z
  .strictObject({
    slot: z.string(),
    state: z.enum(['ok', 'warn', 'refuse', 'unknown']).meta({
      description: 'refuse: new exports and bulk jobs get status 503. unknown: the source does not respond.',
    }),
    reasons: z.array(z.string()),
    exists: z.boolean().nullable(),
    active: z.boolean().nullable(),
    wal_status: z.string().nullable(),
    lag_bytes: bytes.meta({ description: 'WAL that the feed has not processed.' }),
    retained_bytes: bytes.meta({ description: 'WAL that the source retains on disk for the slot.' }),
    safe_wal_bytes: z.number().nullable().meta({
      description:
        'WAL that can be written before the slot may lose its WAL. Null without max_slot_wal_keep_size.',
    }),
    warn_bytes: z.int().min(0).meta({
      description: 'Retained WAL from which on the state is warn (`SLOT_WARN_BYTES`). 0: off.',
    }),
    refuse_bytes: z.int().min(0).meta({
      description: 'Retained WAL from which on new jobs are refused (`SLOT_REFUSE_BYTES`). 0: off.',
    }),
    feed_age_seconds: z
      .number()
      .nullable()
      .meta({ description: 'Time since the feed last moved. At most about 10 on an idle feed.' }),
    stalled: z
      .strictObject({ reason: z.string(), detail: z.string(), since: z.string() })
      .nullable()
      .meta({ description: 'Reason of a feed stall and what to check. Null while the feed moves.' }),
    set_aside: z
      .array(
        z.strictObject({ resource: z.string(), reason: z.string(), detail: z.string(), since: z.string() }),
      )
      .meta({
        description:
          'Resources whose changes are skipped, with the reason and the remedy. A resource resumes without a restart, with a feed.reset.',
      }),
    open_transactions: z
      .array(
        z.strictObject({
          pid: z.number().nullable().meta({ description: 'Null for a prepared transaction.' }),
          age_seconds: z.number(),
          application: z.string(),
          state: z.string(),
        }),
      )
      .nullable()
      .meta({
        description:
          'Transactions open for a second or longer, oldest first. The first export of an account waits for them. Those of other roles need pg_monitor. Null without a response from the source.',
      }),
    seen_at: z.string().nullable(),
  })
  .meta({ id: 'Source' });

export type SourceStatus = z.input<typeof sourceSchema>;

export const EXAMPLE_SOURCE: SourceStatus = {
  slot: 'tandem',
  state: 'ok',
  reasons: [],
  exists: true,
  active: true,
  wal_status: 'reserved',
  lag_bytes: 1_024,
  retained_bytes: 16_777_216,
  safe_wal_bytes: null,
  warn_bytes: 1_073_741_824,
  refuse_bytes: 8_589_934_592,
  feed_age_seconds: 1.5,
  stalled: null,
  set_aside: [],
  open_transactions: [],
  seen_at: EXAMPLE.at,
};

/** Minimum age of listed transactions. Younger ones are normal, and nothing waits long for them. */
const OLD_SECONDS = 1;

/** The state of the source for the operator. */
export function sourceRoutes(deps: SourceDeps): Route[] {
  return [
    defineRoute({
      method: 'GET',
      path: '/admin/source',
      operationId: 'getSource',
      tag: 'operator',
      summary: 'Show the lag of the feed and the WAL that the source retains for it',
      description:
        'Whether the replication slot is healthy, what the feed skips and why, and which transactions hold up new exports.',
      access: 'operator',
      account: 'none',
      responses: {
        200: {
          description: 'Status of the replication slot and of the feed.',
          schema: sourceSchema,
          example: EXAMPLE_SOURCE,
        },
      },
      handle: async () => jsonResponse(200, await readSource(deps)),
    }),
  ];
}

/** The present state of the source and the feed. */
export async function readSource({
  pool,
  slotWatch,
  slotName,
  slotThresholds,
  openTransactions,
}: SourceDeps): Promise<SourceStatus> {
  const reading = slotWatch.latest();
  const slot = reading?.slot;
  const [{ setAside, stall }, feedAge, open] = await Promise.all([
    readFeedStatus(pool),
    findFeedAge(pool),
    openTransactions(),
  ]);
  return {
    slot: slotName,
    state: reading?.state ?? 'unknown',
    reasons: [...(reading?.reasons ?? [])],
    exists: reading === undefined ? null : slot !== undefined,
    active: slot?.isActive ?? null,
    wal_status: slot?.walStatus ?? null,
    lag_bytes: slot?.lagBytes ?? null,
    retained_bytes: slot?.retainedBytes ?? null,
    safe_wal_bytes: slot?.safeWalBytes ?? null,
    warn_bytes: slotThresholds.warnBytes,
    refuse_bytes: slotThresholds.refuseBytes,
    feed_age_seconds: feedAge ?? null,
    stalled: stall === undefined ? null : { ...stall, since: stall.since.toISOString() },
    set_aside: setAside.map(({ resource, reason, detail, since_at: since }) => ({
      resource,
      reason,
      detail,
      since: since.toISOString(),
    })),
    open_transactions:
      open
        ?.filter(({ ageSeconds }) => ageSeconds >= OLD_SECONDS)
        .map(({ pid, ageSeconds, application, state }) => ({
          pid,
          age_seconds: ageSeconds,
          application,
          state,
        })) ?? null,
    seen_at: reading === undefined ? null : new Date(reading.seenAtMs).toISOString(),
  };
}
