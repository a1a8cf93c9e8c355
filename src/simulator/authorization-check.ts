import { createHmac } from 'node:crypto';

/** A product whose access key signs the tokens, several of them with their keys by id, or one ready token. */
export type Credentials =
  | { readonly productId: string; readonly accessKey: string }
  | { readonly products: Readonly<Record<string, string>> }
  | { readonly token: string };

const VERSION = '2018-10-31';
const FIELDS = ['version', 'res', 'et', 'method', 'sign'] as const;
const METHODS: readonly string[] = ['md5', 'sha1', 'sha256'];
const PERCENT_ENCODED = /^(?:[\w.~-]|%[\da-f]{2})+$/i;

type TokenFields = Record<(typeof FIELDS)[number], string>;

/**
 * Creates OneNET's check of the `Authorization` header. It shares no code with the client that mints the tokens, so
 * that an error in one is not repeated in the other.
 *
 * @param credentials If absent, any non-empty header is accepted.
 * @returns A function of the header and the time in milliseconds: the reason for a rejection, or `undefined` if the
 * header is valid.
 */
export function createAuthorizationCheck(
  credentials?: Credentials,
): (header: string | undefined, nowMs: number) => string | undefined {
  return (header, nowMs) => {
    if (!header) return 'authorization is missing';
    if (!credentials) return undefined;
    if ('token' in credentials) return header === credentials.token ? undefined : 'token is not known';

    const fields = parseToken(header);
    if (!fields) return 'token is malformed';
    const { version, res, et, method, sign } = fields;
    if (version !== VERSION) return 'token version is not supported';
    const accessKey = accessKeyOf(credentials, res);
    if (accessKey === undefined) return 'token is for another resource';
    if (!METHODS.includes(method)) return 'signature method is not supported';
    if (!/^\d+$/.test(et)) return 'expiry is malformed';
    const expected = createHmac(method, Buffer.from(accessKey, 'base64'))
      .update([et, method, res, version].join('\n'))
      .digest('base64');
    if (sign !== expected) return 'signature does not match';
    // Checked after the signature, so that only the owner of the key learns that its token has expired.
    return Number(et) * 1000 > nowMs ? undefined : 'token has expired';
  };
}

/** @param res What a token is for: `products/` and the id of one. */
function accessKeyOf(credentials: Exclude<Credentials, { token: string }>, res: string): string | undefined {
  const products =
    'products' in credentials ? credentials.products : { [credentials.productId]: credentials.accessKey };
  return Object.entries(products).find(([productId]) => res === `products/${productId}`)?.[1];
}

/** Strict on purpose: a value sent without percent-encoding, such as a bare `+` or `/`, makes the token malformed. */
function parseToken(header: string): TokenFields | undefined {
  const fields = new Map<string, string>();
  const pairs = header.split('&');
  for (const pair of pairs) {
    const [name = '', value = '', ...rest] = pair.split('=');
    if (rest.length > 0 || !PERCENT_ENCODED.test(value)) return undefined;
    try {
      fields.set(name, decodeURIComponent(value));
    } catch {
      return undefined; // percent-encoded, but not UTF-8
    }
  }
  if (pairs.length !== FIELDS.length || !FIELDS.every((name) => fields.has(name))) return undefined;
  return Object.fromEntries(fields) as TokenFields;
}
