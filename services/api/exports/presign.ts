import type { Signer } from '../../../shared/runtime/signing.ts';
import type { DownloadLinks } from '../../../shared/storage/storage.ts';

export type PresignVerdict = 'valid' | 'expired' | 'altered';

export interface Presigner extends DownloadLinks {
  /** Judges a request by its path below the base and its query, exactly as they came. */
  verify(path: string, query: string, nowMs: number): PresignVerdict;
}

/**
 * Presigned URLs of files that the api itself serves, `<base>/<path>?expires=<epoch seconds>&signature=…`. The query
 * is read as text in exactly this form: no byte of it, and none of the path, has a second spelling that is accepted.
 */
export function createPresigner(signer: Signer, base: () => string): Presigner {
  const signed = (path: string, expires: string) => `${path}\n${expires}`;
  return {
    async presign(path, expiresAtMs) {
      const seconds = Math.floor(expiresAtMs / 1_000);
      const signature = signer.sign(signed(path, String(seconds)));
      return {
        url: `${base()}/${path}?expires=${seconds}&signature=${signature}`,
        expiresAt: new Date(seconds * 1_000),
      };
    },
    verify(path, query, nowMs) {
      const match = /^expires=([1-9][0-9]{0,11})&signature=([\w-]{43})$/.exec(query);
      const [, expires, signature] = match ?? [];
      if (expires === undefined || signature === undefined) return 'altered';
      if (!signer.verify(signed(path, expires), signature)) return 'altered';
      return Number(expires) * 1_000 > nowMs ? 'valid' : 'expired';
    },
  };
}
