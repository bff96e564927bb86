import { ADMIN_KEY, type ApiReply, type TestApi } from './api-server.ts';

/** The session of a new portal link, as a `Cookie` header. */
export async function openPortalSession(
  api: TestApi,
  account: { readonly id: string },
  request: Readonly<Record<string, unknown>> = {},
): Promise<string> {
  const url = await newPortalLink(api, account, request);
  const code = new URL(url).hash.slice('#code='.length);
  const reply = await sendForm(api, '/dashboard/enter', { code });
  if (reply.status !== 303) throw new Error(`the link opened nothing: ${reply.status} ${reply.text}`);
  return (reply.headers.get('set-cookie') ?? '').split(';')[0] ?? '';
}

export async function newPortalLink(
  api: TestApi,
  account: { readonly id: string },
  request: Readonly<Record<string, unknown>> = {},
): Promise<string> {
  const path = `/admin/accounts/${account.id}/portal-links`;
  const { status, text, json } = await api.call('POST', path, { key: ADMIN_KEY, body: request });
  if (status !== 201) throw new Error(`no link: ${status} ${text}`);
  return json.url;
}

/** Sends a form as a browser does on a page of this origin. */
export function sendForm(
  api: TestApi,
  path: string,
  fields: Readonly<Record<string, string>>,
  headers: Readonly<Record<string, string>> = {},
): Promise<ApiReply> {
  return api.call('POST', path, {
    body: new URLSearchParams(fields).toString(),
    headers: { 'content-type': 'application/x-www-form-urlencoded', origin: api.url, ...headers },
  });
}
