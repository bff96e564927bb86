import type { IncomingMessage } from 'node:http';
import { parseExactJson } from '../../../shared/domain/exact-json.ts';
import { AppError } from '../../../shared/runtime/errors.ts';
import { requireShallow } from './json-depth.ts';

/**
 * Reads a request's JSON; numbers that a double would change keep their digits. Too much of it is refused before any of it is parsed, and while it still arrives when it came
 * without a length; what follows is drained by the server, for a while.
 *
 * @throws AppError `unsupported_media_type`, `too_large`, `timed_out`, `malformed`
 */
export async function readJsonBody(
  request: IncomingMessage,
  limits: { maxBytes: number; jsonBodyMs: number },
): Promise<unknown> {
  requireJson(request);
  const bytes = await readBytes(request, limits);
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new AppError('malformed', 'The body is not UTF-8.', { cause });
  }
  requireShallow(text);
  try {
    return parseExactJson(text);
  } catch (cause) {
    throw new AppError('malformed', 'The body is not valid JSON.', { cause });
  }
}

function requireJson({ headers }: IncomingMessage): void {
  const [type = '', ...parameters] = (headers['content-type'] ?? '').toLowerCase().split(';');
  if (!/^application\/([\w.-]+\+)?json$/.test(type.trim())) {
    throw new AppError('unsupported_media_type', 'Send JSON, with Content-Type: application/json.');
  }
  const charset = parameters.map((text) => text.trim()).find((text) => text.startsWith('charset='));
  if (charset !== undefined && !['utf-8', '"utf-8"', 'utf8'].includes(charset.slice('charset='.length))) {
    throw new AppError('unsupported_media_type', 'Send the JSON in UTF-8.');
  }
  const encoding = headers['content-encoding'];
  if (encoding !== undefined && encoding !== 'identity') {
    throw new AppError('unsupported_media_type', 'Send the body without a Content-Encoding.');
  }
}

function readBytes(
  request: IncomingMessage,
  { maxBytes, jsonBodyMs }: { maxBytes: number; jsonBodyMs: number },
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
    };
    const onEnd = () => finish(() => resolve(Buffer.concat(chunks)));
    const onClose = (cause?: unknown) =>
      finish(() => reject(new AppError('malformed', 'The body ended early.', { cause })));
    const onLate = () =>
      finish(() =>
        reject(new AppError('timed_out', `The body did not come within ${jsonBodyMs / 1_000} s.`)),
      );
    const timer = setTimeout(onLate, jsonBodyMs);
    const finish = (settle: () => void) => {
      clearTimeout(timer);
      // An async iterator would destroy the socket when it is left, and with it the answer.
      request.off('data', onData).off('end', onEnd).off('error', onClose).off('close', onClose);
      settle();
    };
    request.on('data', onData).on('end', onEnd).on('error', onClose).on('close', onClose);
  });
}
