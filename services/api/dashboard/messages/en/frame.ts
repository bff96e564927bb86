/** What stands around each page, and words that several pages share. */
export const frame = {
  /** For the attribute `lang` of the page. */
  language: 'en',
  languageName: 'English',
  languages: 'Language',
  product: 'Tandem',
  skip: 'Skip to the content',
  dashboard: 'Dashboard',
  signOut: 'Sign out',
  darkTheme: 'Dark theme',
  /** Of a button that copies: before, after, and where the text is only selected. */
  copyWords: ['Copy', 'Copied', 'Selected'],
  notCurrent: 'The server does not respond. This page may be out of date.',
  changed: 'This page has changed.',
  loadAgain: 'Reload',
  none: '–',
  never: 'Never',
  now: 'now',
  sure: 'Yes, do it',
  refresh: 'Reload the page to see its progress.',
  operator: 'Operator',
  nav: {
    label: 'Pages',
    menu: 'Menu',
    overview: 'Overview',
    exports: 'Exports',
    webhooks: 'Webhooks',
    bulk: 'Bulk jobs',
    verify: 'Verify',
    events: 'Events',
    keys: 'API keys',
    audit: 'Audit log',
  },
  problems: {
    title: 'This did not work',
    csrf: 'The form is not from this session. Go back, reload the page and send it again.',
    origin: (publicOrigin: string | undefined) =>
      `The form was not sent by a page of the dashboard${publicOrigin === undefined ? '.' : ` at ${publicOrigin}. Open the dashboard there.`}`,
    back: 'To the overview',
    requestId: 'Request',
    /** By the code of the problem. What a request of somebody has caused has words of its own. */
    codes: {
      not_found: 'There is nothing at this address.',
      method_not_allowed:
        'This address does not accept such a request. Go back and use the button on the page.',
      timed_out: 'The request did not arrive in time. Try again.',
      too_large: 'The form is larger than this page accepts.',
      headers_too_large:
        'The browser sends more than the server reads: the address is too long, or this site has too many cookies. Delete its cookies and try again.',
      internal: 'The fault is on our side. Try again. If it happens again, report the request below.',
      unavailable: 'The server cannot handle this at the moment. Try again shortly.',
    },
  },
  status: {
    pending: 'Queued',
    running: 'Running',
    cancelling: 'Cancelling',
    completed: 'Completed',
    failed: 'Failed',
    cancelled: 'Cancelled',
    expired: 'Expired',
    active: 'Active',
    paused: 'Paused',
    disabled: 'Disabled',
  },
};
