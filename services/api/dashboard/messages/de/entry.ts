import type { entry as en } from '../en/entry.ts';

export const entry: typeof en = {
  login: {
    title: 'Anmelden',
    lead: 'Melden Sie sich mit einem API-Schlüssel Ihres Kontos an. Die Sitzung darf, was der Schlüssel darf, und endet, wenn er widerrufen wird.',
    key: 'API-Schlüssel',
    submit: 'Anmelden',
    unknown: 'Der Schlüssel ist unbekannt oder wurde widerrufen.',
  },
  enter: {
    title: 'Dashboard öffnen',
    lead: 'Ihr Link öffnet das Dashboard einmal.',
    noScript:
      'Ohne JavaScript: Kopieren Sie aus der Adresse dieser Seite in das Feld, was auf „code=“ folgt.',
    code: 'Code des Links',
    submit: 'Dashboard öffnen',
    invalid:
      'Dieser Link wurde schon benutzt oder ist abgelaufen. Öffnen Sie das Dashboard erneut in Ihrem Produkt.',
    away: 'Neuen Link holen',
  },
  replace: {
    title: 'Konto wechseln?',
    lead: (from, to) => `Sie sind im Dashboard von ${from}. Dieser Link öffnet das von ${to}.`,
    submit: 'Konto wechseln',
    stay: 'Hier bleiben',
  },
  over: {
    title: 'Ihre Sitzung ist zu Ende',
    expired: 'Sie war zu lange ungenutzt oder hat ihre maximale Dauer erreicht.',
    revoked:
      'Sie wurde abgemeldet, durch eine andere ersetzt oder vom Betreiber beendet, oder ihr API-Schlüssel wurde widerrufen.',
    again: 'Neuen Link holen',
    signIn: 'Erneut anmelden',
  },
  signedOut: { title: 'Sie sind abgemeldet', lead: 'Die Sitzung ist beendet.' },
};
