import { resourceNames } from '../exports/export-list.ts';
import { isMoving } from '../exports/export-page.ts';
import { livePage } from '../frame/live-page.ts';
import { type DashboardPage, seeOther, type VisitDeps } from '../frame/visit.ts';
import { listBody, readList, SECTION, STYLES } from './check-list.ts';
import { checkBody, readCheck } from './check-page.ts';
import { newCheckPages } from './new-check-page.ts';

const LIST_SECONDS = 5;
const MOVING_SECONDS = 1;
const ENDED_SECONDS = 15;

/** The pages of checks, with which a customer compares its copy of the records. */
export function verifyPages(deps: Pick<VisitDeps, 'frameAncestors'>): DashboardPage[] {
  const live = { needs: 'exports:read', section: SECTION, styles: STYLES } as const;
  return [
    ...livePage(
      {
        ...live,
        path: SECTION,
        title: (_, { text }) => text.verify.list.title,
        everySeconds: () => LIST_SECONDS,
        read: readList,
        body: listBody,
      },
      deps,
    ),
    // Before the page of a check, whose path has the same form.
    ...newCheckPages(deps),
    ...livePage(
      {
        ...live,
        path: `${SECTION}/{id}`,
        title: ({ resources }, visit) => visit.text.verify.details.title(resourceNames(resources, visit)),
        everySeconds: (check) => (isMoving(check) ? MOVING_SECONDS : ENDED_SECONDS),
        read: readCheck,
        body: checkBody,
      },
      deps,
    ),
    {
      method: 'POST',
      path: `${SECTION}/{id}/cancel`,
      needs: 'exports:write',
      async handle(visit) {
        const { id } = await readCheck(visit);
        await visit.send('cancelExport', { params: { id } });
        return seeOther(`${SECTION}/${id}`);
      },
    },
  ];
}
