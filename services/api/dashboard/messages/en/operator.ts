/** The operator's pages. */
export const operator = {
  nav: {
    status: 'Status',
  },
  entry: {
    reloads: 'One moment',
    goOn: 'Go on',
    expired: 'The operator’s session ends after 15 minutes without a request, and after 4 hours in any case.',
    revoked: 'It was signed out, replaced by another or ended, or the operator’s key has changed.',
    signedOut: 'The operator’s session has ended.',
    framed: 'The operator’s pages open in no frame. Sign in in a window of its own.',
  },
  status: {
    title: 'Status',
    services: 'Services',
    columns: { service: 'Service', state: 'State', since: 'Up since', version: 'Version', host: 'Host' },
    ready: 'Ready',
    starting: 'Starting',
    silent: 'Silent',
    none: 'No process has reported.',
  },
};
