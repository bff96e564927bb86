import type { IncomingHttpHeaders } from 'node:http';
import { AppError } from '../../../shared/runtime/errors.ts';

const UTF8: ReadonlySet<string> = new Set(['utf-8', '"utf-8"', 'utf8', 'us-ascii']);

/**
 * Refuses a body that says of itself that it is in another encoding, or compressed.
 *
 * @throws AppError `unsupported_media_type`
 */
export function requireUtf8(headers: IncomingHttpHeaders): void {
  const [, ...parameters] = (headers['content-type'] ?? '').toLowerCase().split(';');
  const charset = parameters.map((text) => text.trim()).find((text) => text.startsWith('charset='));
  if (charset !== undefined && !UTF8.has(charset.slice('charset='.length))) {
    throw new AppError('unsupported_media_type', 'Send the body in UTF-8.');
  }
  const encoding = headers['content-encoding'];
  if (encoding !== undefined && encoding !== 'identity') {
    throw new AppError('unsupported_media_type', 'Send the body without a Content-Encoding.');
  }
}
