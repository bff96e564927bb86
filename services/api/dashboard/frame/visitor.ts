import type { PortalLook } from '../../admin/portal-store.ts';
import type { ANONYMOUS, Caller } from '../../http/caller.ts';

/** Who looks at a page: what its layout, its forms and the operations that it asks need to know. */
export interface Visitor extends PortalLook {
  readonly id: string;
  /** Goes with each form of the session: another site cannot know it. */
  readonly csrfToken: string;
  /** Whose pages these are. Undefined: the operator's. */
  readonly accountName: string | undefined;
  /** The key that opened the session. Null: a link did, or it is the operator’s. */
  readonly keyId: string | null;
  /** What the session may do, as the operations of the API check it. */
  readonly caller: Exclude<Caller, typeof ANONYMOUS>;
}

/** Where the visitor's pages begin. The operator's are apart from those of accounts. */
export function homeOf(visitor: Pick<Visitor, 'caller'> | undefined): string {
  return visitor?.caller.kind === 'operator' ? OPERATOR_HOME : '/dashboard';
}

export const OPERATOR_HOME = '/dashboard/operator';

/** Whether a place of the dashboard is one of the operator's pages. */
export function isOperatorPath(place: string): boolean {
  return place === OPERATOR_HOME || /^\/dashboard\/operator[/?]/.test(place);
}
