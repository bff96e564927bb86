import { html } from '../../pages/html.ts';
import { dashboardPage } from '../frame/layout.ts';
import { type DashboardPage, pageResponse, type VisitDeps } from '../frame/visit.ts';
import { type RunbookFile, runbookPage } from './runbook.ts';

const SECTION = '/dashboard/operator/runbook';

/** The runbook of this release, and every setting. */
export function runbookPages(deps: Pick<VisitDeps, 'frameAncestors'>): DashboardPage[] {
  const page = (path: string, file: RunbookFile): DashboardPage => ({
    method: 'GET',
    path,
    needs: undefined,
    async handle(visit) {
      const { html: content, headings } = runbookPage(file, visit);
      const text = visit.text.operator.runbook;
      const sections = headings.filter(({ depth }) => depth === 2 || depth === 3);
      return pageResponse(
        dashboardPage(visit, visit.session, {
          title: text.title,
          section: SECTION,
          styles: 'operator.css',
          body: html`<div class="runbook-page">
<details class="contents"><summary>${text.contents}</summary><ul>${sections.map(({ id, text: title, depth }) => html`<li data-depth="${depth}"><a href="#${id}">${title}</a></li>`)}</ul></details>
<article lang="en">${content}</article></div>`,
        }),
        deps,
      );
    },
  });
  return [page(SECTION, 'runbook'), page(`${SECTION}/configuration`, 'configuration')];
}
