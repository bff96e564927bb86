import { AppError } from '../../../../shared/runtime/errors.ts';
import { readBytes, SLOW_BODY_MS, toText } from '../../http/read-json-body.ts';
import { readParameters } from '../../http/request-target.ts';
import type { ApiRequest } from '../../http/route.ts';
import { requireUtf8 } from '../../http/text-rules.ts';
import { FORM_TYPE } from '../../pages/define-page.ts';
import type { Messages } from '../messages/messages.ts';

/** Limits of a form with a few fields. */
const FORM_LIMITS = { maxBytes: 65_536, jsonBodyMs: 15_000 };

/** Limit of fields: more than a form about a table of 1,600 columns has, and few enough to search them for each. */
const MAX_FIELDS = 5_000;

/** A form sent by a page of this dashboard. */
export interface OwnForm {
  readonly fields: URLSearchParams;
  /** The page that sent it was loaded over https. */
  readonly isSecure: boolean;
}

/**
 * Reads a form sent by a page of this dashboard. Browsers add a form's origin themselves, so other sites can't send
 * one.
 *
 * @param publicOrigin undefined without `PUBLIC_URL`
 * @throws AppError `forbidden` for another origin, and the errors of the body
 */
export async function readForm(
  request: ApiRequest,
  publicOrigin: string | undefined,
  text: Messages['frame']['problems'],
  limits: Partial<typeof FORM_LIMITS> = {},
): Promise<OwnForm> {
  const origin = requireOwnOrigin(request, publicOrigin, text);
  const [type = ''] = (request.header('content-type') ?? '').toLowerCase().split(';');
  if (type.trim() !== FORM_TYPE) {
    throw new AppError('unsupported_media_type', `Send a form, with Content-Type: ${FORM_TYPE}.`);
  }
  requireUtf8(request.incoming.headers);
  const tooLarge = () => new AppError('too_large', text.codes.too_large);
  const bytes = await readBytes(
    request.incoming,
    { ...FORM_LIMITS, ...limits },
    { push: () => undefined },
  ).catch((error: unknown) => {
    throw error instanceof AppError && error.code === 'too_large' ? tooLarge() : error;
  });
  const sent = toText(bytes);
  if (sent.split('&', MAX_FIELDS + 1).length > MAX_FIELDS) throw tooLarge();
  return {
    fields: new URLSearchParams(readParameters(sent, 'The form')),
    isSecure: origin.startsWith('https:'),
  };
}

/** @throws AppError `unauthorized` for a session that has ended while its form was received */
export async function requireStillActive(
  readsFromMs: number,
  stateOf: () => Promise<'active' | 'expired' | 'revoked' | undefined>,
): Promise<void> {
  if (performance.now() - readsFromMs < SLOW_BODY_MS || (await stateOf()) === 'active') return;
  throw new AppError('unauthorized', SESSION_OVER);
}

export const SESSION_OVER = 'The session is over. Load the page again.';

/** @throws AppError `forbidden` for a form of another origin */
export function requireOwnOrigin(
  request: Pick<ApiRequest, 'header'>,
  publicOrigin: string | undefined,
  text: Messages['frame']['problems'],
): string {
  const origin = request.header('origin');
  if (origin !== undefined && isOwnOrigin(origin, request.header('host'), publicOrigin)) return origin;
  throw new AppError('forbidden', text.origin(publicOrigin));
}

/**
 * With a public origin, only that counts: over http anybody on the network may serve a page of the same host. Without
 * one, the request's host counts, because a proxy in front may use https.
 */
export function isOwnOrigin(
  origin: string | undefined,
  host: string | undefined,
  publicOrigin: string | undefined,
): boolean {
  if (publicOrigin !== undefined) return origin === publicOrigin;
  const url = URL.parse(origin ?? '');
  const isWeb = url?.protocol === 'http:' || url?.protocol === 'https:';
  return isWeb && host !== undefined && url.host === host;
}
