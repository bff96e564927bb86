import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseCatalog } from '../../../shared/catalog/load-catalog.ts';
import type { FileFact, TableFacts } from '../../../shared/catalog/table-facts.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { silentLog } from '../../../shared/runtime/log.ts';
import { tableFacts } from '../../../test/support/table-facts.ts';
import { type AnnouncedReset, identityBehind, isAnnounced, readResets } from './reset-message.ts';
import { createTableWatch, type TableWatch } from './watch-tables.ts';

const CATALOG = parseCatalog(
  'catalog: c\nresources:\n  items: { table: app.items, event: item, key: [id], account: account_id }\n',
  'catalog.yaml',
);

const COLUMNS = ['id', 'account_id'];

/** What the stream has, in its order. */
type WalItem =
  | { readonly kind: 'rows'; readonly oid: number; readonly xid: bigint }
  | { readonly kind: 'reset'; readonly reset: AnnouncedReset }
  /** A partition with rows is gone. The stream does not say so: it marks where a reset is owed. */
  | { readonly kind: 'loss'; readonly oid: number };

/** A partitioned table, its WAL, and a capture that reads it and may be killed. */
function createModel() {
  let nextXid = 100;
  let nextOid = 50;
  const partitions = new Map<number, { file: FileFact; hasRows: boolean }>();
  const wal: WalItem[] = [];
  /** What the last publication has made durable. */
  const durable = { place: 0, identities: new Map<string, string>() };
  let place = 0;
  let identities = new Map<string, string>();
  let watch: TableWatch;

  const facts = (): TableFacts =>
    tableFacts({
      kind: 'p',
      snapshot: `${nextXid}:${nextXid}:`,
      files: [...partitions.values()].map(({ file }) => file),
    });

  const emit = (content: string) => {
    nextXid += 1;
    for (const reset of readResets(content)) wal.push({ kind: 'reset', reset });
  };

  /** Answers as PostgreSQL does: each query is a moment of its own. */
  const query = async (text: unknown, values?: unknown[]) => {
    const sql = String(text);
    const altered = /alter table only app\.t(\d+) replica identity full/.exec(sql);
    if (altered !== null) {
      const partition = partitions.get(Number(altered[1]));
      if (partition === undefined) throw new Error('does not exist');
      partition.file = { ...partition.file, identity: 'f', identityColumns: COLUMNS };
      const content = /pg_logical_emit_message\(true, '[^']*', E?'((?:[^']|'')*)'\)/.exec(sql)?.[1];
      if (content !== undefined && partition.hasRows)
        emit(content.replaceAll("''", "'").replaceAll('\\\\', '\\'));
      return { rows: [] };
    }
    if (sql.includes('pg_logical_emit_message')) {
      emit(String(values?.[1]));
      return { rows: [] };
    }
    return { rows: [{ facts: JSON.stringify({ items: facts() }) }] };
  };

  const start = () => {
    place = durable.place;
    identities = new Map(durable.identities);
    watch = createTableWatch({
      db: { query } as unknown as Queryable,
      catalog: CATALOG,
      publicationName: 'p',
      known: () => identities,
      adopt: (resource, identity) => identities.set(resource, identity),
      log: silentLog,
    });
    return watch.check();
  };

  const publish = async () => {
    await watch.settle();
    durable.place = place;
    durable.identities = new Map(identities);
  };

  return {
    wal,
    start,
    publish,
    check: () => watch.check(),
    create(hasRows: boolean) {
      const oid = nextOid;
      nextOid += 1;
      const file: FileFact = {
        oid,
        name: `app.t${oid}`,
        file: oid,
        persistence: 'p',
        kind: 'r',
        identity: 'd',
        identityColumns: ['id'],
        links: [{ xid: nextXid, isCreation: true }],
      };
      nextXid += 1;
      partitions.set(oid, { file, hasRows: false });
      if (hasRows) this.insert();
    },
    /** Into the newest partition. */
    insert() {
      const last = [...partitions].at(-1);
      if (last === undefined) return;
      last[1].hasRows = true;
      wal.push({ kind: 'rows', oid: last[0], xid: BigInt(nextXid) });
      nextXid += 1;
    },
    /** The newest partition. */
    drop() {
      const last = [...partitions].at(-1);
      if (last === undefined) return;
      partitions.delete(last[0]);
      nextXid += 1;
      if (last[1].hasRows) wal.push({ kind: 'loss', oid: last[0] });
    },
    /** Reads the next of the WAL, as `runCaptureLoop` does. @returns whether there was one */
    read(): boolean {
      const item = wal[place];
      if (item === undefined) return false;
      place += 1;
      if (item.kind === 'rows') watch.recordLeaf({ resource: 'items', oid: item.oid, xid: item.xid });
      if (item.kind === 'reset') {
        const known = identities.get('items');
        if (!isAnnounced(item.reset, known)) watch.forgetColumns('items');
        identities.set('items', identityBehind(item.reset, known));
      }
      return true;
    },
  };
}

const STEPS = [
  'create',
  'create filled',
  'insert',
  'drop',
  'check',
  'read',
  'read',
  'publish',
  'kill',
] as const;

test('a partition that goes with rows is followed by a reset, whatever is late, and whenever capture is killed', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.constantFrom(...STEPS), { maxLength: 40 }), async (steps) => {
      const model = createModel();
      await model.start();
      // A check goes on beside the stream, as it does in a process.
      let checking: Promise<void> = Promise.resolve();
      for (const step of steps) {
        if (step === 'create' || step === 'create filled') model.create(step === 'create filled');
        else if (step === 'insert') model.insert();
        else if (step === 'drop') model.drop();
        else if (step === 'read') model.read();
        else if (step === 'check') checking = model.check();
        else if (step === 'publish') await model.publish();
        else await checking.then(() => model.start());
        await Promise.resolve();
      }
      await checking;
      do {
        while (model.read()) await model.publish();
        await model.check();
      } while (model.read());
      const lastLoss = model.wal.findLastIndex(({ kind }) => kind === 'loss');
      // Of whatever reason: each is a new export.
      const lastReset = model.wal.findLastIndex(({ kind }) => kind === 'reset');
      expect(lastReset).toBeGreaterThanOrEqual(lastLoss);
    }),
    { numRuns: 1_000 },
  );
});
