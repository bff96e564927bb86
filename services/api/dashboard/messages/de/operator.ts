import type { operator as en } from '../en/operator.ts';

export const operator: typeof en = {
  nav: {
    status: 'Status',
  },
  entry: {
    reloads: 'Einen Moment',
    goOn: 'Weiter',
    expired: 'Die Sitzung des Betreibers endet nach 15 Minuten ohne Anfrage und spätestens nach 4 Stunden.',
    revoked: 'Sie wurde abgemeldet, ersetzt oder beendet, oder der Schlüssel des Betreibers wurde geändert.',
    signedOut: 'Die Sitzung des Betreibers ist beendet.',
    framed:
      'Die Seiten des Betreibers öffnen sich in keinem Frame. Melden Sie sich in einem eigenen Fenster an.',
  },
  status: {
    title: 'Status',
    services: 'Dienste',
    columns: { service: 'Dienst', state: 'Zustand', since: 'Läuft seit', version: 'Version', host: 'Host' },
    ready: 'Bereit',
    starting: 'Startet',
    silent: 'Stumm',
    none: 'Kein Prozess hat sich gemeldet.',
  },
};
