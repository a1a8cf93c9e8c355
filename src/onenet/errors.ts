/** OneNET answered and said no: an errno in a readable answer, or an HTTP status that is a refusal. */
export class OneNetRefusedError extends Error {
  override readonly name = 'OneNetRefusedError';
  readonly refusal: 'errno' | 'unauthorized' | 'rate-limited';
  /** The number that OneNET sent, where it sent one. */
  readonly errno: number | undefined;
  readonly retryable: boolean;
  /** Milliseconds after which OneNET may be asked again, where it named a time. */
  readonly retryAfterMs: number | undefined;

  constructor(
    refusal: 'unauthorized' | 'rate-limited' | { readonly errno: number },
    options: { readonly retryAfterMs?: number | undefined } = {},
  ) {
    super('OneNET refused the call');
    this.refusal = typeof refusal === 'string' ? refusal : 'errno';
    this.errno = typeof refusal === 'string' ? undefined : refusal.errno;
    this.retryAfterMs = options.retryAfterMs;
    this.retryable = refusal === 'rate-limited' || this.errno === ERRNO_INTERNAL;
  }
}

/** OneNET gave no answer that counts: not reached, overloaded, too slow, or not even asked. Always retryable. */
export class OneNetUnreachableError extends Error {
  override readonly name = 'OneNetUnreachableError';
  readonly reason: UnreachableReason;
  readonly retryable = true;

  constructor(reason: UnreachableReason) {
    super(`OneNET could not be reached: ${reason}`);
    this.reason = reason;
  }
}

export type UnreachableReason =
  | 'connection'
  | 'certificate'
  /** HTTP 5xx. */
  | 'server-error'
  /** HTTP 408. */
  | 'request-timeout'
  | 'timeout'
  | 'queue-full'
  | 'circuit-open'
  /** The client left. */
  | 'canceled';

/** OneNET's answer is not the documented one. Never retryable: the next one would be no better. */
export class OneNetUnreadableError extends Error {
  override readonly name = 'OneNetUnreadableError';
  /** For the log: what was wrong, in our words, never in upstream's. */
  readonly detail: string;
  readonly retryable = false;

  constructor(detail: string) {
    super(`OneNET's answer is unreadable: ${detail}`);
    this.detail = detail;
  }
}

export const ERRNO_INVALID_TYPE = 2;
export const ERRNO_NO_TASK = 4;
export const ERRNO_INTERNAL = 7;
export const ERRNO_TOKEN_EXPIRED = 12;
