import { AUDIT_SCOPES } from '../../http/audit-log.ts';
import { hasScope } from '../../http/caller.ts';
import { type Content, flag, type Html, html, trusted } from '../../pages/html.ts';
import { LANGUAGE_NAMES, type Language } from '../messages/messages.ts';
import type { LiveState } from './live.ts';
import { homeOf, OPERATOR_HOME, type Visitor } from './visitor.ts';

/** URLs with the public prefix. */
export interface Hrefs {
  href(path: string): string;
  asset(name: string): string;
}

/** URLs and the language of the page. */
export interface View extends Hrefs, Language {
  /** The URL of the page, from its path on. Undefined for the response to a form, which has no URL of its own. */
  readonly at: string | undefined;
}

export interface PageText {
  readonly title: string;
  readonly body: Content;
  /** The menu entry of the page. */
  readonly section?: string;
  /** For a page that updates while it is open: the URL of its changes, and the interval. */
  readonly live?: { readonly path: string; readonly everySeconds: number; readonly state: LiveState };
  /** A stylesheet in addition to those of every page. */
  readonly styles?: string;
  /** A JavaScript module of the page. */
  readonly module?: string;
}

const HALF_MOON = trusted(
  '<svg width="18" height="18" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" aria-hidden="true"><circle cx="12" cy="12" r="9"/><path d="M12 3a9 9 0 0 1 0 18z" fill="currentColor"/></svg>',
);

/** A complete dashboard page. Without a session it has no menu. */
export function dashboardPage(to: View, session: Visitor | undefined, page: PageText): Html {
  const asset = (name: string) => to.href(to.asset(name));
  const { live } = page;
  return html`<html lang="${to.text.frame.language}"${session?.theme === 'dark' ? flag('data-theme="dark"', true) : flag('data-theme="light"', session?.theme === 'light')}>
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${page.title} · ${to.text.frame.product}</title>
<meta name="robots" content="noindex">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="${asset('icon.svg')}" type="image/svg+xml">
<link rel="stylesheet" href="${asset('base.css')}">
<link rel="stylesheet" href="${asset('dashboard.css')}">
${page.styles && html`<link rel="stylesheet" href="${asset(page.styles)}">`}
<script src="${asset('theme.js')}"></script>
<script type="module" src="${asset(page.module ?? 'dashboard.js')}"></script>
</head>
<body data-copy-words="${to.text.frame.copyWords.join('|')}">
<a class="skip" href="#content">${to.text.frame.skip}</a>
${session?.hideNavigation === true ? null : header(to, session, page.section)}
${
  live === undefined
    ? html`<main id="content" tabindex="-1">${page.body}</main>`
    : html`<main id="content" tabindex="-1" data-live="${to.href(live.path)}" data-every="${live.everySeconds}" data-shape="${live.state.shape}">
<p class="note offline" data-note="stale" hidden role="status">${to.text.frame.notCurrent}</p>
<p class="note" data-note="changed" hidden role="status">${to.text.frame.changed} <a href="">${to.text.frame.loadAgain}</a></p>
${page.body}</main>`
}
${session && !session.hideNavigation && to.at !== undefined ? languageSwitch(to, session, to.at) : null}
</body>
</html>
`;
}

function header(to: View, session: Visitor | undefined, current: string | undefined): Html {
  return html`<header class="bar"><div>
<a class="brand" href="${to.href(homeOf(session))}"><img src="${to.href(to.asset('icon.svg'))}" width="26" height="26" alt="">${to.text.frame.product}</a>
<div class="bar-end">
${session && html`<span class="account">${session.accountName ?? to.text.frame.operator}</span>`}
${session?.theme == null ? html`<button type="button" class="icon-button scripted" data-theme-switch aria-pressed="false" aria-label="${to.text.frame.darkTheme}">${HALF_MOON}</button>` : null}
${session && html`<form method="post" action="${to.href(`${homeOf(session)}/logout`)}">${csrfField(session)}<button>${to.text.frame.signOut}</button></form>`}
</div></div>
${session && menu(to, session, current)}</header>`;
}

/** The languages other than the page's. */
function languageSwitch(to: View, session: Visitor, at: string): Html {
  const { language, languages } = to.text.frame;
  return html`<footer class="foot"><form method="post" action="${to.href(`${homeOf(session)}/language`)}">${csrfField(session)}
<input type="hidden" name="next" value="${at}"><span class="muted">${languages}:</span> ${LANGUAGE_NAMES.map(
    ({ tag, name }) =>
      tag === language
        ? html`<strong>${name}</strong> `
        : html`<button class="link" name="language" value="${tag}" lang="${tag}">${name}</button> `,
  )}</form></footer>`;
}

/**
 * The pages that the session may see: as a line where they fit, otherwise as a list that opens. One of the two is
 * shown.
 */
function menu(to: View, session: Visitor, current: string | undefined): Html {
  const entries = (
    session.caller.kind === 'operator' ? operatorEntries(to) : accountEntries(to, session)
  ).filter(({ isShown }) => isShown);
  const { label, menu: word } = to.text.frame.nav;
  const list = html`<ul>${entries.map(
    ({ path, title }) =>
      html`<li><a href="${to.href(path)}" data-title="${title}"${flag('aria-current="page"', path === current)}>${title}</a></li>`,
  )}</ul>`;
  return html`<nav class="places" aria-label="${label}">${list}</nav>
<nav class="menu" aria-label="${label}"><details><summary><span class="muted">${word}</span> ${entries.find(({ path }) => path === current)?.title}</summary>${list}</details></nav>`;
}

interface MenuEntry {
  readonly path: string;
  readonly title: string;
  readonly isShown: boolean;
}

function accountEntries({ text }: View, { caller }: Visitor): MenuEntry[] {
  const { nav } = text.frame;
  return [
    { path: '/dashboard', title: nav.overview, isShown: true },
    { path: '/dashboard/exports', title: nav.exports, isShown: hasScope(caller, 'exports:read') },
    { path: '/dashboard/webhooks', title: nav.webhooks, isShown: hasScope(caller, 'webhooks:read') },
    { path: '/dashboard/bulk', title: nav.bulk, isShown: hasScope(caller, 'bulk:read') },
    { path: '/dashboard/verify', title: nav.verify, isShown: hasScope(caller, 'exports:read') },
    { path: '/dashboard/events', title: nav.events, isShown: hasScope(caller, 'events:read') },
    { path: '/dashboard/keys', title: nav.keys, isShown: hasScope(caller, 'keys:read') },
    {
      path: '/dashboard/audit',
      title: nav.audit,
      isShown: AUDIT_SCOPES.every((scope) => hasScope(caller, scope)),
    },
  ];
}

function operatorEntries({ text }: View): MenuEntry[] {
  const { nav } = text.operator;
  return Object.entries({
    '': nav.status,
    '/accounts': nav.accounts,
    '/failing-endpoints': nav.failingEndpoints,
    '/dead-letters': nav.deadLetters,
    '/audit': nav.audit,
    '/sessions': nav.sessions,
    '/runbook': nav.runbook,
  }).map(([path, title]) => ({ path: OPERATOR_HOME + path, title, isShown: true }));
}

/** Forms without this field are refused. */
export function csrfField({ csrfToken }: Pick<Visitor, 'csrfToken'>): Html {
  return html`<input type="hidden" name="csrf" value="${csrfToken}">`;
}

/** A button with a confirmation. Works without JavaScript. */
export function confirmedForm(
  { session, text }: View & { readonly session: Visitor },
  form: {
    readonly action: string;
    readonly title: string;
    readonly question: string;
    /** Hidden fields to send with the form. */
    readonly fields?: Html;
  },
): Html {
  return html`<details class="confirm"><summary class="button">${form.title}</summary>
<div><p>${form.question}</p>
<form method="post" action="${form.action}">${csrfField(session)}${form.fields}<button class="danger">${text.frame.sure}</button></form></div>
</details>`;
}
