import type { IncomingMessage } from 'node:http';
import { setImmediate } from 'node:timers/promises';
import { parseExactJson } from '../../../shared/domain/exact-json.ts';
import { AppError } from '../../../shared/runtime/errors.ts';
import { createJsonScan, type JsonScan, requireDistinctMembers } from './json-scan.ts';
import type { RawBody } from './route.ts';
import { settleNumbers } from './settle-numbers.ts';
import { requireGoodTexts, requireUtf8 } from './text-rules.ts';

/** A key or a session may have ended while a body arrived that took longer: it is looked up once more. */
export const SLOW_BODY_MS = 100;

/** Limits of a JSON body. */
export interface BodyLimits {
  readonly maxBytes: number;
  readonly maxValues: number;
  /** For the whole body to arrive. */
  readonly jsonBodyMs: number;
  /** Members whose numbers keep their digits, as `ExactNumber` where a double would change them. */
  readonly exactMembers: readonly string[];
}

/**
 * Reads a request's JSON body. A body with too many bytes or values is refused while it arrives, and the
 * server drains the rest for a while. Other requests run between the steps, because each step may take 20 ms
 * for a large body.
 *
 * @throws AppError `unsupported_media_type`, `too_large`, `timed_out`, `malformed`, and `invalid` with a
 *   pointer
 */
export async function readJsonBody(request: IncomingMessage, limits: BodyLimits): Promise<unknown> {
  requireJson(request);
  const scan = createJsonScan(limits.maxValues);
  const bytes = await readBytes(request, limits, scan);
  const text = toText(bytes);
  const giveWay = text.length > LARGE_CHARACTERS ? () => setImmediate() : () => undefined;
  let body: unknown;
  try {
    body = scan.hasOddNumbers ? parseExactJson(text) : JSON.parse(text);
  } catch (cause) {
    throw new AppError('malformed', 'The body is not valid JSON.', { cause });
  }
  await giveWay();
  requireDistinctMembers(text, body, scan);
  if (scan.hasEscapes) requireGoodTexts(text, body);
  if (scan.hasOddNumbers) body = settleNumbers(body, limits.exactMembers);
  await giveWay();
  return body;
}

/**
 * Takes apart a JSON text that is part of something else, such as a field of a form, with the same limits as a body. Numbers
 * keep their digits.
 *
 * @throws SyntaxError for what is no JSON; AppError `invalid` for one too deep, with too many values or an invalid text
 */
export function parseJsonText(text: string, maxValues: number): unknown {
  const scan = createJsonScan(maxValues);
  scan.push(Buffer.from(text));
  const value = parseExactJson(text);
  requireDistinctMembers(text, value, scan);
  if (scan.hasEscapes) requireGoodTexts(text, value);
  return value;
}

/** Below this, each step takes a fraction of a millisecond. */
const LARGE_CHARACTERS = 100_000;

function requireJson({ headers }: IncomingMessage): void {
  const [type = ''] = (headers['content-type'] ?? '').toLowerCase().split(';');
  if (!/^application\/([\w.-]+\+)?json$/.test(type.trim())) {
    throw new AppError('unsupported_media_type', 'Send JSON, with Content-Type: application/json.');
  }
  requireUtf8(headers);
}

/** @throws AppError `malformed` */
export function toText(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new AppError('malformed', 'The body is not UTF-8.', { cause });
  }
}

/**
 * Reads a whole body. `scan` sees each part of it as it arrives and may refuse it.
 *
 * @throws AppError `too_large`, `timed_out`, `malformed`
 */
export function readBytes(
  request: RawBody,
  { maxBytes, jsonBodyMs }: Pick<BodyLimits, 'maxBytes' | 'jsonBodyMs'>,
  scan: Pick<JsonScan, 'push'>,
): Promise<Buffer> {
  const tooLarge = () => new AppError('too_large', `The body may have at most ${maxBytes} bytes.`);
  if (Number(request.headers['content-length'] ?? 0) > maxBytes) return Promise.reject(tooLarge());
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    const onData = (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > maxBytes) return finish(() => reject(tooLarge()));
      chunks.push(chunk);
      try {
        scan.push(chunk);
      } catch (error) {
        finish(() => reject(error));
      }
    };
    const onEnd = () => finish(() => resolve(Buffer.concat(chunks)));
    const onClose = (cause?: unknown) =>
      finish(() => reject(new AppError('malformed', 'The body ended early.', { cause })));
    const onLate = () =>
      finish(() =>
        reject(new AppError('timed_out', `The body did not arrive within ${jsonBodyMs / 1_000} s.`)),
      );
    const timer = setTimeout(onLate, jsonBodyMs);
    const finish = (settle: () => void) => {
      clearTimeout(timer);
      // Leaving an async iterator would destroy the socket, and the response with it.
      request.off('data', onData).off('end', onEnd).off('error', onClose).off('close', onClose);
      settle();
    };
    request.on('data', onData).on('end', onEnd).on('error', onClose).on('close', onClose);
  });
}
