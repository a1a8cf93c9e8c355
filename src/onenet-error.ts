/** What an attempt says about OneNET's health; `nothing` if OneNET may not be to blame. */
export type Verdict = 'success' | 'failure' | 'nothing';

interface Consequences {
  /** The contract's `extensions.code`. */
  readonly code: string;
  /** Whether clients are told that they may retry. */
  readonly retryable: boolean;
  /** Whether this service retries by itself; after 429, only at the time that OneNET names. */
  readonly retried: boolean | 'at-its-time';
  /** What it counts as for the circuit. */
  readonly verdict: Verdict;
  /** Whether it is logged: not if it only concerns the device, or if no call was made. */
  readonly logged: boolean;
}

/** Why a call brought no outcome, and all that follows from it. */
// prettier-ignore
const CONSEQUENCES = {
  // OneNET said no: an errno in a readable answer, or an HTTP status that refuses.
  'invalid-type':    { code: 'OTA_INVALID_TYPE',      retryable: false, retried: false,         verdict: 'success', logged: false },
  'internal-error':  { code: 'ONENET_INTERNAL_ERROR', retryable: true,  retried: true,          verdict: 'failure', logged: true },
  'unknown-errno':   { code: 'ONENET_UNKNOWN_ERRNO',  retryable: false, retried: false,         verdict: 'success', logged: true },
  'unauthorized':    { code: 'ONENET_UNAUTHORIZED',   retryable: false, retried: false,         verdict: 'success', logged: true },
  'rate-limited':    { code: 'ONENET_RATE_LIMITED',   retryable: true,  retried: 'at-its-time', verdict: 'success', logged: true },
  // OneNET could not be reached, or not in time.
  'connection':      { code: 'ONENET_UNAVAILABLE',    retryable: true,  retried: true,          verdict: 'failure', logged: true },
  'certificate':     { code: 'ONENET_UNAVAILABLE',    retryable: true,  retried: false,         verdict: 'failure', logged: true },
  'server-error':    { code: 'ONENET_UNAVAILABLE',    retryable: true,  retried: true,          verdict: 'failure', logged: true },
  'request-timeout': { code: 'ONENET_UNAVAILABLE',    retryable: true,  retried: false,         verdict: 'success', logged: true },
  'timeout':         { code: 'ONENET_TIMEOUT',        retryable: true,  retried: false,         verdict: 'failure', logged: true },
  // The same, but OneNET may be well: the request's deadline came early, or this process looked late.
  'cut-short':       { code: 'ONENET_TIMEOUT',        retryable: true,  retried: false,         verdict: 'nothing', logged: true },
  // OneNET was not asked, or whoever asked has left.
  'queue-full':      { code: 'ONENET_UNAVAILABLE',    retryable: true,  retried: false,         verdict: 'nothing', logged: false },
  'circuit-open':    { code: 'ONENET_UNAVAILABLE',    retryable: true,  retried: false,         verdict: 'nothing', logged: false },
  'no-turn':         { code: 'ONENET_RATE_LIMITED',   retryable: true,  retried: false,         verdict: 'nothing', logged: false },
  'canceled':        { code: 'ONENET_UNAVAILABLE',    retryable: true,  retried: false,         verdict: 'nothing', logged: false },
  // OneNET's answer is not the documented one, and the next would be no better.
  'bad-response':    { code: 'ONENET_BAD_RESPONSE',   retryable: false, retried: false,         verdict: 'success', logged: true },
} as const satisfies Record<string, Consequences>;

export type OneNetErrorReason = keyof typeof CONSEQUENCES;
export type OneNetErrorCode = (typeof CONSEQUENCES)[OneNetErrorReason]['code'];

interface Details {
  /** The errno, if OneNET sent one. */
  readonly errno?: number;
  /** Milliseconds after which OneNET may be asked again, if it named a time. */
  readonly retryAfterMs?: number | undefined;
  /** For the log: what was wrong with an answer, in our own words and never in OneNET's. */
  readonly detail?: string;
}

/** A call to OneNET without an outcome. */
export class OneNetError extends Error {
  override readonly name = 'OneNetError';
  readonly reason: OneNetErrorReason;
  readonly errno: number | undefined;
  readonly retryAfterMs: number | undefined;
  readonly detail: string | undefined;

  constructor(reason: OneNetErrorReason, { errno, retryAfterMs, detail }: Details = {}) {
    super(`call to OneNET failed: ${reason}`);
    this.reason = reason;
    this.errno = errno;
    this.retryAfterMs = retryAfterMs;
    this.detail = detail;
  }

  get consequences(): Consequences & { readonly code: OneNetErrorCode } {
    return CONSEQUENCES[this.reason];
  }
}

/** Makes the error for an answer that does not match OneNET's documentation. */
export function badResponse(detail: string): OneNetError {
  return new OneNetError('bad-response', { detail });
}
