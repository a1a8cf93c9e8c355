import type { AskOtaTasks, OtaTaskCall, TakeTurn, Work } from '../ask-ota-tasks.ts';
import { OneNetError, type Verdict } from '../onenet-error.ts';
import { isAbsent, type OtaTaskOutcome } from '../ota-task.ts';
import type { Authorize } from './authorization.ts';
import type { Bulkhead, Waiter } from './bulkhead.ts';
import type { Circuit } from './circuit.ts';
import type { HttpResponse } from './connection.ts';
import type { OneNetObserver } from './observer.ts';
import type { RetryBudget } from './retry-budget.ts';
import { readTaskingResponse, taskingPath } from './tasking.ts';
import type { Transport } from './transport.ts';

/**
 * Upper bound of the full jitter. It is short because most retries follow a connection that OneNET closed just as it
 * was reused, and the retry gets a new connection.
 */
const MAX_JITTER_MS = 100;
const MAX_ATTEMPTS = 2;
/** Longer than the event loop of a healthy process is ever delayed. */
const STALL_MS = 100;

export interface OneNetClientOptions {
  readonly transport: Transport;
  readonly bulkhead: Bulkhead;
  readonly circuit: Circuit;
  readonly retryBudget: RetryBudget;
  readonly authorize: Authorize;
  /** Enforces the quota, if calls per second are limited as well as calls in flight. */
  readonly takeTurn?: TakeTurn | undefined;
  readonly observer: OneNetObserver;
  /** Milliseconds, from the same clock as the callers' deadlines. */
  readonly now: () => number;
  /** A number from 0 to 1. */
  readonly random: () => number;
}

type Result = OtaTaskOutcome | Error;

/** A call and its progress. */
interface Job extends Waiter, Work {
  readonly call: OtaTaskCall;
  readonly onOutcome: (call: OtaTaskCall, outcome: OtaTaskOutcome | Error) => void;
  attempt: number;
  /** The result of the first of two attempts: it says more than that there was no second. */
  told: Result | undefined;
  /** Ends the attempt that is under way. */
  abort: ((reason: Error) => void) | undefined;
  /** Waits for the second attempt. */
  timer: NodeJS.Timeout | undefined;
}

/**
 * Makes one tasking call for each pair, all of them at once as far as the limits allow, and where it may help a second
 * attempt. It uses callbacks, because promises were a quarter of a call's cost, and functions that all calls share,
 * because closures for each queued call were most of what outlived scavenges at 1000 devices.
 */
export function createOneNetClient(options: OneNetClientOptions): AskOtaTasks {
  const { transport, bulkhead, circuit, retryBudget, authorize, takeTurn, observer, now, random } = options;

  function queue(job: Job): void {
    job.call.isQueued = true;
    bulkhead.acquire(job);
  }

  function start(this: Job): boolean {
    const { call } = this;
    // Queued calls of a request that is over go no further.
    if (!call.isAwaited || !circuit.admits(call)) {
      giveUp(this, new OneNetError('circuit-open'));
      bulkhead.release();
      return true;
    }
    if (takeTurn?.(Math.max(1, bulkhead.queued), bulkhead.resume) === false) return false;
    call.isQueued = false;
    send(this);
    return true;
  }

  function evict(this: Job): void {
    giveUp(this, new OneNetError('queue-full'));
  }

  function cancel(this: Job, reason: Error): void {
    clearTimeout(this.timer);
    if (!this.call.isQueued) {
      this.abort?.(reason);
      return;
    }
    this.call.isQueued = false;
    bulkhead.remove(this);
  }

  function send(job: Job): void {
    const { call, attempt } = job;
    const permit = circuit.enter(call);
    const isProbe = circuit.status !== 'closed';
    const startedMs = now();
    let isUnderWay = true as boolean;
    const endSpan = call.trace?.call(call, attempt);
    const onEnd = (response: HttpResponse | Error): void => {
      isUnderWay = false;
      job.abort = undefined;
      const durationMs = now() - startedMs;
      const result =
        response instanceof Error ? judgeTimeout(response, durationMs) : readTaskingResponse(response);
      const label = labelOf(result);
      const errno = errnoOf(result);
      observer.attempt(label, errno, durationMs);
      endSpan?.({ result: label, errno, status: 'status' in response ? response.status : undefined });
      circuit.leave(permit, call, verdictOn(result));
      retryOrEnd(job, result);
    };
    try {
      const request = {
        path: taskingPath(call),
        authorization: authorize(call.productId),
        fresh: attempt > 1,
      };
      const abort = transport.get(request, onEnd, bulkhead.release);
      // A probe is never aborted, even if nobody waits for its outcome, because all requests depend on what it finds.
      if (isUnderWay && !isProbe) job.abort = abort;
    } catch (error) {
      onEnd(error as Error);
      bulkhead.release();
    }
  }

  /**
   * If time ran out while this process could not look for an answer, nobody knows whether there was one; and if the
   * request's deadline left the attempt less than half of its own time, there may well have been one.
   */
  function judgeTimeout(error: Error, durationMs: number): Error {
    const { timeoutMs } = transport;
    const isShort = durationMs < timeoutMs / 2 || durationMs > timeoutMs + STALL_MS;
    const isTimeout = error instanceof OneNetError && error.reason === 'timeout';
    return isTimeout && isShort ? new OneNetError('cut-short') : error;
  }

  function retryOrEnd(job: Job, result: Result): void {
    const { call } = job;
    const delayMs = job.attempt < MAX_ATTEMPTS ? retryDelayMs(result, random) : undefined;
    if (
      delayMs === undefined ||
      !call.isAwaited ||
      now() + delayMs >= call.deadlineMs ||
      circuit.status !== 'closed' ||
      !retryBudget.take()
    ) {
      conclude(job, result);
      return;
    }
    job.timer = setTimeout(() => {
      // The circuit may have opened in the meantime. This call's own result says more than "circuit open", so report
      // that.
      if (circuit.status !== 'closed') {
        conclude(job, result);
        return;
      }
      job.attempt++;
      job.told = result;
      observer.retry();
      queue(job);
    }, delayMs);
  }

  /** Ends a call that was sent. */
  function conclude(job: Job, result: Result): void {
    const { call, attempt, onOutcome } = job;
    onOutcome(call, result);
    if (result instanceof OneNetError && result.consequences.logged) {
      observer.failed({ key: call, scope: call.scope, error: result, attempts: attempt });
    }
  }

  /** Ends a call, or its second attempt, that was not sent. */
  function giveUp(job: Job, error: OneNetError): void {
    job.call.isQueued = false;
    if (job.told === undefined) job.onOutcome(job.call, error);
    else conclude(job, job.told);
  }

  return (calls, onOutcome) => {
    for (const call of calls) {
      retryBudget.countCall();
      const job: Job = {
        call,
        onOutcome: onOutcome as Job['onOutcome'],
        attempt: 1,
        told: undefined,
        abort: undefined,
        timer: undefined,
        caller: call.scope,
        position: 0,
        start,
        evict,
        cancel,
      };
      call.work = job;
      queue(job);
    }
  };
}

/** Milliseconds before the second attempt; undefined if the result must not be retried or a retry would not help. */
function retryDelayMs(result: Result, random: () => number): number | undefined {
  if (!(result instanceof OneNetError)) return undefined;
  const { retried } = result.consequences;
  if (retried === false || (retried === 'at-its-time' && result.retryAfterMs === undefined)) return undefined;
  return (result.retryAfterMs ?? 0) + random() * MAX_JITTER_MS;
}

function verdictOn(result: Result): Verdict {
  if (result instanceof OneNetError) return result.consequences.verdict;
  return result instanceof Error ? 'nothing' : 'success';
}

/** The result as a metric label, from a small fixed set. */
function labelOf(result: Result): string {
  if (result instanceof OneNetError) return result.reason;
  if (result instanceof Error) return 'unforeseen';
  return isAbsent(result) ? 'absent' : 'task';
}

function errnoOf(result: Result): number | undefined {
  if (result instanceof Error) return result instanceof OneNetError ? result.errno : undefined;
  return isAbsent(result) ? result.errno : 0;
}
