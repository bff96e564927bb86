import type { SendErrorClass } from './send.ts';

const BY_CODE: Readonly<Record<string, SendErrorClass>> = {
  ERR_ADDRESS_REFUSED: 'address_refused',
  ERR_INVALID_URL: 'invalid_url',
  ERR_UNSUPPORTED_PROTOCOL: 'invalid_url',
  ERR_INVALID_PROTOCOL: 'invalid_url',
  ENOTFOUND: 'dns',
  ENODATA: 'dns',
  ESERVFAIL: 'dns',
  ECONNREFUSED: 'refused',
  EHOSTUNREACH: 'unreachable',
  ENETUNREACH: 'unreachable',
  EADDRNOTAVAIL: 'unreachable',
  ECONNRESET: 'reset',
  ECONNABORTED: 'reset',
  EPIPE: 'reset',
  ERR_STREAM_PREMATURE_CLOSE: 'reset',
  ERR_HTTP_CONTENT_LENGTH_MISMATCH: 'reset',
  ETIMEDOUT: 'timeout',
  ESOCKETTIMEDOUT: 'timeout',
  EPROTO: 'tls',
  ABORT_ERR: 'aborted',
  ERR_ABORTED: 'aborted',
};

/** OpenSSL's verification results have names of their own, without a common beginning. */
const TLS_CODE =
  /^(ERR_TLS|ERR_SSL|CERT_|CRL_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|INVALID_CA|INVALID_PURPOSE|HOSTNAME_MISMATCH)/;

/** What a failed request died of, from the codes of the error and its causes. */
export function errorClassOf(error: unknown): SendErrorClass {
  let current = error;
  for (let depth = 0; depth < 8 && current instanceof Error; depth++) {
    const found = classOfCode((current as { code?: unknown }).code);
    if (found !== undefined) return found;
    current = current.cause;
  }
  return 'protocol';
}

function classOfCode(code: unknown): SendErrorClass | undefined {
  if (typeof code !== 'string') return undefined;
  if (Object.hasOwn(BY_CODE, code)) return BY_CODE[code];
  if (code.startsWith('EAI_')) return 'dns';
  if (TLS_CODE.test(code)) return 'tls';
  return undefined;
}
