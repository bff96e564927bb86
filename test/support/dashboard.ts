import type { Page } from 'playwright-core';
import { beforeAll, describe, expect, test } from 'vitest';
import type { DashboardPage } from '../../services/api/dashboard/frame/visit.ts';
import { SCOPES } from '../../services/api/http/caller.ts';
import { ADMIN_KEY, type ApiReply, type TestApi } from './api-server.ts';

type Account = Awaited<ReturnType<TestApi['account']>>;

/** Asks for pages and sends forms as a browser does. */
export interface DashboardVisitor {
  /** Opens a session by a portal link. @returns its cookie */
  open(account: Pick<Account, 'id'>, request?: unknown): Promise<string>;
  show(path: string, cookie: string): Promise<ApiReply>;
  send(
    path: string,
    fields: Readonly<Record<string, string>> | URLSearchParams,
    cookie: string,
  ): Promise<ApiReply>;
  /** Sends a form with a file, in parts. */
  sendFile(
    path: string,
    fields: Readonly<Record<string, string>>,
    file: File,
    cookie: string,
  ): Promise<ApiReply>;
  /** The token that the forms of a session carry. */
  csrf(cookie: string): Promise<string>;
}

export function createDashboardVisitor(api: TestApi): DashboardVisitor {
  const show: DashboardVisitor['show'] = (path, cookie) => api.call('GET', path, { headers: { cookie } });
  const send: DashboardVisitor['send'] = (path, fields, cookie) => sendForm(api, path, fields, { cookie });
  const sendFile: DashboardVisitor['sendFile'] = async (path, fields, file, cookie) => {
    const form = new FormData();
    for (const [name, value] of Object.entries(fields)) form.append(name, value);
    form.append('file', file);
    const request = new Request('http://x/', { method: 'POST', body: form });
    return api.call('POST', path, {
      body: await request.text(),
      headers: { 'content-type': request.headers.get('content-type') ?? '', origin: api.url, cookie },
    });
  };
  return {
    show,
    send,
    sendFile,
    async open(account, request = { scopes: SCOPES }) {
      const url = await newPortalLink(api, account, request);
      const reply = await send('/dashboard/enter', { code: new URL(url).hash.replace('#code=', '') }, '');
      expect(reply.status).toBe(303);
      return cookieOf(reply);
    },
    csrf: async (cookie) => csrfOf((await show('/dashboard', cookie)).text),
  };
}

/** Sends a form as a browser does; by default on a page of this origin, and without a session. */
export function sendForm(
  api: TestApi,
  path: string,
  fields: Readonly<Record<string, string>> | URLSearchParams,
  { cookie = '', origin = api.url, ...headers }: Record<string, string> = {},
): Promise<ApiReply> {
  return api.call('POST', path, {
    body: new URLSearchParams(fields).toString(),
    headers: { 'content-type': 'application/x-www-form-urlencoded', origin, cookie, ...headers },
  });
}

/** The cookie that a response sets. */
export const cookieOf = ({ headers }: ApiReply): string =>
  (headers.get('set-cookie') ?? '').split(';')[0] ?? '';

/** Makes a portal link, as the backend of the product does. */
export async function newPortalLink(
  api: TestApi,
  { id }: Pick<Account, 'id'>,
  request: unknown = { scopes: SCOPES },
): Promise<string> {
  const path = `/admin/accounts/${id}/portal-links`;
  const { status, text, json } = await api.call('POST', path, { key: ADMIN_KEY, body: request });
  expect(status, text).toBe(201);
  return json.url;
}

/** Goes in by a portal link in a browser, and waits for the page that the link leads to. */
export async function enterDashboard(
  page: Page,
  api: TestApi,
  account: Pick<Account, 'id'>,
  next: string,
  more: Readonly<Record<string, unknown>> = {},
): Promise<void> {
  await page.goto(await newPortalLink(api, account, { scopes: SCOPES, next, ...more }));
  await page.waitForURL(`${api.url}${next}`);
}

export function csrfOf(text: string): string {
  return /name="csrf" value="([^"]+)"/.exec(text)?.[1] ?? '';
}

/** The value of a field of a form. */
export const fieldOf = (text: string, name: string): string =>
  new RegExp(`name="${name}" value="([^"]*)"`).exec(text)?.[1] ?? '';

/** The form of a page with what the page itself has put into it. */
export async function openForm(visitor: DashboardVisitor, account: Pick<Account, 'id'>, path: string) {
  const cookie = await visitor.open(account);
  let { status, text } = await visitor.show(path, cookie);
  expect(status).toBe(200);
  return {
    cookie,
    page: () => text,
    async send(fields: Readonly<Record<string, string>>) {
      const kept = ['csrf', 'request', 'by', 'previewed', 'file_id', 'failed_of']
        .map((name) => [name, fieldOf(text, name)] as const)
        .filter(([, value]) => value !== '');
      const reply = await visitor.send(
        path.split('?')[0] ?? '',
        { ...Object.fromEntries(kept), ...fields },
        cookie,
      );
      if (reply.status !== 303) ({ status, text } = reply);
      return reply;
    },
  };
}

/** What a page of the matrix is asked about. */
export interface Arranged {
  /** Of the page's path. */
  readonly params: Readonly<Record<string, string>>;
  /** What the form sends besides its token. */
  readonly fields?: Readonly<Record<string, string>>;
  /** The form sends this file. */
  readonly file?: File;
  /** The status for whoever may. Default: 200, and 303 after a form. */
  readonly good?: number;
  /** A text that only the owner's pages have. */
  readonly own: string;
  /** Whether the request has changed the owner's object; only for a form about one. */
  isChanged?(): Promise<boolean>;
  /** Removes what the test has made, where there is a limit of it. */
  end?(): Promise<unknown>;
}

const KINDS = ['none', 'read-only', 'full', 'expired', 'revoked', 'other account'] as const;

/** Tests each page with each kind of session: who sees it, who may change something, and what others learn. */
export function describeEachSession(
  pages: readonly DashboardPage[],
  { api, arrange }: { api(): TestApi; arrange(owner: Account, page: DashboardPage): Promise<Arranged> },
): void {
  describe('each page and each kind of session', () => {
    let owner: Account;
    let visitor: DashboardVisitor;
    const cookies: Record<string, string> = {};

    beforeAll(async () => {
      visitor = createDashboardVisitor(api());
      owner = await api().account();
      const readOnly = { scopes: SCOPES.filter((scope) => scope.endsWith(':read')) };
      cookies.none = '';
      cookies['read-only'] = await visitor.open(owner, readOnly);
      cookies.full = await visitor.open(owner);
      cookies['other account'] = await visitor.open(await api().account());
      const ended = await api().account();
      cookies.expired = await visitor.open(ended);
      await api().pool.query('update portal_sessions set expires_at = now() where account_id = $1', [
        ended.id,
      ]);
      const revoked = await api().account();
      cookies.revoked = await visitor.open(revoked);
      await api().call('DELETE', `/admin/accounts/${revoked.id}/portal-sessions`, { key: ADMIN_KEY });
    });

    const sendForm = (
      path: string,
      fields: Readonly<Record<string, string>>,
      file: File | undefined,
      cookie: string,
    ) =>
      file === undefined ? visitor.send(path, fields, cookie) : visitor.sendFile(path, fields, file, cookie);

    test.each(pages.flatMap((page) => KINDS.map((kind) => [page.method, page.path, kind, page] as const)))(
      '%s %s: %s',
      async (method, template, kind, page) => {
        const {
          params,
          fields = {},
          file,
          own,
          good = method === 'POST' ? 303 : 200,
          isChanged,
          end,
        } = await arrange(owner, page);
        const path = template.replace(/\{(\w+)\}/g, (_, name: string) =>
          encodeURIComponent(params[name] ?? ''),
        );
        const cookie = cookies[kind] ?? '';
        const isIn = kind === 'read-only' || kind === 'full' || kind === 'other account';
        const reply =
          method === 'GET'
            ? await visitor.show(path, cookie)
            : await sendForm(path, { csrf: isIn ? await visitor.csrf(cookie) : '', ...fields }, file, cookie);
        const isObject = template.includes('{id}');
        const isRead = page.needs === undefined || page.needs.endsWith(':read');
        const expected = {
          none: page.isLive === true ? 401 : 303,
          expired: 401,
          revoked: 401,
          'read-only': isRead ? good : 403,
          full: good,
          'other account': isObject ? 404 : good,
        }[kind];
        expect(reply.status, reply.text.slice(0, 400)).toBe(expected);
        if (kind === 'none' && page.isLive !== true) {
          expect(reply.headers.get('location')).toMatch(/^\/dashboard\/login/);
        }
        // The response to another account repeats the ID that it asked for, and has nothing else of it.
        if (kind !== 'full' && kind !== 'read-only') expect(reply.text).not.toContain(own);
        if (isChanged !== undefined) expect(await isChanged()).toBe(kind === 'full');
        await end?.();
      },
    );
  });
}
