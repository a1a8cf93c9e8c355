import { OneNetRefusedError, OneNetUnreachableError } from './errors.ts';

/** Full jitter: anything up to this. Most retries are for a connection that closed as it was used; the next is fresh. */
const MAX_JITTER_MS = 100;

/**
 * How long to wait before the second attempt, in milliseconds; undefined where a second would be no better, or must not be.
 *
 * @param random A number from 0 to 1, to spread the retries of many.
 */
export function retryDelayMs(error: unknown, random: () => number): number | undefined {
  if (error instanceof OneNetRefusedError && error.retryable) {
    // Too many calls: only at the time that OneNET names.
    if (error.refusal === 'rate-limited' && error.retryAfterMs === undefined) return undefined;
    return (error.retryAfterMs ?? 0) + random() * MAX_JITTER_MS;
  }
  const again =
    error instanceof OneNetUnreachableError &&
    (error.reason === 'connection' || error.reason === 'server-error');
  return again ? random() * MAX_JITTER_MS : undefined;
}

/**
 * Milliseconds that a `Retry-After` header asks for, given as seconds or as a date.
 *
 * @see https://www.rfc-editor.org/rfc/rfc9110#name-retry-after
 */
export function parseRetryAfter(value: string | undefined, wallClockMs: number): number | undefined {
  if (value === undefined) return undefined;
  if (/^\d+$/.test(value)) return Number(value) * 1000;
  // `Date.parse` makes a date of nearly anything; an HTTP date begins with the day of the week.
  const date = /^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,? /.test(value) ? Date.parse(value) : NaN;
  return Number.isNaN(date) ? undefined : Math.max(0, date - wallClockMs);
}
