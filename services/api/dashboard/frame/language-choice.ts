import { DASHBOARD_PATH } from '../../admin/portal-routes.ts';
import { chosenLocale } from '../messages/messages.ts';
import { type DashboardPage, seeOther } from './visit.ts';
import type { Visitor } from './visitor.ts';

/** The target of the language choice in each page's footer. The choice lasts as long as the session. */
export function languageChoice(
  path: string,
  setLocale: (session: Pick<Visitor, 'id'>, locale: string) => Promise<void>,
): DashboardPage {
  return {
    method: 'POST',
    path,
    needs: undefined,
    async handle({ form, request, session }) {
      const locale = chosenLocale(form.get('language') ?? '', request.header('accept-language'));
      if (locale !== undefined) await setLocale(session, locale);
      return seeOther(ownPlace(form.get('next')));
    },
  };
}

/** A dashboard page with its parameters, such as a filter; the overview for anything else. */
export function ownPlace(next: string | null): string {
  const [path = '', query] = (next ?? '').split('?', 2);
  if (!DASHBOARD_PATH.test(path)) return '/dashboard';
  const search = new URLSearchParams(query).toString();
  return search === '' ? path : `${path}?${search}`;
}
