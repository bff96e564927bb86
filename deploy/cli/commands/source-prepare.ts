import { Option } from 'commander';
import { grantsFor } from '../../../shared/bulk/role-rights.ts';
import { loadCatalog } from '../../../shared/catalog/load-catalog.ts';
import type { IdentityWish } from '../../../shared/catalog/replica-identity.ts';
import type { Catalog } from '../../../shared/domain/catalog.ts';
import { SetupError } from '../../../shared/runtime/errors.ts';
import type { Command, CommandContext } from '../command.ts';
import { adviseIdentities } from '../identity-advice.ts';
import { prepareSource, reviewPreparation } from '../prepare-source.ts';
import { readSourceSettings, withSource } from '../source-settings.ts';

const WISHES: readonly IdentityWish[] = ['auto', 'index', 'full'];

/** Run once by a role that may alter the tables. Repeating it does nothing. */
export const sourcePrepareCommand: Command = {
  name: 'source prepare',
  summary: 'make the source ready: replica identities, publication, slot',
  notes:
    'Reads CATALOG, DATABASE_URL, PUBLICATION_NAME and SLOT_NAME. Exits 1 when a resource is refused; the others are prepared. ' +
    'A job before the services takes --allow-refused: they say of such a resource that it is refused.',
  declare(program, perform) {
    program
      .option(
        '--print',
        'only print the SQL, for someone else to run; also while rights or settings are missing',
        false,
      )
      .addOption(
        new Option(
          '--identity <kind>',
          "what the WAL says of an old row: auto (by the catalog's as_of, else whole rows where they are narrow), " +
            'index (one is made where there is none; it writes no large values again), full (whole rows, which as_of needs)',
        )
          .choices(WISHES)
          .default('auto'),
      )
      .option(
        '--roles <names>',
        'with --print: roles of the services that own nothing, for reading, streaming and bulk jobs, with commas between (or one ' +
          'for all); prints what each has to be granted',
      )
      .option('--allow-refused', 'exit 0 when resources are refused and all others are prepared', false)
      .action((options: PrepareOptions) => perform((context) => prepare(options, context)));
  },
};

interface PrepareOptions {
  readonly print: boolean;
  readonly identity: IdentityWish;
  readonly roles?: string;
  readonly allowRefused: boolean;
}

/** Which services have which rights. */
const ROLE_PURPOSES = [
  ['read', 'extractor'],
  ['stream', 'capture'],
  ['change', 'bulk, api'],
] as const;

function grantLines(catalog: Catalog, roles: string | undefined): string[] {
  if (roles === undefined) {
    return ["-- the services' own roles need no more than what --roles <reading>,<streaming>,<bulk> prints"];
  }
  const names = roles.split(',').map((name) => name.trim());
  if ((names.length !== 1 && names.length !== ROLE_PURPOSES.length) || names.includes('')) {
    throw new SetupError('--roles takes one role, or three: for reading, streaming and bulk jobs');
  }
  const told = new Set<string>();
  return ROLE_PURPOSES.flatMap(([purpose, services], at) => {
    const role = names[names.length === 1 ? 0 : at] ?? '';
    const grants = grantsFor(catalog, purpose, role).filter((grant) => !told.has(grant));
    for (const grant of grants) told.add(grant);
    return [`-- ${role}, for ${services}:`, ...grants.map((grant) => `${grant};`)];
  });
}

async function prepare(
  { print, identity, roles, allowRefused }: PrepareOptions,
  { env, say }: CommandContext,
): Promise<number> {
  const settings = readSourceSettings(env);
  const catalog = await loadCatalog(settings.catalogPath);
  const names = { publication: settings.publication, slot: settings.slot };
  return withSource(settings.databaseUrl, async (db) => {
    if (print) {
      const { statements, blocking, refused } = await reviewPreparation(db, catalog, names, identity);
      for (const line of blocking) say(`-- first: ${line}`);
      for (const line of refused.values()) say(`-- refused: ${line}`);
      for (const statement of statements) say(`${statement};`);
      if (statements.length + blocking.length === 0) say('-- nothing to do: the source is prepared');
      for (const line of grantLines(catalog, roles)) say(line);
      for (const line of await adviseIdentities(db, catalog, statements)) say(`-- ${line}`);
      return blocking.length + refused.size === 0 ? 0 : 1;
    }
    const refused: string[] = [];
    const statements = await prepareSource(db, catalog, names, {
      identity,
      onRefused: (line) => refused.push(line),
      onLongStatement: (statement) =>
        say(
          `-- this takes as long as the table is large, and waits for transactions that are open: ${statement}`,
        ),
    });
    for (const statement of statements) say(`${statement};`);
    if (statements.length === 0) say('nothing to do: the source is prepared');
    for (const line of await adviseIdentities(db, catalog, [])) say(`-- ${line}`);
    for (const line of refused) say(`-- refused, and the others go on: ${line}`);
    return refused.length === 0 || allowRefused ? 0 : 1;
  });
}
