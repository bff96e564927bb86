import type { TableFacts } from '../../shared/catalog/table-facts.ts';

/** A plain table with the columns `id` and `account_id`. */
export function tableFacts(part: Partial<TableFacts> = {}): TableFacts {
  const oid = part.oid ?? 7;
  const identityColumns = ['id', 'account_id'];
  return {
    oid,
    kind: 'r',
    snapshot: '100:100:',
    publication: 'p',
    isPublished: true,
    replicaIdentity: 'f',
    identityColumns,
    isReadable: true,
    columnCount: 2,
    columns: identityColumns.map((name, at) => ({
      place: at + 1,
      name,
      typeOid: 25,
      collation: 100,
      version: '90',
      hasMissing: false,
      isGenerated: false,
    })),
    files: [
      {
        oid,
        name: 'app.t',
        file: 70,
        persistence: 'p',
        kind: 'r',
        identity: 'f',
        identityColumns,
        links: [],
      },
    ],
    types: [],
    typeVersions: [],
    childCount: 0,
    ...part,
  };
}
