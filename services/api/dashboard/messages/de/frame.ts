import type { frame as en } from '../en/frame.ts';

export const frame: typeof en = {
  language: 'de',
  languageName: 'Deutsch',
  languages: 'Sprache',
  product: 'Tandem',
  skip: 'Zum Inhalt',
  dashboard: 'Dashboard',
  signOut: 'Abmelden',
  darkTheme: 'Dunkle Darstellung',
  notCurrent: 'Der Server antwortet nicht. Diese Seite ist vielleicht nicht aktuell.',
  none: '–',
  never: 'Nie',
  now: 'jetzt',
  refresh: 'Laden Sie die Seite neu, um den Fortschritt zu sehen.',
  sure: 'Ja, ausführen',
  nav: { label: 'Seiten', overview: 'Übersicht', exports: 'Exporte', bulk: 'Massenaufträge' },
  problems: {
    title: 'Das hat nicht geklappt',
    csrf: 'Das Formular gehört nicht zu dieser Sitzung. Gehen Sie zurück, laden Sie die Seite neu und senden Sie es noch einmal.',
    origin: (publicOrigin) =>
      `Das Formular wurde nicht von einer Seite des Dashboards gesendet${publicOrigin === undefined ? '.' : `. Öffnen Sie das Dashboard unter ${publicOrigin}.`}`,
    back: 'Zur Übersicht',
    requestId: 'Anfrage',
  },
  status: {
    pending: 'Wartet',
    running: 'Läuft',
    cancelling: 'Wird abgebrochen',
    completed: 'Fertig',
    failed: 'Fehlgeschlagen',
    cancelled: 'Abgebrochen',
    expired: 'Abgelaufen',
    active: 'Aktiv',
    paused: 'Angehalten',
    disabled: 'Abgeschaltet',
  },
};
