import { createHash, timingSafeEqual } from 'node:crypto';

export const SECRET_HEADER = 'router-authorization';

/** The headers that an explorer opens with: the name where there is a secret, and never its value. */
export function headersToFillIn(secret: string | undefined): Readonly<Record<string, string>> {
  return secret === undefined ? {} : { [SECRET_HEADER]: '' };
}

/**
 * Compares in constant time: neither the secret's length nor how much of a guess was right can be measured.
 */
export function createSecretCheck(secret: string): (given: unknown) => boolean {
  const expected = digest(secret);
  return (given) => typeof given === 'string' && timingSafeEqual(digest(given), expected);
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
