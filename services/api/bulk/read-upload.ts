import type { Readable } from 'node:stream';
import { AppError } from '../../../shared/runtime/errors.ts';
import type { RequestLimits } from '../http/request-limits.ts';

/**
 * The chunks of a body. Only time spent waiting for the client counts, so slow storage is not the client's fault.
 *
 * @throws AppError `timed_out` when the client sends nothing for too long, or takes too long in total
 */
export async function* readUpload(
  body: Readable,
  {
    uploadIdleMs,
    uploadTotalMs,
    uploadLeastBytesPerSecond: leastRate,
    uploadGraceMs,
  }: Pick<RequestLimits, 'uploadIdleMs' | 'uploadTotalMs' | 'uploadLeastBytesPerSecond' | 'uploadGraceMs'>,
): AsyncGenerator<Buffer> {
  // Leaving this generator early must not destroy the request, which would end the response too.
  const chunks = body.iterator({ destroyOnReturn: false });
  const endsAtMs = performance.now() + uploadTotalMs;
  let bytes = 0;
  let waitedMs = 0;
  try {
    for (;;) {
      const askedAtMs = performance.now();
      const leftMs = Math.max(0, endsAtMs - askedAtMs);
      const next = await (leftMs < uploadIdleMs
        ? within(chunks.next(), leftMs, `The upload took longer than ${uploadTotalMs / 1_000} s.`)
        : within(chunks.next(), uploadIdleMs, `No data arrived for ${uploadIdleMs / 1_000} s.`));
      if (next.done === true) return;
      const chunk = next.value as Buffer;
      bytes += chunk.length;
      waitedMs += performance.now() - askedAtMs;
      if (waitedMs > uploadGraceMs && bytes < (leastRate * waitedMs) / 1_000) {
        throw new AppError(
          'timed_out',
          `An upload must send at least ${leastRate} bytes per second on average.`,
        );
      }
      yield chunk;
    }
  } finally {
    // Not awaited: after a timeout it ends only when the connection is closed.
    chunks.return?.().catch(() => undefined);
  }
}

async function within<T>(work: Promise<T>, limitMs: number, message: string): Promise<T> {
  const { promise: over, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new AppError('timed_out', message)), limitMs);
  try {
    return await Promise.race([work, over]);
  } finally {
    clearTimeout(timer);
  }
}
