import type { OtaTaskOutcome, OtaTaskRequest } from './ota-task.ts';
import type { RequestScope, RequestTrace } from './request-scope.ts';

/**
 * Asks for the tasks of one operation's devices, each of them once.
 *
 * Resolves to one outcome or error for each request, in the order of the requests; never rejects. When nobody
 * waits any longer, what is not there yet ends in an error at once.
 */
export type FetchOtaTasks = (
  requests: readonly OtaTaskRequest[],
  scope: RequestScope,
) => Promise<(OtaTaskOutcome | Error)[]>;

/** One pair on its way to OneNET, for everybody who waits for it. */
export interface OtaTaskCall extends OtaTaskRequest {
  /** When the last deadline passes of all who ever waited, in milliseconds of `performance.now()`. */
  readonly deadlineMs: number;
  /** Whether somebody still waits. */
  readonly isAwaited: boolean;
  /** Who asked for it first, and may have left since. */
  readonly scope: RequestScope;
  readonly trace: RequestTrace | undefined;
  /** Set by whoever works for it, to be told why the work is to be broken off once nobody waits any longer. */
  cancel: ((reason: Error) => void) | undefined;
  /** Whether it waits to go out. */
  isQueued: boolean;
}

/** Where an outcome comes from, and how long it may be kept. Times are milliseconds of `performance.now()`. */
export interface Origin {
  readonly source: 'onenet' | 'memory' | 'redis';
  /** When OneNET answered. */
  readonly answeredAtMs: number;
  readonly expiresAtMs: number;
}

/** Is told how a call ended; an outcome without an origin comes from OneNET, just now. */
export type OnOutcome<Call> = (call: Call, outcome: OtaTaskOutcome | Error, origin?: Origin) => void;

/**
 * Asks for pairs, each of them once: the shape of every link between those who want tasks and OneNET.
 *
 * Calls `onOutcome` once for each call, in any order, possibly before it returns; for a call that nobody waits for any
 * longer it may be left out.
 */
export type AskOtaTasks = <Call extends OtaTaskCall>(
  calls: readonly Call[],
  onOutcome: OnOutcome<Call>,
) => void;

/**
 * Takes a turn for a call where there is one now.
 *
 * @param waiting How many calls would like one.
 * @param retry Called once when there may be one, if there is none now.
 * @returns Whether the call may go out.
 */
export type TakeTurn = (waiting: number, retry: () => void) => boolean;
