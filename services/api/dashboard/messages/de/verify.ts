import type { verify as en } from '../en/verify.ts';

export const verify: typeof en = {
  list: {
    title: 'Abgleich',
    lead: 'Stimmt Ihre Kopie der Datensätze mit der Quelle überein? Eine Prüfung zählt an einer genauen Position des Änderungsfeeds die Datensätze jeder Ressource und bildet ihre Prüfsumme. Vergleichen Sie beides mit Ihrer Kopie an derselben Position.',
    create: 'Neue Prüfung',
    none: 'Noch keine Prüfungen.',
    noneLead: 'Starten Sie eine, und vergleichen Sie ihre Prüfsummen mit denen Ihrer Kopie.',
    noneReadOnly: 'Ihre Sitzung darf keine starten.',
    columns: { check: 'Prüfung', status: 'Status', records: 'Datensätze' },
    older: 'Ältere Prüfungen',
    newest: 'Neueste Prüfungen',
  },
  create: {
    title: 'Neue Prüfung',
    lead: 'Die Prüfung liest jeden Datensatz der gewählten Ressourcen einmal. Sie zählt als Export und wartet in derselben Warteschlange.',
    resources: 'Ressourcen',
    noPast:
      'Frühere Stände der Datensätze werden nicht aufgezeichnet. Der Betreiber kann das ändern: as_of: true im Katalog, außer wenn das Konto der Datensätze das einer anderen Ressource ist.',
    fields: (count) => `${count} Felder`,
    start: 'Prüfung starten',
    nothingChosen: 'Wählen Sie mindestens eine Ressource.',
    noneFit:
      'Keine Ressource lässt sich vergleichen. Der Betreiber kann das ändern: as_of: true im Katalog, wo Datensätze ein eigenes Konto haben.',
    refused: 'Die Prüfung kann nicht gestartet werden.',
  },
  details: {
    title: (resource) => `Prüfung von ${resource}`,
    failed: 'Die Prüfung ist fehlgeschlagen',
    position: 'Position',
    positionLead: 'Ihre Kopie muss jedes Ereignis mit einer kleineren Position enthalten und kein anderes.',
    asOf: 'Stand vom',
    before: 'Vor der Position',
    awaited: 'Die Position steht kurz nach dem Beginn der Prüfung fest.',
    result: 'Datensätze und Prüfsummen',
    waiting: 'Die Prüfsummen stehen hier, sobald die Prüfung fertig ist.',
    expired: 'Die Prüfsummen wurden entfernt. Starten Sie eine neue Prüfung.',
    resource: 'Ressource',
    records: 'Datensätze',
    digest: 'Prüfsumme',
    buckets: 'Teilsummen',
    bucketsOf: (name) => `Teilsummen von ${name}`,
    bucketsLead:
      'Die Datei einer Ressource hat eine Prüfsumme für jeden von 256 Teilen. Sie zeigt, welcher Teil Ihrer Kopie abweicht.',
    compare: 'Ihre Kopie vergleichen',
    withCommand: 'Eine Kopie in SQLite, geführt von der Kommandozeile oder einem Client',
    commandLead:
      'Der Befehl startet eine eigene Prüfung, hält die Kopie an deren Position kurz an und nennt die Datensätze, die abweichen. Exit-Code 0: gleich. 1: Ein Datensatz weicht ab. 2: nicht vergleichbar.',
    withClient: 'Eine Kopie, die ein Client in Ihrem Speicher führt',
    bySelf: 'Jede andere Kopie',
    bySelfSteps: [
      'Wenden Sie jedes Ereignis mit einer kleineren Position als der obigen an und keines ab dort.',
      'Zählen Sie für jede Ressource die Datensätze, und addieren Sie die Prüfsummen aller Datensätze.',
      'Vergleichen Sie mit der Tabelle. Fahren Sie dann fort.',
    ],
    guide: 'Wie eine Prüfsumme gebildet wird, mit Code und Testdaten',
    cancel: 'Prüfung abbrechen',
    confirmCancel: 'Diese Prüfung abbrechen? Was sie gelesen hat, wird entfernt.',
    again: 'Erneut prüfen',
  },
};
