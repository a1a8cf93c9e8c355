import { createHash, timingSafeEqual } from 'node:crypto';

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
