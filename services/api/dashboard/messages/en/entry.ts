/** The ways in and out. */
export const entry = {
  login: {
    title: 'Sign in',
    lead: 'Sign in with an API key of your account. The session may do what the key may, and ends when the key is revoked.',
    key: 'API key',
    submit: 'Sign in',
    unknown: 'The key is unknown or revoked.',
  },
  enter: {
    title: 'Open the dashboard',
    lead: 'Your link opens the dashboard once.',
    noScript: 'Without JavaScript, copy what follows “code=” in the address of this page into the field.',
    code: 'Code of the link',
    submit: 'Open the dashboard',
    invalid: 'This link has been used already, or has expired. Open the dashboard from your product again.',
    away: 'Get a new link',
  },
  replace: {
    title: 'Switch accounts?',
    lead: (from: string, to: string) => `You are in the dashboard of ${from}. This link opens that of ${to}.`,
    submit: 'Switch accounts',
    stay: 'Stay here',
  },
  over: {
    title: 'Your session is over',
    expired: 'It was idle for too long, or has reached its maximum duration.',
    revoked: 'It was signed out, replaced by another, or ended by the operator, or its API key was revoked.',
    again: 'Get a new link',
    signIn: 'Sign in again',
  },
  signedOut: {
    title: 'You are signed out',
    lead: 'The session has ended.',
  },
};
