import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { postgresUser } from '../../deploy/local/postgres-user.ts';

/** Paths of an authority of a test's own and what it has signed. */
export interface Certificates {
  readonly authority: string;
  /** Of the server: for the name `localhost` and no other. */
  readonly server: { readonly cert: string; readonly key: string };
  /** Of the database role. `encryptedKey` is the same key, which `password` opens. */
  readonly client: {
    readonly cert: string;
    readonly key: string;
    readonly encryptedKey: string;
    readonly password: string;
  };
}

/** Makes them in a directory that exists, with the `openssl` command. The server's key is readable for PostgreSQL's user. */
export function makeCertificates(directory: string, role: string): Certificates {
  const path = (name: string) => join(directory, name);
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const password = 'sesame';
  openssl(
    'req',
    '-x509',
    ...newKey,
    '-keyout',
    path('ca.key'),
    '-out',
    path('ca.pem'),
    '-subj',
    '/CN=Authority of a test',
    '-days',
    '2',
  );
  const sign = (name: string, subject: string, extension: string) => {
    openssl(
      'req',
      ...newKey,
      '-keyout',
      path(`${name}.key`),
      '-out',
      path(`${name}.csr`),
      '-subj',
      `/CN=${subject}`,
    );
    writeFileSync(path(`${name}.ext`), extension);
    openssl(
      'x509',
      '-req',
      '-in',
      path(`${name}.csr`),
      '-CA',
      path('ca.pem'),
      '-CAkey',
      path('ca.key'),
      '-CAcreateserial',
      '-days',
      '2',
      '-extfile',
      path(`${name}.ext`),
      '-out',
      path(`${name}.pem`),
    );
    return { cert: path(`${name}.pem`), key: path(`${name}.key`) };
  };
  const server = sign('server', 'localhost', 'subjectAltName=DNS:localhost\n');
  const client = sign('client', role, 'extendedKeyUsage=clientAuth\n');
  const encryptedKey = path('client-encrypted.key');
  openssl('pkcs8', '-topk8', '-in', client.key, '-out', encryptedKey, '-passout', `pass:${password}`);
  chmodSync(server.key, 0o600);
  const user = postgresUser();
  if (user !== undefined) chownSync(server.key, user.uid, user.gid);
  return { authority: path('ca.pem'), server, client: { ...client, encryptedKey, password } };
}

function openssl(...args: string[]): void {
  const { status, stderr, error } = spawnSync('openssl', args, { encoding: 'utf8' });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`openssl ${args[0]}: ${stderr}`);
}
