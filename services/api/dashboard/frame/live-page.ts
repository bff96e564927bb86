import type { Scope } from '../../http/caller.ts';
import type { Html } from '../../pages/html.ts';
import { dashboardPage, type PageText } from './layout.ts';
import { type Live, renderLive } from './live.ts';
import { type DashboardPage, pageResponse, type Visit, type VisitDeps } from './visit.ts';

/** A page that moves while somebody looks. */
export interface LivePage<Facts> {
  readonly path: string;
  readonly needs: Scope | undefined;
  /** The entry of the menu that the page belongs to. */
  readonly section: string;
  /** A stylesheet of its own, beside those that every page has. */
  readonly styles?: string;
  title(facts: Facts, visit: Visit): string;
  /** How often it is read again, once for all who look at it. */
  everySeconds(facts: Facts): number;
  /** Asks the API for what the page shows. @throws AppError what it refuses with */
  read(visit: Visit): Promise<Facts>;
  body(facts: Facts, live: Live, visit: Visit): Html;
}

/** The page, and the route beside it that its module asks for what has changed. */
export function livePage<Facts>(
  page: LivePage<Facts>,
  deps: Pick<VisitDeps, 'frameAncestors'>,
): DashboardPage[] {
  const { needs, section, styles } = page;
  return [
    {
      method: 'GET',
      path: page.path,
      needs,
      async handle(visit) {
        const facts = await page.read(visit);
        const { content, state } = renderLive((live) => page.body(facts, live, visit));
        const query = visit.query.toString();
        const live = {
          path: `${visit.request.path}/live${query === '' ? '' : `?${query}`}`,
          everySeconds: page.everySeconds(facts),
          state,
        };
        const whole: PageText = {
          title: page.title(facts, visit),
          section,
          body: content,
          live,
          ...(styles === undefined ? {} : { styles }),
        };
        return pageResponse(dashboardPage(visit, visit.session, whole), deps);
      },
    },
    {
      method: 'GET',
      path: `${page.path}/live`,
      needs,
      isLive: true,
      async read(visit) {
        const facts = await page.read(visit);
        const { state } = renderLive((live) => page.body(facts, live, visit));
        return { state, everySeconds: page.everySeconds(facts) };
      },
    },
  ];
}
