import type { AskOtaTasks, OnOutcome, OtaTaskCall, TakeTurn, Work } from '../ask-ota-tasks.ts';
import { OneNetError, type Verdict } from '../onenet-error.ts';
import { isAbsent, type OtaTaskOutcome } from '../ota-task.ts';
import type { Authorize } from './authorization.ts';
import type { Bulkhead, Caller, Waiter } from './bulkhead.ts';
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

/**
 * Makes one tasking call for each pair, all of them at once as far as the limits allow, and where it may help a second
 * attempt.
 */
export function createOneNetClient(options: OneNetClientOptions): AskOtaTasks {
  return (calls, onOutcome) => {
    for (const call of calls) {
      options.retryBudget.countCall();
      const job = new Job(options, call, onOutcome);
      call.work = job;
      job.queue();
    }
  };
}

type Result = OtaTaskOutcome | Error;

/**
 * A call and its progress. It uses callbacks, because promises were a quarter of a call's cost, and is a class, because a
 * closure for each step of each queued call outlived scavenges.
 */
class Job<Call extends OtaTaskCall> implements Waiter, Work {
  position = 0;
  private attempt = 1;
  /** The result of the first of two attempts: it says more than that there was no second. */
  private told: Result | undefined = undefined;
  private abort: ((reason: Error) => void) | undefined = undefined;
  private timer: NodeJS.Timeout | undefined = undefined;

  private readonly client: OneNetClientOptions;
  private readonly call: Call;
  private readonly onOutcome: OnOutcome<Call>;

  constructor(client: OneNetClientOptions, call: Call, onOutcome: OnOutcome<Call>) {
    this.client = client;
    this.call = call;
    this.onOutcome = onOutcome;
  }

  get caller(): Caller {
    return this.call.scope;
  }

  get isRetry(): boolean {
    return this.attempt > 1;
  }

  queue(): void {
    this.call.isQueued = true;
    this.client.bulkhead.acquire(this);
  }

  cancel(reason: Error): void {
    clearTimeout(this.timer);
    if (this.call.isQueued) this.client.bulkhead.remove(this);
    else this.abort?.(reason);
  }

  evict(): void {
    this.giveUp(new OneNetError('queue-full'));
  }

  start(): boolean {
    const { call } = this;
    const { bulkhead, circuit, takeTurn } = this.client;
    // Queued calls of a request that is over go no further.
    if (!call.isAwaited || !circuit.admits(call)) {
      this.giveUp(new OneNetError('circuit-open'));
      bulkhead.release();
      return true;
    }
    if (takeTurn?.(Math.max(1, bulkhead.queued), bulkhead.resume) === false) return false;
    call.isQueued = false;
    this.send();
    return true;
  }

  private send(): void {
    const { call, attempt } = this;
    const { authorize, bulkhead, circuit, now, observer, transport } = this.client;
    const permit = circuit.enter(call);
    const isProbe = circuit.status !== 'closed';
    const startedMs = now();
    let isUnderWay = true as boolean;
    const endSpan = call.trace?.call(call, attempt);
    const onEnd = (response: HttpResponse | Error): void => {
      isUnderWay = false;
      this.abort = undefined;
      const durationMs = now() - startedMs;
      const result =
        response instanceof Error
          ? judgeTimeout(response, durationMs, transport.timeoutMs)
          : readTaskingResponse(response);
      const label = labelOf(result);
      const errno = errnoOf(result);
      observer.attempt(label, errno, durationMs);
      endSpan?.({ result: label, errno, status: 'status' in response ? response.status : undefined });
      circuit.leave(permit, call, verdictOn(result));
      this.retryOrEnd(result);
    };
    try {
      const request = {
        path: taskingPath(call),
        authorization: authorize(call.productId),
        fresh: attempt > 1,
      };
      const abort = transport.get(request, onEnd, bulkhead.release);
      // A probe is never aborted, even if nobody waits for its outcome, because all requests depend on what it finds.
      if (isUnderWay && !isProbe) this.abort = abort;
    } catch (error) {
      onEnd(error as Error);
      bulkhead.release();
    }
  }

  private retryOrEnd(result: Result): void {
    const { call } = this;
    const { circuit, now, observer, random, retryBudget } = this.client;
    const delayMs = this.attempt < MAX_ATTEMPTS ? retryDelayMs(result, random) : undefined;
    if (
      delayMs === undefined ||
      !call.isAwaited ||
      now() + delayMs >= call.deadlineMs ||
      circuit.status !== 'closed' ||
      !retryBudget.take()
    ) {
      this.conclude(result);
      return;
    }
    this.timer = setTimeout(() => {
      // The circuit may have opened in the meantime. This call's own result says more than "circuit open", so report
      // that.
      if (circuit.status !== 'closed') {
        this.conclude(result);
        return;
      }
      this.attempt++;
      this.told = result;
      observer.retry();
      this.queue();
    }, delayMs);
  }

  /** Ends a call that was sent. */
  private conclude(result: Result): void {
    const { call, attempt } = this;
    this.onOutcome(call, result);
    if (result instanceof OneNetError && result.consequences.logged) {
      this.client.observer.failed({ key: call, scope: call.scope, error: result, attempts: attempt });
    }
  }

  /** Ends a call, or its second attempt, that was not sent. */
  private giveUp(error: OneNetError): void {
    this.call.isQueued = false;
    if (this.told === undefined) this.onOutcome(this.call, error);
    else this.conclude(this.told);
  }
}

/**
 * If time ran out while this process could not look for an answer, nobody knows whether there was one; and if the
 * request's deadline left the attempt less than half of its own time, there may well have been one.
 */
function judgeTimeout(error: Error, durationMs: number, timeoutMs: number): Error {
  const isShort = durationMs < timeoutMs / 2 || durationMs > timeoutMs + STALL_MS;
  const isTimeout = error instanceof OneNetError && error.reason === 'timeout';
  return isTimeout && isShort ? new OneNetError('cut-short') : error;
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
