import { createHash, createHmac, type Hash, type Hmac } from 'node:crypto';
import { productVersion } from '../../runtime/version.ts';
import { type Token, TokenError } from './token.ts';

/** IAM of Amazon MSK: a token that this process signs. */
export interface AwsLogin {
  readonly mechanism: 'aws_iam';
  readonly region: string;
}

/** As long as MSK takes one. */
const LIFE_SECONDS = 900;

/** The region in the names that MSK gives its brokers; undefined for other names. */
export function regionOf(brokers: readonly string[]): string | undefined {
  const regions = brokers.map(
    (broker) => /\.kafka(?:-serverless)?\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?(?::|$)/.exec(broker)?.[1],
  );
  return new Set(regions).size === 1 ? regions[0] : undefined;
}

/** Who signs. `expiration` is that of a role's credentials. */
type Credentials = () => Promise<{
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
  readonly expiration?: Date;
}>;

/**
 * Signs a request that nobody sends: MSK takes its URL for a token, and looks up who signed it. What signs is loaded at the
 * first token, because few installations use it.
 *
 * @param credentials by default those that the AWS SDK finds, which renews them by itself
 * @returns a function that rejects with a TokenError when there are no credentials
 */
export function mskTokens(
  { region }: Pick<AwsLogin, 'region'>,
  credentials?: Credentials,
  now: () => number = Date.now,
): () => Promise<Token> {
  let found = credentials;
  return async () => {
    found ??= (await import('@aws-sdk/credential-provider-node')).defaultProvider();
    const identity = await found().catch((error: Error) => {
      throw new TokenError(
        `there are no AWS credentials (${error.message}): give this process a role, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY`,
        { isOutage: false },
      );
    });
    const { SignatureV4 } = await import('@smithy/signature-v4');
    const hostname = `kafka.${region}.amazonaws.com`;
    const signer = new SignatureV4({
      credentials: identity,
      region,
      service: 'kafka-cluster',
      sha256: Sha256,
    });
    const request = {
      method: 'GET',
      protocol: 'https:',
      hostname,
      path: '/',
      query: { Action: 'kafka-cluster:Connect' },
      headers: { host: hostname },
    };
    const signedAtMs = now();
    const signed = await signer.presign(request, {
      expiresIn: LIFE_SECONDS,
      signingDate: new Date(signedAtMs),
    });
    const query = Object.entries({ ...signed.query, 'User-Agent': `tandem/${productVersion()}` })
      .map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(String(value))}`)
      .join('&');
    const leftMs = (identity.expiration?.getTime() ?? Number.POSITIVE_INFINITY) - signedAtMs;
    return {
      value: Buffer.from(`https://${hostname}/?${query}`).toString('base64url'),
      lifeMs: Math.max(1, Math.min(LIFE_SECONDS * 1_000, leftMs)),
    };
  };
}

/** Node's own, as the signer takes it. */
class Sha256 {
  readonly #hash: Hash | Hmac;

  constructor(secret?: string | ArrayBuffer | ArrayBufferView) {
    this.#hash = secret === undefined ? createHash('sha256') : createHmac('sha256', toBytes(secret));
  }

  update(data: string | ArrayBuffer | ArrayBufferView): void {
    this.#hash.update(toBytes(data));
  }

  digest(): Promise<Uint8Array> {
    return Promise.resolve(this.#hash.digest());
  }

  reset(): void {
    throw new Error('the signer makes a new one for each hash');
  }
}

function toBytes(data: string | ArrayBuffer | ArrayBufferView): Uint8Array {
  if (typeof data === 'string') return Buffer.from(data);
  return ArrayBuffer.isView(data)
    ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
    : new Uint8Array(data);
}
