import type { EndpointRow } from '../../shared/control/webhooks/lease-endpoints.ts';

/**
 * What the statements of `shared/control/webhooks/lease-endpoints.ts` do, without PostgreSQL: the tables `dispatchers` and the
 * columns of `webhooks` that leases are made of. `test/integration/control/lease-endpoints.pg.test.ts` holds that both do the same.
 */
export interface LeaseTables {
  addEndpoint(id: string): void;
  removeEndpoint(id: string): void;
  /** As a change by its owner does. */
  changeSettings(id: string): void;
  setActive(id: string, isActive: boolean): void;
  renew(dispatcherId: string, leaseMs: number): void;
  /** It takes no more endpoints. */
  leave(dispatcherId: string): void;
  remove(dispatcherId: string): void;
  fairShare(): number;
  /** Any `limit` of those that nobody alive holds; with `wanted` those of them. */
  claim(dispatcherId: string, limit: number, wanted?: ReadonlySet<string>): readonly LeasedEndpoint[];
  changed(dispatcherId: string): readonly LeasedEndpoint[];
  noteApplied(versions: ReadonlyMap<string, number>): void;
  heldIds(dispatcherId: string): Set<string>;
  release(dispatcherId: string, ids: readonly string[]): void;
  /** Endpoints that nobody alive holds, of those that are active. */
  freeCount(): number;
  ownerOf(id: string): string | null;
  /** Whether it may save progress by this claim. */
  isHeld(id: string, dispatcherId: string, leaseEpoch: number): boolean;
  isActive(id: string): boolean;
  ids(): Iterable<string>;
}

export interface LeasedEndpoint {
  readonly id: EndpointRow['id'];
  readonly isActive: boolean;
  readonly settingsVersion: number;
  readonly leaseEpoch: number;
}

interface Row {
  readonly id: string;
  isActive: boolean;
  owner: string | null;
  settingsVersion: number;
  appliedVersion: number;
  leaseEpoch: number;
}

export function createLeaseTables(nowMs: () => number): LeaseTables {
  const rows = new Map<string, Row>();
  const expiresAtMs = new Map<string, number>();
  const leaving = new Set<string>();
  const isAlive = (owner: string | null) => owner !== null && (expiresAtMs.get(owner) ?? 0) > nowMs();
  const isFree = ({ isActive, owner }: Row) => isActive && !isAlive(owner);
  const shown = ({ id, isActive, settingsVersion, leaseEpoch }: Row): LeasedEndpoint => ({
    id,
    isActive,
    settingsVersion,
    leaseEpoch,
  });
  const active = () => [...rows.values()].filter(({ isActive }) => isActive);
  return {
    addEndpoint(id) {
      rows.set(id, { id, isActive: true, owner: null, settingsVersion: 1, appliedVersion: 0, leaseEpoch: 0 });
    },
    removeEndpoint(id) {
      rows.delete(id);
    },
    changeSettings(id) {
      const row = rows.get(id);
      if (row !== undefined) row.settingsVersion += 1;
    },
    setActive(id, isActive) {
      const row = rows.get(id);
      if (row === undefined || row.isActive === isActive) return;
      row.isActive = isActive;
      row.settingsVersion += 1;
    },
    renew(dispatcherId, leaseMs) {
      expiresAtMs.set(dispatcherId, nowMs() + leaseMs);
    },
    leave(dispatcherId) {
      if (expiresAtMs.has(dispatcherId)) leaving.add(dispatcherId);
    },
    remove(dispatcherId) {
      expiresAtMs.delete(dispatcherId);
      leaving.delete(dispatcherId);
    },
    fairShare() {
      const staying = [...expiresAtMs.keys()].filter((id) => isAlive(id) && !leaving.has(id)).length;
      return Math.ceil(active().length / Math.max(1, staying));
    },
    claim(dispatcherId, limit, wanted) {
      const claimed: LeasedEndpoint[] = [];
      for (const row of rows.values()) {
        if (claimed.length === limit) break;
        if (!isFree(row) || wanted?.has(row.id) === false) continue;
        row.owner = dispatcherId;
        row.appliedVersion = row.settingsVersion;
        row.leaseEpoch += 1;
        claimed.push(shown(row));
      }
      return claimed;
    },
    changed: (dispatcherId) =>
      [...rows.values()]
        .filter((row) => row.owner === dispatcherId && row.settingsVersion !== row.appliedVersion)
        .map(shown),
    noteApplied(versions) {
      for (const [id, version] of versions) {
        const row = rows.get(id);
        if (row !== undefined) row.appliedVersion = Math.max(row.appliedVersion, version);
      }
    },
    heldIds: (dispatcherId) =>
      new Set([...rows.values()].filter(({ owner }) => owner === dispatcherId).map(({ id }) => id)),
    release(dispatcherId, ids) {
      for (const id of ids) {
        const row = rows.get(id);
        if (row?.owner === dispatcherId) row.owner = null;
      }
    },
    freeCount: () => [...rows.values()].filter(isFree).length,
    ownerOf: (id) => rows.get(id)?.owner ?? null,
    isHeld: (id, dispatcherId, leaseEpoch) => {
      const row = rows.get(id);
      return row?.owner === dispatcherId && row.leaseEpoch === leaseEpoch;
    },
    isActive: (id) => rows.get(id)?.isActive ?? false,
    ids: () => rows.keys(),
  };
}
