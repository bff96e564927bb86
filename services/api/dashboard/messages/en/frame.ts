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
  notCurrent: 'The server does not respond. This page may be out of date.',
  none: '–',
  never: 'Never',
  now: 'now',
  sure: 'Yes, do it',
  refresh: 'Reload the page to see its progress.',
  nav: { label: 'Pages', overview: 'Overview', exports: 'Exports', bulk: 'Bulk jobs' },
  problems: {
    title: 'This did not work',
    csrf: 'The form is not from this session. Go back, reload the page and send it again.',
    origin: (publicOrigin: string | undefined) =>
      `The form was not sent by a page of the dashboard${publicOrigin === undefined ? '.' : ` at ${publicOrigin}. Open the dashboard there.`}`,
    back: 'To the overview',
    requestId: 'Request',
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
