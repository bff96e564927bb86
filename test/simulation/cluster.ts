import {
  createEndpointLeases,
  type EndpointLeases,
} from '../../services/dispatcher/deliver/endpoint-leases.ts';
import {
  createEndpointRunner,
  type EndpointRunner,
} from '../../services/dispatcher/deliver/endpoint-runner.ts';
import { createProgressSaver } from '../../services/dispatcher/deliver/progress-saver.ts';
import { createRequestLimiter, createStartTurns } from '../../services/dispatcher/deliver/request-starts.ts';
import type { Endpoint } from '../../services/dispatcher/endpoints/endpoint.ts';
import { HEALTHY } from '../../services/dispatcher/endpoints/endpoint-health.ts';
import { createLease, RENEW_LIMIT_MS } from '../../services/dispatcher/endpoints/lease.ts';
import { NO_HEADERS } from '../../services/dispatcher/send/kept-headers.ts';
import { createFairReads } from '../../services/dispatcher/store/fair-reads.ts';
import type { Position } from '../../shared/domain/position.ts';
import { silentLog } from '../../shared/runtime/log.ts';
import { secretToKey } from '../../shared/runtime/signing.ts';
import { sleep } from '../../shared/runtime/sleep.ts';
import { createEventLog } from './event-log.ts';
import { createLeaseTables, type LeasedEndpoint, type LeaseTables } from './lease-store.ts';
import type { VirtualTime } from './virtual-time.ts';

/** A statement on the control store, there and back. */
const STATEMENT_MS = { least: 1, most: 20 };

/** A notification on its way. */
const NOTIFICATION_MS = 5;

/** Until a save is tried again. */
const SAVE_RETRY_MS = 100;

/** A receiver's response. */
const RESPONSE_MS = { least: 5, most: 400 };

/** A deleted endpoint gets nothing any more after this, which is longer than its holder may be cut off. */
const NOTICED_MS = 30_000;

const MAX_IN_FLIGHT = 1_000;
const DELIVERY_TIMEOUT_MS = 15_000;
const KEYS = [{ key: secretToKey('whsec_a2V5'), expiresAtMs: Number.POSITIVE_INFINITY }];

/** One dispatcher process, with the code that production runs, over a model of the control store. */
export interface Member {
  readonly id: string;
  /** Endpoints for which it may start a request now. */
  readonly able: ReadonlyMap<string, EndpointRunner>;
  readonly isSending: boolean;
  readonly isStopping: boolean;
  readonly heldCount: number;
  /** As SIGTERM: resolves when it has given everything back. */
  stop(): Promise<void>;
  /** As SIGKILL, or a machine that is gone. */
  crash(): void;
  /** The control store cannot be reached for so long; statements under way are carried out or not, and get no response. */
  cutOff(ms: number): Promise<void>;
}

export interface Cluster {
  readonly tables: LeaseTables;
  readonly members: readonly Member[];
  /** Statements on the control store since the last reset, by name. */
  readonly statements: ReadonlyMap<string, number>;
  /** What a law of the cluster forbids, as sentences. */
  readonly faults: readonly string[];
  readonly sentCount: number;
  /** Requests that delivered an event again. */
  readonly repeatedCount: number;
  resetCounts(): void;
  join(): Member;
  addEndpoint(id: string, accountId: string): void;
  removeEndpoint(id: string): void;
  changeSettings(id: string): void;
  setActive(id: string, isActive: boolean): void;
  /** Its receiver takes so long to respond from now on. */
  slowDown(id: string, ms: number): void;
  /** An event of the account is recorded by one of the members, and told to the others. */
  record(accountId: string): void;
  /** Events that an active endpoint has not got yet. */
  undelivered(): number;
}

interface StoredEndpoint {
  readonly accountId: string;
  cursor: Position;
  done: readonly string[];
  readonly delivered: Set<bigint>;
}

export function createCluster(time: VirtualTime, random: () => number): Cluster {
  const tables = createLeaseTables(() => time.nowMs);
  const stored = new Map<string, StoredEndpoint>();
  const log = createEventLog();
  const statements = new Map<string, number>();
  const faults: string[] = [];
  const members: RunningMember[] = [];
  const goneUntilMs = new Map<string, number>();
  const responseMs = new Map<string, number>();
  let nextMember = 1;
  let sentCount = 0;
  let repeatedCount = 0;

  interface RunningMember extends Member {
    readonly leases: EndpointLeases;
    readonly isReached: boolean;
  }

  const between = ({ least, most }: { least: number; most: number }) => least + random() * (most - least);

  const tell = (what: (leases: EndpointLeases) => void, sender?: string) => {
    for (const member of members) {
      if (member.id === sender) continue;
      setTimeout(() => {
        if (member.isReached) what(member.leases);
      }, NOTIFICATION_MS);
    }
  };

  const leave = (member: RunningMember) => {
    if (members.includes(member)) members.splice(members.indexOf(member), 1);
  };

  const join = (): Member => {
    const id = `dispatcher-${nextMember++}`;
    const stopped = new AbortController();
    const able = new Map<string, EndpointRunner>();
    let isCrashed = false;
    let cutUntilMs = 0;
    const isCut = () => time.nowMs < cutUntilMs;
    const tellOthers = () => tell((each) => each.look(id), id);

    /** Carried out at one instant, or not; and the response comes, or not. */
    const statement = async <T>(name: string, work: () => T): Promise<T> => {
      statements.set(name, (statements.get(name) ?? 0) + 1);
      const each = between(STATEMENT_MS) / 2;
      const never = () => new Promise<never>(() => undefined);
      const lost = async () => {
        await sleep(RENEW_LIMIT_MS);
        throw new Error('the control store gave no response');
      };
      await sleep(each);
      if (isCrashed) return never();
      if (isCut()) return lost();
      const result = work();
      await sleep(each);
      if (isCrashed) return never();
      if (isCut()) return lost();
      return result;
    };

    const toEndpoint = (leased: LeasedEndpoint): Endpoint | undefined => {
      const endpoint = stored.get(leased.id);
      if (endpoint === undefined) return undefined;
      return {
        settings: {
          id: leased.id,
          accountId: endpoint.accountId,
          url: `https://shop.example/${leased.id}`,
          headers: {},
          selection: { patterns: ['*'], handOff: undefined },
          maxInFlight: 20,
          order: 'record',
          rateLimit: undefined,
          batching: undefined,
          isActive: leased.isActive,
          keys: KEYS,
          settingsVersion: leased.settingsVersion,
          cursorEpoch: 0,
          leaseEpoch: leased.leaseEpoch,
        },
        cursor: endpoint.cursor,
        done: endpoint.done,
        health: HEALTHY,
      };
    };
    const toEndpoints = (leased: readonly LeasedEndpoint[]) => leased.flatMap((row) => toEndpoint(row) ?? []);

    const lease = createLease({
      renew: (leaseMs) => statement('renew', () => tables.renew(id, leaseMs)),
      remove: () => statement('remove', () => tables.remove(id)),
      monotonicMs: () => time.nowMs,
      log: silentLog,
    });

    const send = async (endpointId: string, lsn: bigint) => {
      sentCount += 1;
      const owner = tables.ownerOf(endpointId);
      const isGone = time.nowMs <= (goneUntilMs.get(endpointId) ?? 0);
      if (owner !== id && !isGone) {
        faults.push(
          `at ${time.nowMs} ms ${id} began a request for ${endpointId}, which ${owner ?? 'nobody'} holds`,
        );
      }
      await sleep(responseMs.get(endpointId) ?? between(RESPONSE_MS));
      const delivered = stored.get(endpointId)?.delivered;
      if (delivered?.has(lsn) === true) repeatedCount += 1;
      delivered?.add(lsn);
    };

    const saver = createProgressSaver(async (batch) => {
      for (;;) {
        try {
          return await statement('save progress', () => {
            const held = batch.endpoints.filter(({ endpointId, leaseEpoch }) =>
              tables.isHeld(endpointId, id, leaseEpoch),
            );
            for (const { endpointId, cursor, done } of held) {
              const endpoint = stored.get(endpointId);
              if (endpoint !== undefined) Object.assign(endpoint, { cursor, done });
            }
            return new Set(held.map(({ endpointId }) => endpointId));
          });
        } catch {
          await sleep(SAVE_RETRY_MS);
        }
      }
    });
    const reads = createFairReads();
    const requests = createRequestLimiter(MAX_IN_FLIGHT);
    const turns = createStartTurns(MAX_IN_FLIGHT, DELIVERY_TIMEOUT_MS, () => 0);

    const createRunner = (endpoint: Endpoint): EndpointRunner => {
      const { id: endpointId, accountId } = endpoint.settings;
      const runner = createEndpointRunner(endpoint, {
        async send({ url, body }) {
          const startedMs = time.nowMs;
          const { n } = JSON.parse(body.toString()) as { n: string };
          await send(url.slice(url.lastIndexOf('/') + 1), BigInt(n));
          return {
            kind: 'answered',
            status: 200,
            retryAfter: undefined,
            excerpt: '',
            isCut: false,
            headers: NO_HEADERS,
            durationMs: time.nowMs - startedMs,
          };
        },
        readEvents: (account, after, limit) =>
          reads.runShared(account, `${after.commitLsn}`, () =>
            statement('read events', () => log.after(account, after, limit)),
          ),
        readRecordEvents: async () => ({ events: [], readTo: undefined }),
        readPayload: async () => undefined,
        saver,
        noteAttempt: () => undefined,
        maySend: (inFlight) => !isCrashed && leases.maySend() && requests.mayBegin(accountId, inFlight),
        turns,
        onSending: (change) => requests.note(accountId, change),
        findUrlProblem: () => undefined,
        singularOf: () => 'invoice',
        onLost: (lostId) => leases.forget(lostId),
        now: Date.now,
        random,
        retryDelaysMs: [],
        log: silentLog,
      });
      const { drain, abandon } = runner;
      const isUnable = () => {
        if (able.get(endpointId) === runner) able.delete(endpointId);
      };
      runner.drain = () => {
        isUnable();
        return drain();
      };
      runner.abandon = () => {
        isUnable();
        abandon();
      };
      able.set(endpointId, runner);
      return runner;
    };

    const leases: EndpointLeases = createEndpointLeases(
      lease,
      {
        fairShare: () => statement('fair share', () => tables.fairShare()),
        claim: async (limit) => toEndpoints(await statement('claim', () => tables.claim(id, limit))),
        changed: async () => toEndpoints(await statement('changed', () => tables.changed(id))),
        noteApplied: (versions) => statement('note applied', () => tables.noteApplied(versions)),
        heldIds: () => statement('held', () => tables.heldIds(id)),
        release: (ids) =>
          statement('release', () => {
            tables.release(id, ids);
            tellOthers();
          }),
        leave: () =>
          statement('leave', () => {
            tables.leave(id);
            tellOthers();
          }),
        retries: (ids) => statement('retries', () => new Map(ids.map((endpointId) => [endpointId, []]))),
      },
      createRunner,
      () => !isCut(),
      silentLog,
    );
    const running = leases.run(stopped.signal);

    const member: RunningMember = {
      id,
      leases,
      able,
      get isReached() {
        return !isCrashed && !isCut();
      },
      get isSending() {
        return !isCrashed && leases.maySend();
      },
      get isStopping() {
        return stopped.signal.aborted;
      },
      get heldCount() {
        return leases.heldCount();
      },
      async stop() {
        stopped.abort();
        await running;
        leave(member);
      },
      crash() {
        isCrashed = true;
        leave(member);
      },
      async cutOff(ms) {
        cutUntilMs = time.nowMs + ms;
        await sleep(ms + NOTIFICATION_MS);
        if (isCrashed) return;
        // Listening again: it looks at everything.
        leases.wake(undefined);
        leases.look();
      },
    };
    members.push(member);
    return member;
  };

  return {
    tables,
    members,
    statements,
    faults,
    get sentCount() {
      return sentCount;
    },
    get repeatedCount() {
      return repeatedCount;
    },
    resetCounts() {
      statements.clear();
    },
    join,
    addEndpoint(id, accountId) {
      const cursor = log.end();
      stored.set(id, { accountId, cursor, done: [], delivered: new Set() });
      tables.addEndpoint(id);
      tell((leases) => leases.look(id));
    },
    removeEndpoint(id) {
      tables.removeEndpoint(id);
      stored.delete(id);
      goneUntilMs.set(id, time.nowMs + NOTICED_MS);
      tell((leases) => leases.look(id));
    },
    changeSettings(id) {
      tables.changeSettings(id);
      tell((leases) => leases.look(id));
    },
    setActive(id, isActive) {
      tables.setActive(id, isActive);
      tell((leases) => leases.look(id));
    },
    slowDown(id, ms) {
      responseMs.set(id, ms);
    },
    record(accountId) {
      log.record(accountId);
      tell((leases) => leases.wake([accountId]));
    },
    undelivered() {
      let count = 0;
      for (const [id, { accountId, cursor }] of stored) {
        if (tables.isActive(id)) count += log.after(accountId, cursor, 1).length;
      }
      return count;
    },
  };
}
