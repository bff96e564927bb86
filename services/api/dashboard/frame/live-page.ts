import type { Scope } from '../../http/caller.ts';
import type { Html } from '../../pages/html.ts';
import { dashboardPage, type PageText } from './layout.ts';
import { type Live, renderLive } from './live.ts';
import { type DashboardPage, pageResponse, type Visit, type VisitDeps } from './visit.ts';

/** A page that updates while it is open. */
export interface LivePage<Facts> {
  readonly path: string;
  readonly needs: Scope | undefined;
  /** The menu entry of the page. */
  readonly section: string;
  /** A stylesheet in addition to those of every page. */
  readonly styles?: string;
  title(facts: Facts, visit: Visit): string;
  /** Interval of the reads, once for all viewers. */
  everySeconds(facts: Facts): number;
  /** Reads from the API what the page shows. @throws AppError the API's refusal */
  read(visit: Visit): Promise<Facts>;
  body(facts: Facts, live: Live, visit: Visit): Html;
}

/** The page, and the route from which its module gets changes. */
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
