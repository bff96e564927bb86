import { createReadStream } from 'node:fs';
import { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { readJsonLines } from '../cli/verify/json-lines.ts';
import { parseExactJson } from './exact-json.ts';

/** An event as it is delivered, as far as a replica reads it. */
export interface FeedEvent {
  id: string;
  type: string;
  /** Null for what is told beside the feed, which says nothing of records. */
  position: string | null;
  resource: string;
  key: Record<string, unknown>;
  data: Record<string, unknown>;
  /** Of a change that a bulk operation made. */
  source?: { bulk_job_id: string };
}

/**
 * What a customer builds: the records of the export's files, kept current by the feed. Events of one record are
 * applied in the order they arrive in (which must be commit order); an event seen before is passed over by its ID.
 */
export interface Replica {
  /** Loads one file of JSON lines. @returns the number of records */
  loadLines(resource: string, lines: AsyncIterable<string>, keyColumns: readonly string[]): Promise<number>;
  /** @returns false when the event was applied before, or is not for a replica */
  apply(event: FeedEvent): boolean;
  /** Record key (JSON) → record (JSON, keys in column order), of one resource. */
  records(resource: string): ReadonlyMap<string, string>;
  /** What a correct feed can't contain: a step back in a record's history, a second create, an update of nothing. */
  readonly violations: readonly string[];
}

export function createReplica(): Replica {
  const resources = new Map<string, Map<string, string>>();
  const lastPosition = new Map<string, string>();
  const seen = new Set<string>();
  const violations: string[] = [];
  const recordsOf = (resource: string): Map<string, string> => {
    const known = resources.get(resource) ?? new Map<string, string>();
    resources.set(resource, known);
    return known;
  };
  return {
    async loadLines(resource, lines, keyColumns) {
      const records = recordsOf(resource);
      let count = 0;
      for await (const line of lines) {
        if (line === '') continue;
        const record = parseExactJson(line) as Record<string, unknown>;
        const key = JSON.stringify(Object.fromEntries(keyColumns.map((column) => [column, record[column]])));
        if (records.has(key)) violations.push(`${resource} ${key} stands twice in the file`);
        records.set(key, JSON.stringify(record));
        count += 1;
      }
      return count;
    },
    apply(event) {
      if (event.position === null || seen.has(event.id)) return false;
      seen.add(event.id);
      const records = recordsOf(event.resource);
      const key = JSON.stringify(event.key);
      const name = `${event.resource} ${key}`;
      const before = lastPosition.get(name);
      if (before !== undefined && before >= event.position) {
        violations.push(`${name}: ${event.position} came after ${before}`);
      }
      lastPosition.set(name, event.position);
      const verb = event.type.slice(event.type.indexOf('.') + 1);
      if (verb === 'created' && records.has(key))
        violations.push(`${name}: created at ${event.position}, but it was there`);
      if (verb === 'updated' && !records.has(key))
        violations.push(`${name}: updated at ${event.position}, but it was not there`);
      if (verb === 'deleted') records.delete(key);
      else records.set(key, JSON.stringify(event.data));
      return true;
    },
    records: recordsOf,
    get violations() {
      return violations;
    },
  };
}

/** The lines of a downloaded file, unpacked if its name ends in `.gz`. */
export function linesOfFile(path: string): AsyncIterable<string> {
  const file = createReadStream(path);
  return readJsonLines(path.endsWith('.gz') ? file.pipe(createGunzip()) : file);
}

/** The lines of an answer's body, unpacked if the name ends in `.gz`. */
export function linesOfBody(body: ReadableStream, name: string): AsyncIterable<string> {
  const stream = Readable.fromWeb(body as Parameters<typeof Readable.fromWeb>[0]);
  return readJsonLines(name.endsWith('.gz') ? stream.pipe(createGunzip()) : stream);
}
