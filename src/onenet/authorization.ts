import { createHmac } from 'node:crypto';

import { OneNetError } from '../onenet-error.ts';

export type SignMethod = 'md5' | 'sha1' | 'sha256';

/**
 * Returns the `Authorization` header for a call that starts now.
 *
 * @param productId The product whose key signs the call, in a deployment with several products.
 */
export type Authorize = (productId?: string) => string;

const VERSION = '2018-10-31';

export interface TokenOptions {
  readonly productId: string;
  /** Base64, as OneNET's console shows it. */
  readonly accessKey: string;
  readonly method: SignMethod;
}

/**
 * Signs a security token for a product's resources.
 *
 * @param expiry Unix time in seconds.
 * @see OneNET's document "security authentication": the signature covers the raw values, while the token contains them
 * percent-encoded.
 */
export function signToken({ productId, accessKey, method }: TokenOptions, expiry: number): string {
  const res = `products/${productId}`;
  const sign = createHmac(method, Buffer.from(accessKey, 'base64'))
    .update(`${expiry}\n${method}\n${res}\n${VERSION}`)
    .digest('base64');
  return `version=${VERSION}&res=${encodeURIComponent(res)}&et=${expiry}&method=${method}&sign=${encodeURIComponent(sign)}`;
}

/** Supplies calls with tokens. */
export interface TokenSource {
  readonly authorize: Authorize;
  /**
   * Unix time in seconds at which the current token expires; undefined if there is no token yet or it states no expiry.
   */
  readonly expiry: () => number | undefined;
}

/**
 * Mints a token for the first call and renews it when a fifth of its lifetime is left, so that it never expires during
 * a call. If the clock has gone back it mints a new one too, because the last may have been minted while the clock was
 * far ahead.
 *
 * @param options.now Milliseconds since the epoch.
 */
export function createTokenMint(
  options: TokenOptions & { readonly ttlSeconds: number; readonly now: () => number },
): TokenSource {
  let token = '';
  let expiry: number | undefined;
  let mintedMs = Infinity;
  let renewAtMs = 0;
  return {
    authorize() {
      const nowMs = options.now();
      if (nowMs >= renewAtMs || nowMs < mintedMs) {
        mintedMs = nowMs;
        expiry = Math.floor(nowMs / 1000) + options.ttlSeconds;
        token = signToken(options, expiry);
        renewAtMs = (expiry - options.ttlSeconds / 5) * 1000;
      }
      return token;
    },
    expiry: () => expiry,
  };
}

/**
 * Mints tokens for several products, each with the product's own key.
 *
 * @param products Access keys by product id. The map may change; a product whose key has changed gets a new token.
 */
export function createProductTokens(
  products: ReadonlyMap<string, string>,
  options: Omit<TokenOptions, 'productId' | 'accessKey'> & {
    readonly ttlSeconds: number;
    readonly now: () => number;
  },
): TokenSource {
  const mints = new Map<string, { readonly accessKey: string; readonly source: TokenSource }>();
  return {
    authorize(productId = '') {
      const accessKey = products.get(productId);
      // Its product can have gone while a call waited.
      if (accessKey === undefined) throw new OneNetError('unauthorized');
      let mint = mints.get(productId);
      if (mint?.accessKey !== accessKey) {
        mint = { accessKey, source: createTokenMint({ ...options, productId, accessKey }) };
        mints.set(productId, mint);
      }
      return mint.source.authorize();
    },
    expiry() {
      for (const productId of mints.keys()) if (!products.has(productId)) mints.delete(productId);
      const expiries = [...mints.values()].map(({ source }) => source.expiry() ?? Infinity);
      return expiries.length === 0 ? undefined : Math.min(...expiries);
    },
  };
}

/** Uses a static token, which is minted and renewed outside this service. */
export function createStaticToken(token: string): TokenSource {
  const et = new URLSearchParams(token).get('et') ?? '';
  const expiry = /^[0-9]{1,12}$/.test(et) ? Number(et) : undefined;
  return { authorize: () => token, expiry: () => expiry };
}
