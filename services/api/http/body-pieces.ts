import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';

/** Small pieces are gathered into buffers of this size. */
const GATHERED_BYTES = 4_096;

/** Limits of one turn of a body. Then other bodies have their turn. Without limits Node reads up to 2 MB at once. */
const TURN_BYTES = 65_536;
const TURN_PIECES = 300;

/** Estimated CPU time of a piece and of a byte, in milliseconds. Each piece is a call from Node's parser, with a buffer of its own. */
const PIECE_MS = 0.002;
const BYTE_MS = 0.000_001;

/** Length of the pause after a turn, in lengths of that turn. So all bodies together take at most a quarter of the CPU time. */
const PAUSE_TIMES = 3;

/** The number of pieces of a body that may have any size. */
const FREE_PIECES = 1_000;

/** The least mean size of a body's pieces beyond that. A line with an ID has five bytes or more, the frame of a chunk has five. */
const LEAST_MEAN_BYTES = 4;

/** Thrown for a body whose pieces are so small that reading them costs more than their content is worth. */
export class SmallPiecesError extends Error {
  override readonly name = 'SmallPiecesError';
  readonly code = 'ERR_BODY_PIECES';

  constructor() {
    super(
      `The body comes in pieces of less than ${LEAST_MEAN_BYTES} bytes. Send it in larger chunks, or as a whole.`,
    );
  }
}

/** Prepares requests for their bodies, before anybody reads them. `refuse` is called once at most. */
export interface PieceGatherer {
  gather(request: IncomingMessage, refuse: (error: SmallPiecesError) => void): void;
  /** Bytes that are left of the body that a connection sends; 0 without one, or where its length is not known. */
  bytesLeft(socket: Duplex): number;
}

/**
 * Gathers the small pieces of a body, such as chunks of one byte. 64 KB of such chunks would be 11,000 events for the reader of
 * the body. For a body without a reader they would be 11,000 buffers, each of which keeps all 64 KB in memory. A body of many tiny
 * pieces is refused. Bodies are read in turns, even those that are only drained, so that other requests do not wait for them.
 */
export function createPieceGatherer(): PieceGatherer {
  const waitForTurn = createReadTurns();
  const left = new WeakMap<Duplex, () => number>();
  const gather: PieceGatherer['gather'] = (request, refuse) => {
    const length = Number(request.headers['content-length'] ?? 0);
    left.set(request.socket, () => (request.complete || length === 0 ? 0 : length - byteCount));
    const push = request.push.bind(request);
    const read = request._read.bind(request);
    let gathered: Buffer | undefined;
    let used = 0;
    let pieceCount = 0;
    let byteCount = 0;
    let turn: Turn = { pieceCount: 0, byteCount: 0 };
    let isHeld = false;
    let isAskedFor = false;
    let isRefused = false;
    const handOn = () => {
      if (gathered === undefined) return;
      const bytes = gathered.subarray(0, used);
      gathered = undefined;
      used = 0;
      push(bytes);
    };
    const hold = () => {
      if (isHeld) return;
      isHeld = true;
      waitForTurn(turn, () => {
        isHeld = false;
        turn = { pieceCount: 0, byteCount: 0 };
        handOn();
        if (!isAskedFor) return;
        isAskedFor = false;
        read(0);
      });
    };
    const take = (piece: Buffer): boolean => {
      if (piece.length + used > GATHERED_BYTES) handOn();
      if (piece.length > GATHERED_BYTES) return push(piece);
      if (gathered === undefined) {
        gathered = Buffer.allocUnsafe(GATHERED_BYTES);
        // Not `process.nextTick`, which runs between two pieces. This runs after the parser has handed over all that was read.
        setImmediate(handOn);
      }
      piece.copy(gathered, used);
      used += piece.length;
      return request.readableLength + used < request.readableHighWaterMark;
    };
    request.push = (piece: Buffer | null) => {
      if (piece === null) {
        handOn();
        return push(null);
      }
      pieceCount += 1;
      byteCount += piece.length;
      if (isRefused) return false;
      if (pieceCount > FREE_PIECES && byteCount < LEAST_MEAN_BYTES * pieceCount) {
        isRefused = true;
        refuse(new SmallPiecesError());
        return false;
      }
      turn.pieceCount += 1;
      turn.byteCount += piece.length;
      if (turn.pieceCount >= TURN_PIECES || turn.byteCount >= TURN_BYTES) hold();
      // `false` stops further reads of the socket. The parser still hands over the rest of what was read.
      return take(piece) && !isHeld;
    };
    request._read = (size) => {
      if (isRefused) return;
      if (isHeld) isAskedFor = true;
      else read(size);
    };
    // Node skips the body of a request that was never read when its response is sent. Then `push` would not be called.
    request.read(0);
  };
  return { gather, bytesLeft: (socket) => left.get(socket)?.() ?? 0 };
}

/** What was read of a body in one turn. It grows until the parser has handed over all that was read. */
interface Turn {
  pieceCount: number;
  byteCount: number;
}

/** Calls `readOn` of one body after another. The pause before each depends on the cost of the turn before it. */
function createReadTurns(): (ended: Turn, readOn: () => void) => void {
  const waiting: { readonly ended: Turn; readonly readOn: () => void }[] = [];
  const schedule = (afterMs: number) => (afterMs < 1 ? setImmediate(next) : setTimeout(next, afterMs));
  const next = () => {
    const [first] = waiting;
    if (first === undefined) return;
    first.readOn();
    const { pieceCount, byteCount } = first.ended;
    waiting.shift();
    if (waiting.length > 0) schedule(PAUSE_TIMES * (pieceCount * PIECE_MS + byteCount * BYTE_MS));
  };
  return (ended, readOn) => {
    waiting.push({ ended, readOn });
    if (waiting.length === 1)
      schedule(PAUSE_TIMES * (ended.pieceCount * PIECE_MS + ended.byteCount * BYTE_MS));
  };
}
