import type { AskOtaTasks, OtaTaskCall, TakeTurn } from '../ask-ota-tasks.ts';
import { OneNetError, type Verdict } from '../onenet-error.ts';
import { isAbsent, type OtaTaskOutcome } from '../ota-task.ts';
import type { Authorize } from './authorization.ts';
import type { Bulkhead } from './bulkhead.ts';
import type { Circuit } from './circuit.ts';
import type { HttpResponse } from './connection.ts';
import type { OneNetObserver } from './observer.ts';
import type { RetryBudget } from './retry-budget.ts';
import { readTaskingResponse, taskingPath } from './tasking.ts';
import type { Transport } from './transport.ts';

/** Full jitter, up to this much. Most retries are for a connection that closed as it was used; the next one is new. */
const MAX_JITTER_MS = 100;
const MAX_ATTEMPTS = 2;
/** More than the event loop of a healthy process is ever late. */
const STALL_MS = 100;

export interface OneNetClientOptions {
  readonly transport: Transport;
  readonly bulkhead: Bulkhead;
  readonly circuit: Circuit;
  readonly retryBudget: RetryBudget;
  readonly authorize: Authorize;
  /** Where calls are limited in time as well as in number. */
  readonly takeTurn?: TakeTurn | undefined;
  readonly observer: OneNetObserver;
  /** Milliseconds, from the clock of the callers' deadlines. */
  readonly now: () => number;
  /** From 0 to 1. */
  readonly random: () => number;
}

type Result = OtaTaskOutcome | Error;

/** Makes one tasking call for each pair, all of them at once as far as the limits allow. */
export function createOneNetClient(options: OneNetClientOptions): AskOtaTasks {
  return (calls, onOutcome) => {
    for (const call of calls) {
      options.retryBudget.countCall();
      makeCall(call, options, (result) => onOutcome(call, result));
    }
  };
}

/** Makes one call, with a second attempt where that may help. Callbacks, since promises were a quarter of its cost. */
function makeCall(call: OtaTaskCall, options: OneNetClientOptions, onResult: (result: Result) => void): void {
  const { transport, bulkhead, circuit, retryBudget, authorize, takeTurn, observer, now, random } = options;
  let attempt = 1;
  queue();

  function queue(): void {
    call.isQueued = true;
    const cancel = bulkhead.acquire({ caller: call.scope, isRetry: attempt > 1, start, evict });
    if (cancel !== undefined) call.cancel = cancel;
  }

  function evict(): void {
    end(new OneNetError('queue-full'));
  }

  function start(): boolean {
    if (!circuit.admits(call)) {
      end(new OneNetError('circuit-open'));
      bulkhead.release();
      return true;
    }
    if (takeTurn?.(Math.max(1, bulkhead.queued), bulkhead.resume) === false) return false;
    call.isQueued = false;
    send();
    return true;
  }

  function send(): void {
    const permit = circuit.enter(call);
    const isProbe = circuit.status !== 'closed';
    const startedMs = now();
    const dueMs = Math.min(startedMs + transport.timeoutMs, isProbe ? Infinity : call.deadlineMs);
    let isUnderWay = true as boolean;
    const endSpan = call.trace?.call(call, attempt);
    const onEnd = (response: HttpResponse | Error): void => {
      isUnderWay = false;
      call.cancel = undefined;
      const result = response instanceof Error ? response : readTaskingResponse(response);
      const label = labelOf(result);
      const errno = errnoOf(result);
      const endedMs = now();
      observer.attempt(label, errno, endedMs - startedMs);
      endSpan?.({ result: label, errno, status: 'status' in response ? response.status : undefined });
      // If time ran out while this process could not look for an answer, nobody knows whether there was one.
      const isStall = label === 'timeout' && endedMs - dueMs > STALL_MS;
      circuit.leave(permit, call, isStall ? 'nothing' : verdictOn(result));
      retryOrEnd(result);
    };
    try {
      const request = {
        path: taskingPath(call),
        authorization: authorize(call.productId),
        fresh: attempt > 1,
      };
      const abort = transport.get(request, onEnd, bulkhead.release);
      // A probe goes on without those who asked: everybody waits for what it finds.
      if (isUnderWay && !isProbe) call.cancel = abort;
    } catch (error) {
      onEnd(error as Error);
      bulkhead.release();
    }
  }

  function retryOrEnd(result: Result): void {
    const delayMs = attempt < MAX_ATTEMPTS ? retryDelayMs(result, random) : undefined;
    if (
      delayMs === undefined ||
      !call.isAwaited ||
      now() + delayMs >= call.deadlineMs ||
      circuit.status !== 'closed' ||
      !retryBudget.take()
    ) {
      conclude(result);
      return;
    }
    const timer = setTimeout(() => {
      // Others may have found OneNET ill in the meantime: what this call itself was told says more than that.
      if (circuit.status !== 'closed') {
        conclude(result);
        return;
      }
      attempt++;
      observer.retry();
      queue();
    }, delayMs);
    call.cancel = () => clearTimeout(timer);
  }

  /** The end of a call that was made. */
  function conclude(result: Result): void {
    end(result);
    if (result instanceof OneNetError && result.consequences.logged) {
      observer.failed({ key: call, scope: call.scope, error: result, attempts: attempt });
    }
  }

  function end(result: Result): void {
    call.cancel = undefined;
    onResult(result);
  }
}

/** Milliseconds before the second attempt; undefined where that would be no better, or must not be. */
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

/** How an attempt ended, in one word of a small fixed set. */
function labelOf(result: Result): string {
  if (result instanceof OneNetError) return result.reason;
  if (result instanceof Error) return 'unforeseen';
  return isAbsent(result) ? 'absent' : 'task';
}

function errnoOf(result: Result): number | undefined {
  if (result instanceof Error) return result instanceof OneNetError ? result.errno : undefined;
  return isAbsent(result) ? result.errno : 0;
}
