import type { PortalLook } from '../../admin/portal-store.ts';
import type { ANONYMOUS, Caller } from '../../http/caller.ts';

/** The viewer of a page, as needed by its layout, its forms and its API calls. */
export interface Visitor extends PortalLook {
  readonly id: string;
  /** Sent with each form of the session. Other sites can't know it. */
  readonly csrfToken: string;
  /** The account of the pages. Undefined: the operator's pages. */
  readonly accountName: string | undefined;
  /** The key that opened the session. Null: a link did, or it is an operator session. */
  readonly keyId: string | null;
  /** The session's rights, as API operations check them. */
  readonly caller: Exclude<Caller, typeof ANONYMOUS>;
}

/** The start page of the visitor. The operator's pages are separate. */
export function homeOf(visitor: Pick<Visitor, 'caller'> | undefined): string {
  return visitor?.caller.kind === 'operator' ? OPERATOR_HOME : '/dashboard';
}

export const OPERATOR_HOME = '/dashboard/operator';

/** Whether a path is one of the operator's pages. */
export function isOperatorPath(place: string): boolean {
  return place === OPERATOR_HOME || /^\/dashboard\/operator[/?]/.test(place);
}
