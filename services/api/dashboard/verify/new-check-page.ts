import { randomUUID } from 'node:crypto';
import { AppError } from '../../../../shared/runtime/errors.ts';
import { readIdempotencyKey } from '../../http/idempotency.ts';
import { PROBLEMS } from '../../http/problem.ts';
import type { ApiResponse } from '../../http/response.ts';
import { flag, type Html, html } from '../../pages/html.ts';
import type { Export, Resource } from '../exports/export-types.ts';
import { readResources } from '../exports/read-resources.ts';
import { faultBox } from '../frame/fault-box.ts';
import { csrfField, dashboardPage } from '../frame/layout.ts';
import { type DashboardPage, pageResponse, seeOther, type Visit, type VisitDeps } from '../frame/visit.ts';
import { SECTION, STYLES } from './check-list.ts';

const PATH = `${SECTION}/new`;

/** The form that starts a check. Every resource that fits is chosen at first, or those of an earlier check. */
export function newCheckPages(deps: Pick<VisitDeps, 'frameAncestors'>): DashboardPage[] {
  const write = { path: PATH, needs: 'exports:write' } as const;
  const show = async (visit: Visit, chosen: readonly string[] | undefined, error?: AppError) => {
    const resources = await readResources(visit);
    const page = {
      title: visit.text.verify.create.title,
      section: SECTION,
      styles: STYLES,
      body: form(resources, chosen, error, visit),
    };
    const status = error === undefined ? 200 : PROBLEMS[error.code].status;
    return pageResponse(dashboardPage(visit, visit.session, page), deps, status);
  };
  return [
    {
      ...write,
      method: 'GET',
      handle: (visit) =>
        show(visit, visit.query.has('resource') ? visit.query.getAll('resource') : undefined),
    },
    {
      ...write,
      method: 'POST',
      async handle(visit): Promise<ApiResponse> {
        const chosen = visit.form.getAll('resource');
        try {
          if (chosen.length === 0) throw new AppError('invalid', visit.text.verify.create.nothingChosen);
          const { id } = await visit.ask<Export>('createExport', {
            body: { resources: chosen, format: 'digest' },
            idempotencyKey: readIdempotencyKey(visit.form.get('request') ?? undefined) ?? randomUUID(),
          });
          return seeOther(`${SECTION}/${id}`);
        } catch (error) {
          if (!(error instanceof AppError)) throw error;
          return show(visit, chosen, error);
        }
      },
    },
  ];
}

function form(
  resources: readonly Resource[],
  chosen: readonly string[] | undefined,
  error: AppError | undefined,
  visit: Visit,
): Html {
  const text = visit.text.verify.create;
  const fits = resources.some((resource) => resource.exports.as_of);
  return html`<h1>${text.title}</h1>
<p class="lead">${text.lead}</p>
${error && faultBox(text.refused, error, { resources: text.resources })}
${fits ? null : html`<p class="note">${text.noneFit}</p>`}
<form method="post" action="${visit.href(PATH)}" class="form">
${csrfField(visit.session)}
<input type="hidden" name="request" value="${randomUUID()}">
<fieldset><legend>${text.resources}</legend>
<ul class="plain">${resources.map((resource) => choice(resource, chosen?.includes(resource.name) ?? true, visit))}</ul></fieldset>
<p class="choices"><button class="primary"${flag('disabled', !fits)}>${text.start}</button></p>
</form>`;
}

function choice({ name, fields, exports }: Resource, isChosen: boolean, visit: Visit): Html {
  const text = visit.text.verify.create;
  const fits = exports.as_of;
  return html`<li><label class="check"><input type="checkbox" name="resource" value="${name}"${flag('checked', fits && isChosen)}${flag('disabled', !fits)}> ${name}</label>
<span class="muted">${text.fields(visit.formats.number(fields.length))}</span>
${fits ? null : html`<p class="hint">${text.noPast}</p>`}</li>`;
}
