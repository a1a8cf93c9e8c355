import type { OtaTaskOutcome, OtaTaskRequest } from './ota-task.ts';
import type { RequestScope, RequestTrace } from './request-scope.ts';

/**
 * Fetches the tasks of one operation's devices, each pair once.
 *
 * Resolves to one outcome or error per request, in their order, and never rejects. When the request's scope is
 * canceled, pairs without an outcome end in an error at once.
 */
export type FetchOtaTasks = (
  requests: readonly OtaTaskRequest[],
  scope: RequestScope,
) => Promise<(OtaTaskOutcome | Error)[]>;

/** A pair on its way to OneNET, on behalf of every request that waits for it. */
export interface OtaTaskCall extends OtaTaskRequest {
  /** The latest deadline of all requests that have waited for it, in milliseconds of `performance.now()`. */
  readonly deadlineMs: number;
  /** Whether any request still waits for it. */
  readonly isAwaited: boolean;
  /** The request that asked first; it may have ended since. */
  readonly scope: RequestScope;
  readonly trace: RequestTrace | undefined;
  /** Set by the link that is working on the call. */
  work: Work | undefined;
  /** Whether it is queued and has not been sent. */
  isQueued: boolean;
}

/** What is done for a call. */
export interface Work {
  /** Stops it, when nobody waits for the call any more. */
  cancel(reason: Error): void;
}

/** Where an outcome comes from and how long it may be kept. Times are in milliseconds of `performance.now()`. */
export interface Origin {
  readonly source: 'onenet' | 'memory' | 'redis';
  /** When OneNET sent it. */
  readonly answeredAtMs: number;
  readonly expiresAtMs: number;
}

/** Receives the result of a call. An outcome without an origin has just come from OneNET. */
export type OnOutcome<Call> = (call: Call, outcome: OtaTaskOutcome | Error, origin?: Origin) => void;

/**
 * Asks for pairs, each once. Every link between the loader and OneNET has this type.
 *
 * Calls `onOutcome` once for each call, in any order and possibly before it returns. It may omit calls that nobody
 * waits for any more.
 */
export type AskOtaTasks = <Call extends OtaTaskCall>(
  calls: readonly Call[],
  onOutcome: OnOutcome<Call>,
) => void;

/**
 * Takes a turn within the quota for a call, if one is available now.
 *
 * @param waiting How many calls are waiting for a turn.
 * @param retry If there is no turn now, called once when there may be one.
 * @returns Whether the call may be sent.
 */
export type TakeTurn = (waiting: number, retry: () => void) => boolean;
