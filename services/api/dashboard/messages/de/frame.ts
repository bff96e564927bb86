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
  copyWords: ['Kopieren', 'Kopiert', 'Markiert'],
  notCurrent: 'Der Server antwortet nicht. Diese Seite ist vielleicht nicht aktuell.',
  changed: 'Diese Seite hat sich geändert.',
  loadAgain: 'Neu laden',
  none: '–',
  never: 'Nie',
  now: 'jetzt',
  refresh: 'Laden Sie die Seite neu, um den Fortschritt zu sehen.',
  sure: 'Ja, ausführen',
  operator: 'Betreiber',
  nav: {
    label: 'Seiten',
    menu: 'Menü',
    overview: 'Übersicht',
    exports: 'Exporte',
    webhooks: 'Webhooks',
    bulk: 'Massenaufträge',
    verify: 'Abgleich',
    events: 'Ereignisse',
    keys: 'API-Schlüssel',
    audit: 'Protokoll',
  },
  problems: {
    title: 'Das hat nicht geklappt',
    csrf: 'Das Formular gehört nicht zu dieser Sitzung. Gehen Sie zurück, laden Sie die Seite neu und senden Sie es noch einmal.',
    origin: (publicOrigin) =>
      `Das Formular wurde nicht von einer Seite des Dashboards gesendet${publicOrigin === undefined ? '.' : `. Öffnen Sie das Dashboard unter ${publicOrigin}.`}`,
    back: 'Zur Übersicht',
    requestId: 'Anfrage',
    codes: {
      not_found: 'Unter dieser Adresse ist nichts zu finden.',
      method_not_allowed:
        'Diese Adresse nimmt eine solche Anfrage nicht an. Gehen Sie zurück und verwenden Sie die Schaltfläche auf der Seite.',
      timed_out: 'Die Anfrage ist nicht rechtzeitig angekommen. Versuchen Sie es noch einmal.',
      too_large: 'Das Formular ist größer, als diese Seite es zulässt.',
      headers_too_large:
        'Der Browser sendet mehr, als der Server liest: Die Adresse ist zu lang, oder diese Seite hat zu viele Cookies. Löschen Sie ihre Cookies und versuchen Sie es noch einmal.',
      internal:
        'Der Fehler liegt bei uns. Versuchen Sie es noch einmal. Wenn es wieder geschieht, melden Sie die Anfrage, die unten steht.',
      unavailable:
        'Der Server kann die Anfrage im Augenblick nicht bearbeiten. Versuchen Sie es in Kürze noch einmal.',
    },
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
    disabled: 'Deaktiviert',
  },
};
