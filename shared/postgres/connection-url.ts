import { readFileSync } from 'node:fs';
import { type ConnectionOptions, getCACertificates } from 'node:tls';
import { SetupError } from '../runtime/errors.ts';

/** What a connection URL says, with everything that `pg` reads otherwise than libpq taken out of it. */
export interface ConnectionTarget {
  readonly connectionString: string;
  /** `false`: plain text. Undefined: left to `pg`, as for `?ssl=…`. */
  readonly ssl: ConnectionOptions | false | undefined;
  /** `sslmode=prefer`: TLS where the server offers it, and plain text where it does not. */
  readonly isTlsOptional: boolean;
  /** The URL's own start-up options; ours come behind them and win. */
  readonly options: string | undefined;
}

/** Parameters that are ours to set: `pg` would let those of the URL win over what a session needs. */
const OURS = [
  'statement_timeout',
  'lock_timeout',
  'idle_in_transaction_session_timeout',
  'query_timeout',
  'client_encoding',
  'application_name',
];

const MODES = ['disable', 'allow', 'prefer', 'require', 'no-verify', 'verify-ca', 'verify-full'] as const;
type SslMode = (typeof MODES)[number];

/**
 * Reads `sslmode`, `sslrootcert`, `sslcert`, `sslkey` and `sslpassword` as libpq does: `require` encrypts and verifies nothing unless a root
 * certificate is given, `verify-ca` verifies the chain, `verify-full` the host's name too. `sslrootcert=system` is the
 * system's store, and wants `verify-full`. Without a root certificate `verify-*` takes the store that Node brings.
 *
 * @throws SetupError when a mode or a file is of no use
 */
export function readConnectionUrl(url: string): ConnectionTarget {
  const queryAt = url.indexOf('?');
  const params = new URLSearchParams(queryAt < 0 ? '' : url.slice(queryAt + 1));
  const take = (name: string): string | undefined => {
    const value = params.get(name) ?? undefined;
    params.delete(name);
    return value === '' ? undefined : value;
  };
  const options = take('options');
  for (const name of OURS) params.delete(name);
  params.delete('uselibpqcompat');
  const rootCert = take('sslrootcert');
  const cert = take('sslcert');
  const key = take('sslkey');
  const passphrase = take('sslpassword');
  const mode = checkMode(take('sslmode'), rootCert, params.has('ssl'));
  const rest = params.toString();
  const connectionString = `${queryAt < 0 ? url : url.slice(0, queryAt)}${rest === '' ? '' : `?${rest}`}`;
  if (mode === undefined) return { connectionString, ssl: undefined, isTlsOptional: false, options };
  return {
    connectionString,
    ssl: mode === 'disable' ? false : tlsOptions(mode, { rootCert, cert, key, passphrase }),
    isTlsOptional: mode === 'allow' || mode === 'prefer',
    options,
  };
}

function checkMode(
  mode: string | undefined,
  rootCert: string | undefined,
  isLeftToPg: boolean,
): SslMode | undefined {
  if (mode === undefined) {
    if (rootCert === 'system') return 'verify-full';
    if (isLeftToPg) return undefined;
    return 'prefer';
  }
  const known = MODES.find((each) => each === mode);
  if (known === undefined) {
    throw new SetupError(`the database URL's sslmode must be one of ${MODES.join(', ')}, not "${mode}"`);
  }
  if (rootCert === 'system' && known !== 'verify-full') {
    throw new SetupError(
      `the database URL has sslrootcert=system with sslmode=${known}: anybody may have a certificate of a public authority, ` +
        'so the name has to be verified too: use sslmode=verify-full',
    );
  }
  return known;
}

interface CertificateFiles {
  readonly rootCert: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
  readonly passphrase: string | undefined;
}

function tlsOptions(mode: SslMode, { rootCert, cert, key, passphrase }: CertificateFiles): ConnectionOptions {
  const isVerified =
    mode === 'verify-ca' || mode === 'verify-full' || (mode === 'require' && rootCert !== undefined);
  return {
    rejectUnauthorized: isVerified,
    ...(rootCert === undefined
      ? {}
      : {
          ca:
            rootCert === 'system'
              ? getCACertificates('system')
              : readPem('sslrootcert', rootCert, CERTIFICATE),
        }),
    ...(cert === undefined ? {} : { cert: readPem('sslcert', cert, CERTIFICATE) }),
    ...(key === undefined ? {} : { key: readPem('sslkey', key, KEY) }),
    ...(passphrase === undefined ? {} : { passphrase }),
    ...(isVerified && mode !== 'verify-full' ? { checkServerIdentity: () => undefined } : {}),
  };
}

const CERTIFICATE = /-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----/;
const KEY = /-----BEGIN [A-Z ]*PRIVATE KEY-----/;

function readPem(parameter: string, path: string, content: RegExp): string {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new SetupError(`the database URL names ${parameter}=${path}, which can't be read (${code})`);
  }
  if (content.test(text)) return text;
  const wanted = content === KEY ? 'private key' : 'certificate';
  throw new SetupError(`the database URL names ${parameter}=${path}, which holds no PEM ${wanted}`);
}
