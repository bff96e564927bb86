import type { IncomingMessage } from 'node:http';

/** Smaller pieces are gathered until there are so many bytes. */
const GATHERED_BYTES = 4_096;

/** What is read of a body before the bodies of other requests have their turn. Without an end Node reads 2 MB at once. */
const TURN_BYTES = 65_536;
const TURN_PIECES = 1_000;

/** What it costs to read. A small piece is a call from Node's parser and a buffer of its own. */
const PIECE_MS = 0.002;
const BYTE_MS = 0.000_001;

/** After a turn, no body has one for so many times as long: bodies that are read on take a quarter of the time, whoever sends them. */
const PAUSE_TIMES = 3;

/** Pieces of a body that may be of any size. */
const FREE_PIECES = 1_000;

/** The least mean size of more pieces. An ID on its line has five bytes or more; the frame of a chunk has five. */
const LEAST_MEAN_BYTES = 4;

/** The body of a request comes in pieces that cost more than they bring. */
export class SmallPiecesError extends Error {
  override readonly name = 'SmallPiecesError';
  readonly code = 'ERR_BODY_PIECES';

  constructor() {
    super(
      `The body comes in pieces of less than ${LEAST_MEAN_BYTES} bytes. Send it in larger chunks, or as a whole.`,
    );
  }
}

/** Prepares a request for its body, before anybody reads it. `refuse` is called once at most. */
export type GatherPieces = (request: IncomingMessage, refuse: (error: SmallPiecesError) => void) => void;

/**
 * Gathers what comes of a body in small pieces, such as chunks of one byte: 64 KB of them are 11,000 events for whoever reads the
 * body, or 11,000 buffers of a body that nobody reads yet, and each of these keeps all 64 KB. A body in pieces that bring less than
 * they cost is refused. Bodies take turns, also those that are only drained: their clients wait, and other requests do not.
 */
export function createPieceGatherer(): GatherPieces {
  const waitForTurn = createReadTurns();
  return (request, refuse) => {
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
    const gather = (piece: Buffer): boolean => {
      if (piece.length + used > GATHERED_BYTES) handOn();
      if (piece.length > GATHERED_BYTES) return push(piece);
      if (gathered === undefined) {
        gathered = Buffer.allocUnsafe(GATHERED_BYTES);
        // Runs when the parser has seen all that came at once. Ticks run between the pieces.
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
      // Whatever is returned here, the parser still brings the rest of what was read before.
      return gather(piece) && !isHeld;
    };
    request._read = (size) => {
      if (isRefused) return;
      if (isHeld) isAskedFor = true;
      else read(size);
    };
    // Node passes by the body of a request that nobody has read from when its response is sent, and then there is no push.
    request.read(0);
  };
}

/** What was read of a body in its turn. It still grows until the parser has seen all that was read. */
interface Turn {
  pieceCount: number;
  byteCount: number;
}

/** Calls `readOn` of one body after another, each after a pause that follows from what the turn before it cost. */
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
