import {
  type FetchOtaTasks,
  isAbsent,
  type OtaTaskOutcome,
  type OtaTaskRequest,
  type OtaTaskType,
} from '../ota-task.ts';
import type { Authorize } from './authorization.ts';
import type { Bulkhead } from './bulkhead.ts';
import type { Circuit } from './circuit.ts';
import { decodeTaskingAnswer } from './decode.ts';
import {
  ERRNO_INTERNAL,
  OneNetRefusedError,
  OneNetUnreachableError,
  OneNetUnreadableError,
} from './errors.ts';
import type { Cancellations, Exchange, HttpAnswer } from './exchange.ts';
import { parseRetryAfter, retryDelayMs } from './retry.ts';
import type { OneNetObserver } from './observer.ts';
import type { RetryBudget } from './retry-budget.ts';

const TASKING_PATH = '/ota/south/tasking';
const TYPE_PARAMETER: Readonly<Record<OtaTaskType, string>> = { FOTA: '1', SOTA: '2' };

export interface OneNetClientOptions {
  readonly exchange: Exchange;
  readonly bulkhead: Bulkhead;
  readonly circuit: Circuit;
  readonly retryBudget: RetryBudget;
  readonly authorize: Authorize;
  readonly observer: OneNetObserver;
  /** Milliseconds, from the clock of the callers' deadlines. */
  readonly now: () => number;
  /** From 0 to 1. */
  readonly random: () => number;
}

/** Puts each request as one tasking call, all of them at once as far as there are places. */
export function createOneNetClient(options: OneNetClientOptions): FetchOtaTasks {
  const { exchange, bulkhead, circuit, retryBudget, authorize, observer, now, random } = options;

  return async (requests, { signal, endsAtMs }) => {
    const cancellations: Cancellations = new Set();
    // One listener for the whole batch: a thousand of them on one signal cost more than the calls.
    const cancelAll = (): void => {
      bulkhead.abandon(cancellations);
      const error = cancellation(signal);
      for (const cancel of [...cancellations]) cancel(error);
    };
    signal.addEventListener('abort', cancelAll);
    try {
      return await Promise.all(requests.map((request) => call(request).catch(asError)));
    } finally {
      signal.removeEventListener('abort', cancelAll);
    }

    async function call(request: OtaTaskRequest): Promise<OtaTaskOutcome> {
      retryBudget.countCall();
      try {
        return await attempt(request, false);
      } catch (error) {
        const delayMs = retryDelayMs(error, random);
        if (delayMs === undefined || now() + delayMs >= endsAtMs) throw error;
        if (!circuit.isClosed() || !retryBudget.take()) throw error;
        await cancelable((resolve) => setTimeout(resolve, delayMs));
        // Meanwhile others may have found OneNET ill: what this call itself was told says more than that.
        if (!circuit.isClosed()) throw error;
        observer.retry();
        return attempt(request, true);
      }
    }

    async function attempt(request: OtaTaskRequest, again: boolean): Promise<OtaTaskOutcome> {
      await cancelable((resolve) => bulkhead.enter(cancellations, () => resolve(undefined)));
      const answered = circuit.run((probing) => ask(request, again, probing)).finally(() => bulkhead.leave());
      const answer = await (circuit.isClosed()
        ? answered
        : cancelable<Answer>((resolve, reject) => void answered.then(resolve, reject)));
      if ('error' in answer) throw answer.error;
      return answer.outcome;
    }

    async function ask(request: OtaTaskRequest, again: boolean, probing: boolean): Promise<Answer> {
      const startedMs = now();
      try {
        if (signal.aborted) throw cancellation(signal);
        // A probe goes on without its caller: everybody waits for what it finds.
        const cancelledBy: Cancellations = probing ? new Set() : cancellations;
        const outcome = judge(await exchange.get(taskingPath(request), authorize(), cancelledBy, again));
        observer.attempt(
          isAbsent(outcome) ? 'absent' : 'task',
          isAbsent(outcome) ? outcome.errno : 0,
          now() - startedMs,
        );
        return { outcome };
      } catch (error) {
        observer.attempt(...described(error), now() - startedMs);
        if (isAnswer(error)) return { error };
        throw error;
      }
    }

    /** A promise that the end of the caller's patience rejects. */
    function cancelable<T>(
      start: (resolve: (value: T) => void, reject: (error: unknown) => void) => void,
    ): Promise<T> {
      return new Promise((resolve, reject) => {
        if (signal.aborted) throw cancellation(signal);
        cancellations.add(reject);
        const settle =
          <V>(how: (value: V) => void) =>
          (value: V): void => {
            cancellations.delete(reject);
            how(value);
          };
        start(settle(resolve), settle(reject));
      });
    }
  };
}

/** What OneNET answered, be it an error, tells that it is alive. */
type Answer = { readonly outcome: OtaTaskOutcome } | { readonly error: Error };

function isAnswer(error: unknown): error is Error {
  if (error instanceof OneNetRefusedError) return error.errno !== ERRNO_INTERNAL;
  if (error instanceof OneNetUnreachableError) return error.reason === 'request-timeout';
  return error instanceof OneNetUnreadableError;
}

/** An error's result and errno for the observer. */
function described(error: unknown): [result: string, errno: number | undefined] {
  if (error instanceof OneNetRefusedError) return [error.refusal, error.errno];
  if (error instanceof OneNetUnreachableError) return [error.reason, undefined];
  return [error instanceof OneNetUnreadableError ? 'unreadable' : 'unforeseen', undefined];
}

/** Path and query of the call for a device; the id is encoded, so it can move neither host nor path. */
export function taskingPath({ deviceId, type, withAddress }: OtaTaskRequest): string {
  const query = `dev_id=${encodeURIComponent(deviceId)}&type=${TYPE_PARAMETER[type]}`;
  return `${TASKING_PATH}?${query}${withAddress ? '&cdn=true' : ''}`;
}

/** The status is judged before the body; errno is read from a 200 only. */
function judge({ status, body, retryAfter }: HttpAnswer): OtaTaskOutcome {
  if (status === 200) return decodeTaskingAnswer(body);
  if (status === 401 || status === 403) throw new OneNetRefusedError('unauthorized');
  if (status === 429) {
    throw new OneNetRefusedError('rate-limited', { retryAfterMs: parseRetryAfter(retryAfter, Date.now()) });
  }
  if (status === 408) throw new OneNetUnreachableError('request-timeout');
  if (status >= 500) throw new OneNetUnreachableError('server-error');
  throw new OneNetUnreadableError(`HTTP status ${status}`);
}

function cancellation(signal: AbortSignal): OneNetUnreachableError {
  const reason: unknown = signal.reason;
  const late = reason instanceof DOMException && reason.name === 'TimeoutError';
  return new OneNetUnreachableError(late ? 'timeout' : 'canceled');
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error('not an error', { cause: error });
}
