import type { SendErrorClass, SendOutcome } from './send.ts';

const BY_CODE: Readonly<Record<string, SendErrorClass>> = {
  ERR_ADDRESS_REFUSED: 'address_refused',
  ERR_INVALID_URL: 'invalid_url',
  ERR_UNSUPPORTED_PROTOCOL: 'invalid_url',
  ERR_INVALID_PROTOCOL: 'invalid_url',
  ENOTFOUND: 'dns',
  ENODATA: 'dns',
  ESERVFAIL: 'dns',
  EREFUSED: 'dns',
  EBADRESP: 'dns',
  EBADNAME: 'dns',
  ETIMEOUT: 'dns',
  ECONNREFUSED: 'refused',
  EHOSTUNREACH: 'unreachable',
  ENETUNREACH: 'unreachable',
  EADDRNOTAVAIL: 'unreachable',
  ECONNRESET: 'reset',
  ECONNABORTED: 'reset',
  EPIPE: 'reset',
  ERR_STREAM_PREMATURE_CLOSE: 'reset',
  ERR_HTTP_CONTENT_LENGTH_MISMATCH: 'reset',
  UND_ERR_SOCKET: 'reset',
  ETIMEDOUT: 'timeout',
  ESOCKETTIMEDOUT: 'timeout',
  UND_ERR_CONNECT_TIMEOUT: 'timeout',
  EPROTO: 'tls',
  ERR_ANSWER_UNASKED: 'protocol',
  ERR_ANSWER_OVERSIZED: 'oversized',
  UND_ERR_HEADERS_OVERFLOW: 'oversized',
  HPE_HEADER_OVERFLOW: 'oversized',
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 'oversized',
  ABORT_ERR: 'aborted',
  ERR_ABORTED: 'aborted',
  UND_ERR_CLOSED: 'aborted',
  UND_ERR_DESTROYED: 'aborted',
};

/** OpenSSL names its verification results without a common prefix. */
const TLS_CODE =
  /^(ERR_TLS|ERR_SSL|CERT_|CRL_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|INVALID_CA|INVALID_PURPOSE|HOSTNAME_MISMATCH)/;

/** The class of a failed request, from the codes of the error and its causes. */
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

const MESSAGES: Record<SendErrorClass, string> = {
  invalid_url: 'the URL cannot be requested',
  address_refused: 'deliveries to the address are not allowed',
  dns: 'the name could not be resolved',
  refused: 'the connection was refused',
  unreachable: 'the host could not be reached',
  reset: 'the connection was closed before the response was complete',
  tls: 'no secure connection could be made',
  timeout: 'the response was not complete in time',
  protocol: 'the response was not valid HTTP',
  oversized: 'the response is too long, or has too many headers or interim responses',
  aborted: 'the request was aborted',
};

/** The outcome of a request without a complete response, with a message for the endpoint's owner. */
export function toFailure(errorClass: SendErrorClass, durationMs: number): SendOutcome {
  return { kind: 'failed', errorClass, message: MESSAGES[errorClass], durationMs };
}
