import type { z } from 'zod';
import type { AppError } from '../../../../shared/runtime/errors.ts';
import type { ApiResponse } from '../../http/response.ts';
import type { redeliverySchema, webhookTestSchema } from '../../webhooks/response.ts';
import { renderLive } from '../frame/live.ts';
import { livePage } from '../frame/live-page.ts';
import { type DashboardPage, seeOther, type Visit } from '../frame/visit.ts';
import { attemptListPage } from './attempt-list.ts';
import { attemptPage } from './attempt-page.ts';
import { deadLetterPage } from './dead-letter-page.ts';
import { readEndpoint } from './endpoint-facts.ts';
import { endpointBody } from './endpoint-page.ts';
import { formPages, secretBody, type WebhookWithSecret } from './form-pages.ts';
import { listBody, readList } from './webhook-list.ts';
import {
  endpointPath,
  instantOf,
  nameOf,
  orAgain,
  type PageDeps,
  requestKey,
  SECTION,
  STYLES,
  stillPage,
  withDone,
} from './webhook-parts.ts';

const LIST_SECONDS = 5;
const ENDPOINT_SECONDS = 3;

/** The webhook endpoints of an account, and all that can be seen and done with each. */
export function webhookPages(deps: PageDeps): DashboardPage[] {
  const live = { needs: 'webhooks:read', section: SECTION, styles: STYLES } as const;
  return [
    ...livePage(
      {
        ...live,
        path: SECTION,
        title: (_, { text }) => text.webhooks.list.title,
        everySeconds: () => LIST_SECONDS,
        read: readList,
        body: listBody,
      },
      deps,
    ),
    ...formPages(deps),
    ...livePage(
      {
        ...live,
        path: `${SECTION}/{id}`,
        title: ({ webhook }) => nameOf(webhook),
        everySeconds: () => ENDPOINT_SECONDS,
        read: (visit: Visit) => readEndpoint(visit),
        body: (facts, pieces, visit) => endpointBody(facts, pieces, visit),
      },
      deps,
    ),
    attemptListPage(deps),
    attemptPage(deps),
    deadLetterPage(deps),
    ...ACTIONS.map(
      ([name, change]): DashboardPage => ({
        method: 'POST',
        path: `${SECTION}/{id}/${name}`,
        needs: 'webhooks:write',
        handle: (visit) =>
          orAgain(
            () => change(visit, visit.request.param('id'), deps),
            (error) => showAgain(visit, deps, error),
          ),
      }),
    ),
  ];
}

type Change = (visit: Visit, id: string, deps: PageDeps) => Promise<ApiResponse>;

const ACTIONS: readonly (readonly [name: string, change: Change])[] = [
  ['test', sendTest],
  ['pause', (visit, id) => move(visit, id, 'pauseWebhook', 'paused')],
  ['resume', (visit, id) => move(visit, id, 'resumeWebhook', 'resumed')],
  ['recover', recover],
  ['replay', replay],
  ['redeliver', redeliver],
  ['rotate', rotate],
  ['delete', remove],
];

/** The page of the endpoint, with what was refused. Another problem, as of an endpoint that is gone, is a page of its own. */
async function showAgain(visit: Visit, deps: PageDeps, error: AppError): Promise<ApiResponse> {
  if (error.code === 'not_found' || error.code === 'forbidden') throw error;
  const facts = await readEndpoint(visit);
  const { content } = renderLive((pieces) => endpointBody(facts, pieces, visit, error));
  return stillPage(visit, deps, nameOf(facts.webhook), content, error);
}

async function sendTest(visit: Visit, id: string): Promise<ApiResponse> {
  const test = await visit.ask<z.output<typeof webhookTestSchema>>('testWebhook', { params: { id } });
  return seeOther(`${endpointPath(id)}?test=${encodeURIComponent(test.event_id)}`);
}

async function move(
  visit: Visit,
  id: string,
  operationId: 'pauseWebhook' | 'resumeWebhook',
  done: 'paused' | 'resumed',
): Promise<ApiResponse> {
  await visit.send(operationId, { params: { id } });
  return seeOther(withDone(endpointPath(id), done));
}

async function recover(visit: Visit, id: string): Promise<ApiResponse> {
  const [from, to] = [instantOf(visit.form.get('from')), instantOf(visit.form.get('to'))];
  const body = {
    only: 'failed',
    ...(from === undefined ? {} : { from }),
    ...(to === undefined ? {} : { to }),
  };
  await visit.send('replayWebhook', { params: { id }, body });
  return seeOther(withDone(endpointPath(id), 'recovering'));
}

async function replay(visit: Visit, id: string): Promise<ApiResponse> {
  const { form } = visit;
  const body =
    form.get('start') === 'after_export'
      ? { after_export: form.get('after_export') ?? '' }
      : { since: instantOf(form.get('since')) ?? '' };
  await visit.send('replayWebhook', { params: { id }, body });
  return seeOther(withDone(endpointPath(id), 'replaying'));
}

async function redeliver(visit: Visit, id: string): Promise<ApiResponse> {
  const { form } = visit;
  const attempt = /^\d{1,18}$/.exec(form.get('attempt') ?? '')?.[0];
  const { state } = await visit.ask<z.output<typeof redeliverySchema>>('redeliverEvent', {
    params: { id: form.get('event') ?? '' },
    body: { webhook_id: id },
  });
  const from = form.get('list') === 'dead' ? '/dead-letters' : attempt && `/attempts/${attempt}`;
  return seeOther(withDone(endpointPath(id, from ?? ''), state));
}

async function rotate(visit: Visit, id: string, deps: PageDeps): Promise<ApiResponse> {
  const rotated = await visit.ask<WebhookWithSecret>('rotateWebhookSecret', {
    params: { id },
    idempotencyKey: requestKey(visit),
  });
  const title = visit.text.webhooks.secret.rotatedTitle;
  return stillPage(visit, deps, title, secretBody(title, rotated, visit));
}

async function remove(visit: Visit, id: string): Promise<ApiResponse> {
  await visit.send('deleteWebhook', { params: { id } });
  return seeOther(withDone(SECTION, 'deleted'));
}
