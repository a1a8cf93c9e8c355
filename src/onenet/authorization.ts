import { createHmac } from 'node:crypto';

export type SignMethod = 'md5' | 'sha1' | 'sha256';

/** Gives the value of the `Authorization` header for a call that starts now. */
export type Authorize = () => string;

const VERSION = '2018-10-31';

export interface TokenOptions {
  readonly productId: string;
  /** Base64, as OneNET's console shows it. */
  readonly accessKey: string;
  readonly method: SignMethod;
}

/**
 * Signs one security token for a product's resources.
 *
 * @param expiry Unix time in seconds.
 * @see OneNET's document "security authentication": the signature is over the raw values, the token has them
 * percent-encoded.
 */
export function signToken({ productId, accessKey, method }: TokenOptions, expiry: number): string {
  const res = `products/${productId}`;
  const sign = createHmac(method, Buffer.from(accessKey, 'base64'))
    .update(`${expiry}\n${method}\n${res}\n${VERSION}`)
    .digest('base64');
  return `version=${VERSION}&res=${encodeURIComponent(res)}&et=${expiry}&method=${method}&sign=${encodeURIComponent(sign)}`;
}

/** Where calls get their tokens. */
export interface TokenSource {
  readonly authorize: Authorize;
  /** Unix time in seconds at which the last token expires; undefined where there is none yet or it does not tell. */
  readonly expiry: () => number | undefined;
}

/**
 * Mints a token when the first call needs it and again when a fifth of its life is left, so that no call starts with one
 * that expires under way; and when the clock has gone back, for the last one may have been minted by a clock that was far
 * ahead.
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

/** A token that somebody else minted and renews. */
export function createReadyToken(token: string): TokenSource {
  const et = new URLSearchParams(token).get('et') ?? '';
  const expiry = /^[0-9]{1,12}$/.test(et) ? Number(et) : undefined;
  return { authorize: () => token, expiry: () => expiry };
}
