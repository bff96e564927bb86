import pg from 'pg';
import type { Lsn } from '../../../shared/domain/lsn.ts';
import { quoteIdent, quoteLiteral } from '../../../shared/postgres/quote.ts';
import { Session } from '../../../shared/postgres/session.ts';
import { exceedsRowLimit } from '../../../shared/postgres/size-limit.ts';
import { rawTypes, TEXT_SESSION_OPTIONS } from '../../../shared/postgres/text-session.ts';
import type { Secret } from '../../../shared/runtime/env.ts';
import { type PgOutputMessage, readPgOutput } from './pgoutput.ts';
import { askForTexts } from './text-decoding.ts';
import { readWalFrame, writeStatusUpdate } from './wal-frames.ts';

export type WalEntry =
  | { readonly kind: 'message'; readonly lsn: Lsn; readonly message: PgOutputMessage; readonly bytes: number }
  /** In order with the messages: everything that committed before `walEnd` was sent before it. */
  | { readonly kind: 'keepalive'; readonly walEnd: Lsn };

export interface WalStreamConfig {
  readonly sourceUrl: Secret;
  readonly slotName: string;
  readonly publicationName: string;
  /** The socket pauses while more than this waits in the queue. */
  readonly maxQueuedBytes: number;
}

export interface WalStream {
  readonly systemId: string;
  readonly timeline: number;
  /**
   * Entries that have arrived, oldest first, up to either limit but at least one; empty when none has arrived.
   *
   * @throws StreamLostError once the connection is lost, even if entries are left: the server sends them again
   * @throws UnsendableChangeError once all entries before such a change were taken
   */
  take(maxCount: number, maxBytes: number): WalEntry[];
  /**
   * Confirms to the server that everything before `lsn` is durable, so that it may remove that WAL. A lower LSN is
   * ignored.
   */
  confirm(lsn: Lsn): void;
  /** Closes the connection, which frees the slot. May be called twice. */
  close(): Promise<void>;
}

/** The replication connection broke or timed out. The slot is unchanged, and the stream can be opened again. */
export class StreamLostError extends Error {
  override readonly name = 'StreamLostError';
}

/** The server can't send a change. It decodes the transaction again at each start, and fails again. */
export class UnsendableChangeError extends Error {
  override readonly name = 'UnsendableChangeError';
  /** Of the transaction. */
  readonly commitLsn: Lsn;
  readonly xid: number;

  constructor({ commitLsn, xid }: Begin, cause: unknown) {
    super(`the server can't send a row of the transaction ${xid}`, { cause });
    this.commitLsn = commitLsn;
    this.xid = xid;
  }
}

type Begin = Extract<PgOutputMessage, { kind: 'begin' }>;

/** `untranslatable_character`, `character_not_in_repertoire`: a text that UTF-8 can't express. */
const NO_UTF8 = ['22P05', '22021'];

function isUnsendable(error: unknown): boolean {
  return exceedsRowLimit(error) || (error instanceof pg.DatabaseError && NO_UTF8.includes(error.code ?? ''));
}

/** Node-pg passes the option on, though its types do not declare it. */
interface ReplicationClientConfig extends pg.ClientConfig {
  readonly replication: 'database';
}

/** Maximum interval between two status messages; each requests a keepalive. */
const MAX_STATUS_INTERVAL_MS = 2_000;
/** Minimum interval between two confirmations. */
const MIN_CONFIRM_INTERVAL_MS = 100;
/** Used instead of `wal_sender_timeout` if the server has disabled it. */
const DEFAULT_SENDER_TIMEOUT_MS = 60_000;
/** Memory of an entry besides its texts. */
const ENTRY_OVERHEAD_BYTES = 256;

/**
 * Acquires the slot and streams from its confirmed position. `onActivity` is called when entries have arrived or the
 * stream is lost.
 *
 * @throws DatabaseError of the server, with SQLSTATE 55006 when another connection holds the slot
 * @throws StreamLostError when the server can't be reached
 */
export async function openWalStream(config: WalStreamConfig, onActivity: () => void): Promise<WalStream> {
  const clientConfig: ReplicationClientConfig = {
    connectionString: config.sourceUrl.reveal(),
    replication: 'database',
    application_name: 'tandem capture',
    options: TEXT_SESSION_OPTIONS,
    types: rawTypes,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
    connectionTimeoutMillis: 10_000,
  };
  const client = new Session(clientConfig);
  let lost: StreamLostError | UnsendableChangeError | undefined;
  let begun: Begin | undefined;
  const fail = (cause?: unknown) => {
    lost ??=
      begun !== undefined && isUnsendable(cause)
        ? new UnsendableChangeError(begun, cause)
        : new StreamLostError('the replication connection is lost', { cause });
    onActivity();
  };
  client.on('error', fail);
  client.on('end', () => fail());
  try {
    await client.connect();
    const { systemId, timeline, senderTimeoutMs } = await identify(client);
    const decoding = await askForTexts(client);
    const queue: WalEntry[] = [];
    let queueHead = 0;
    let queuedBytes = 0;
    let isPaused = false;
    let heardAtMs = Date.now();
    let statusAtMs = 0;
    const acker = createAcker();

    const sendStatus = (isReplyRequested: boolean) => {
      if (lost !== undefined) return;
      statusAtMs = Date.now();
      client.connection.stream.write(writeStatusUpdate({ ...acker.status(), isReplyRequested }, statusAtMs));
    };

    const onChunk = (chunk: Buffer) => {
      heardAtMs = Date.now();
      const frame = readWalFrame(chunk);
      if (frame.kind === 'keepalive') {
        acker.received(frame.walEnd);
        // The server closes the connection without this response, so it bypasses the queue.
        if (frame.isReplyRequested) sendStatus(false);
        const last = queue.at(-1);
        if (queue.length > queueHead && last?.kind === 'keepalive') queue.pop();
        queue.push({ kind: 'keepalive', walEnd: frame.walEnd });
      } else {
        acker.received(frame.lsn);
        const bytes = frame.payload.length + ENTRY_OVERHEAD_BYTES;
        const message = readPgOutput(frame.payload, decoding);
        if (message.kind === 'begin') begun = message;
        else if (message.kind === 'commit') begun = undefined;
        queue.push({ kind: 'message', lsn: frame.lsn, message, bytes });
        queuedBytes += bytes;
        if (queuedBytes > config.maxQueuedBytes && !isPaused) {
          isPaused = true;
          client.connection.stream.pause();
        }
      }
      onActivity();
    };

    const resumeWhenBelowLimit = () => {
      if (!isPaused || queuedBytes > config.maxQueuedBytes / 2) return;
      isPaused = false;
      heardAtMs = Date.now();
      client.connection.stream.resume();
    };

    await startReplication(client, config, (chunk) => {
      try {
        onChunk(chunk);
      } catch (cause) {
        fail(cause);
      }
    });

    const timer = setInterval(
      () => {
        // A half-open socket looks like a quiet server. While the socket is paused, silence means nothing.
        if (!isPaused && Date.now() - heardAtMs > 2 * senderTimeoutMs) {
          fail(
            new Error(
              `the server sent nothing for ${2 * senderTimeoutMs} ms, though every status requests a reply`,
            ),
          );
          return;
        }
        sendStatus(true);
      },
      Math.min(MAX_STATUS_INTERVAL_MS, Math.ceil(senderTimeoutMs / 4)),
    );

    return {
      systemId,
      timeline,
      take(maxCount, maxBytes) {
        const isOver = lost instanceof StreamLostError || queueHead === queue.length;
        if (lost !== undefined && isOver) throw lost;
        const start = queueHead;
        let bytes = 0;
        while (queueHead < queue.length && queueHead - start < maxCount && bytes < maxBytes) {
          const entry = queue[queueHead];
          if (entry?.kind === 'message') bytes += entry.bytes;
          queueHead += 1;
        }
        const taken = queue.slice(start, queueHead);
        // The taken front is removed once it is more than half, so that not every take moves the whole queue.
        if (queueHead * 2 >= queue.length) {
          queue.splice(0, queueHead);
          queueHead = 0;
        }
        queuedBytes -= bytes;
        resumeWhenBelowLimit();
        return taken;
      },
      confirm(lsn) {
        acker.durable(lsn);
        if (Date.now() - statusAtMs >= MIN_CONFIRM_INTERVAL_MS) sendStatus(false);
      },
      async close() {
        clearInterval(timer);
        sendStatus(false);
        lost ??= new StreamLostError('the stream was closed');
        await client.end();
      },
    };
  } catch (error) {
    await client.end();
    if (error instanceof pg.DatabaseError) throw error;
    throw new StreamLostError('the replication connection could not be opened', { cause: error });
  }
}

async function identify(
  client: pg.Client,
): Promise<{ systemId: string; timeline: number; senderTimeoutMs: number }> {
  const { rows } = await client.query<{ systemid: string; timeline: string }>('IDENTIFY_SYSTEM');
  const settings = await client.query<{ setting: string }>(
    `select setting from pg_settings where name = 'wal_sender_timeout'`,
  );
  const timeoutMs = Number(settings.rows[0]?.setting ?? 0);
  return {
    systemId: rows[0]?.systemid ?? '',
    timeline: Number(rows[0]?.timeline),
    senderTimeoutMs: timeoutMs > 0 ? timeoutMs : DEFAULT_SENDER_TIMEOUT_MS,
  };
}

/**
 * Resolves once the server streams. The query itself settles only when the stream ends, and `client`'s events report
 * that.
 */
function startReplication(
  client: pg.Client,
  { slotName, publicationName }: WalStreamConfig,
  onChunk: (chunk: Buffer) => void,
): Promise<void> {
  const publications = quoteLiteral(quoteIdent(publicationName));
  return new Promise((resolve, reject) => {
    client.connection.once('replicationStart', resolve);
    client.connection.on('copyData', ({ chunk }: { chunk: Buffer }) => onChunk(chunk));
    client
      .query(
        `START_REPLICATION SLOT ${quoteIdent(slotName)} LOGICAL 0/0 ` +
          `(proto_version '1', publication_names ${publications}, messages 'true')`,
      )
      .then(() => client.emit('error', new Error('the server ended the stream')))
      .catch((error: unknown) => {
        reject(error);
        client.emit('error', error);
      });
  });
}

/**
 * Which LSN may be confirmed to the slot.
 *
 * **Invariant:** `flushed` is never past the position that a committed Kafka transaction has recorded. The server
 * removes the WAL before it, so it is the one number that can lose data. Both numbers only grow, because a confirmation
 * cannot be taken back.
 */
export interface Acker {
  /** The server has sent everything before `lsn`. */
  received(lsn: Lsn): void;
  /** A committed Kafka transaction has recorded `lsn` as passed. */
  durable(lsn: Lsn): void;
  status(): { readonly written: Lsn; readonly flushed: Lsn };
}

export function createAcker(): Acker {
  let written = 0n;
  let flushed = 0n;
  return {
    received(lsn) {
      if (lsn > written) written = lsn;
    },
    durable(lsn) {
      if (lsn > flushed) flushed = lsn;
    },
    status: () => ({ written: written > flushed ? written : flushed, flushed }),
  };
}
