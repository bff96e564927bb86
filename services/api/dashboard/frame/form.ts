import { AppError } from '../../../../shared/runtime/errors.ts';
import { readBytes, SLOW_BODY_MS, toText } from '../../http/read-json-body.ts';
import { readParameters } from '../../http/request-target.ts';
import type { ApiRequest } from '../../http/route.ts';
import { requireUtf8 } from '../../http/text-rules.ts';
import { FORM_TYPE } from '../../pages/define-page.ts';
import type { Messages } from '../messages/messages.ts';

/** A form has a few fields. */
const FORM_LIMITS = { maxBytes: 65_536, jsonBodyMs: 15_000 };

/** More than a form about a table of 1,600 columns has, and few enough to look through them for each. */
const MAX_FIELDS = 5_000;

/** A form that a page of this dashboard has sent. */
export interface OwnForm {
  readonly fields: URLSearchParams;
  /** The page that sent it was loaded over https. */
  readonly isSecure: boolean;
}

/**
 * Reads a form that a page of this dashboard has sent. Browsers name the origin of a form by themselves, so no other site
 * can send one.
 *
 * @param publicOrigin undefined where `PUBLIC_URL` is not set
 * @throws AppError `forbidden` for another origin, and what is wrong with the body
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

/** @throws AppError `unauthorized` for a session that has ended while its form arrived */
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
 * With a public origin nothing else is own: a page of the same host over http is whoever's is on the network. Without one
 * the host is what the browser was told, and a proxy in front may speak https.
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
