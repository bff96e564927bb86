import type { Body } from '../../../schemas/clients/typescript/src/index.ts';
import { customerCommand } from './customer-command.ts';
import { formatFacts } from './format.ts';
import { commaList, first, given, limited, printList } from './options.ts';

type Scopes = Body<'createAccountKey'>['scopes'];

const listCommand = customerCommand<{ limit: number }>({
  name: 'keys list',
  summary: 'list the API keys of the account, newest first',
  notes: 'Revoked keys are listed too. Needs the scope keys:read.',
  examples: ['tandem keys list', 'tandem keys list --json'],
  declare: limited,
  async run(customer, { limit }) {
    const list = customer.client().keys.list({ limit: Math.min(limit, 100) }, { signal: customer.signal });
    await printList(
      customer,
      list,
      limit,
      ['ID', 'BEGINS', 'NAME', 'STATE', 'LAST USED', 'SCOPES'],
      (each) => [
        each.id,
        each.prefix,
        each.name,
        each.revoked_at === null ? 'in use' : 'revoked',
        each.last_used_at,
        each.scopes.join(','),
      ],
    );
  },
});

const createCommand = customerCommand<{ scopes: string[]; name?: string }>({
  name: 'keys create',
  summary: 'make an API key that may do no more than yours, and show it',
  notes: 'The key is shown only now. Needs the scope keys:write, and each scope that the new key is to have.',
  examples: ['tandem keys create --scopes exports:read,exports:write --name warehouse'],
  declare: (program) =>
    program
      .requiredOption('--scopes <scopes>', 'what the key may do, such as exports:read,events:read', commaList)
      .option('--name <text>', 'for people'),
  async run({ client, signal, print, note }, { scopes, name }) {
    // The API knows which there are.
    const request = { scopes: scopes as Scopes, ...given({ name }) };
    const made = await client().keys.create(request, { signal });
    const { id, key, secret_withheld: withheld } = made;
    print(made, formatFacts({ id, key, scopes: made.scopes.join(',') }));
    note(withheld ?? 'keep the key now: it is not shown again');
  },
});

const revokeCommand = customerCommand<{ withMade?: true }>({
  name: 'keys revoke',
  summary: 'revoke an API key: its next request is refused',
  notes: 'Needs the scope keys:write. It revokes any key of the account, also the one that you use.',
  examples: ['tandem keys revoke key_01kb8z', 'tandem keys revoke key_01kb8z --with-made'],
  declare: (program) =>
    program
      .argument('<id>', 'ID of the key')
      .option('--with-made', 'revokes the keys that it made too, and those that they made'),
  async run({ client, signal, print }, { withMade }, args) {
    const id = first(args);
    await client().keys.revoke(id, { signal, ...(withMade ? { with_made: 'true' } : {}) });
    print({ id, revoked: true }, [`revoked ${id}`]);
  },
});

export const keyCommands = [listCommand, createCommand, revokeCommand];
