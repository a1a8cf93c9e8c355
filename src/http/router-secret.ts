import { createHash, timingSafeEqual } from 'node:crypto';

export const SECRET_HEADER = 'router-authorization';

/**
 * Headers with which an explorer is prefilled: the name of the secret's header if there is a secret, but never its
 * value.
 */
export function headersToFillIn(secret: string | undefined): Readonly<Record<string, string>> {
  return secret === undefined ? {} : { [SECRET_HEADER]: '' };
}

/**
 * Compares digests in constant time, so that timing reveals neither the secret's length nor how much of a guess is
 * correct.
 */
export function createSecretCheck(secret: string): (given: unknown) => boolean {
  const expected = digest(secret);
  return (given) => typeof given === 'string' && timingSafeEqual(digest(given), expected);
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
