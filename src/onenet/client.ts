import {
  type FetchOtaTasks,
  isAbsent,
  type OtaTaskOutcome,
  type OtaTaskRequest,
  type OtaTaskType,
} from '../ota-task.ts';
import type { Authorize } from './authorization.ts';
import type { Bulkhead } from './bulkhead.ts';
import type { Circuit, Verdict } from './circuit.ts';
import { decodeTaskingAnswer } from './decode.ts';
import {
  ERRNO_INTERNAL,
  ERRNO_INVALID_TYPE,
  OneNetRefusedError,
  OneNetUnreachableError,
  OneNetUnreadableError,
} from './errors.ts';
import type { BreakOffs, Exchange, HttpAnswer } from './exchange.ts';
import { parseRetryAfter, retryDelayMs } from './retry.ts';
import type { OneNetObserver } from './observer.ts';
import type { RetryBudget } from './retry-budget.ts';

const TASKING_PATH = '/ota/south/tasking';
const TYPE_PARAMETER: Readonly<Record<OtaTaskType, string>> = { FOTA: '1', SOTA: '2' };

/** More than the event loop of a healthy process is ever late. */
const STALL_MS = 100;

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

  // Callbacks within, and one promise for the batch: with promises for each call, those were a quarter of its cost.
  return (requests, requester) =>
    new Promise((resolve) => {
      const outcomes = new Array<OtaTaskOutcome | Error | undefined>(requests.length).fill(undefined);
      let missing = requests.length;
      /** What has to be broken off when nobody waits any longer; and, to the bulkhead, who asks. */
      const underWay: BreakOffs = new Set();

      if (missing === 0) finish();
      else if (requester.ended() !== undefined) giveUp();
      else {
        requester.onEnd(giveUp);
        requests.forEach((_, index) => {
          retryBudget.countCall();
          enter(index, false);
        });
      }

      function finish(): void {
        resolve(outcomes as (OtaTaskOutcome | Error)[]);
      }

      function giveUp(): void {
        bulkhead.abandon(underWay);
        const error = new OneNetUnreachableError(requester.ended() === 'late' ? 'timeout' : 'canceled');
        requests.forEach((_, index) => settle(index, error));
        for (const breakOff of [...underWay]) breakOff(error);
      }

      /** The first outcome stands: a call that was given up may still end. */
      function settle(index: number, outcome: OtaTaskOutcome | Error): void {
        if (outcomes[index] !== undefined) return;
        outcomes[index] = outcome;
        if (--missing === 0) finish();
      }

      function enter(index: number, again: boolean): void {
        bulkhead.enter(underWay, (refused) => {
          if (refused === undefined) attempt(index, again);
          else settle(index, refused);
        });
      }

      function attempt(index: number, again: boolean): void {
        const request = requests[index] as OtaTaskRequest;
        const pass = circuit.enter(request);
        if (pass === undefined) {
          settle(index, new OneNetUnreachableError('circuit-open'));
          bulkhead.leave();
          return;
        }
        const isProbe = circuit.status !== 'closed';
        const startedMs = now();
        const dueMs = Math.min(startedMs + exchange.timeoutMs, isProbe ? Infinity : requester.endsAtMs);
        const endSpan = requester.trace?.call(request, again ? 2 : 1);
        const ended = (answer: HttpAnswer | Error): void => {
          const outcome = answer instanceof Error ? answer : judge(answer);
          const result = resultOf(outcome);
          const errno = errnoOf(outcome);
          const endedMs = now();
          observer.attempt(result, errno, endedMs - startedMs);
          endSpan?.({ result, errno, status: 'status' in answer ? answer.status : undefined });
          // Where time ran out while this process could not look for an answer, nobody knows whether there was one.
          const isStall = result === 'timeout' && endedMs - dueMs > STALL_MS;
          circuit.leave(pass, request, isStall ? 'nothing' : verdictOn(outcome));
          if (again) conclude(index, outcome, 2);
          else concludeOrRetry(index, outcome);
        };
        // A probe goes on without its caller: everybody waits for what it finds.
        const breakOffs: BreakOffs = isProbe ? new Set() : underWay;
        try {
          exchange.get(taskingPath(request), authorize(), again, breakOffs, ended, bulkhead.leave);
        } catch (error) {
          ended(error as Error);
          bulkhead.leave();
        }
      }

      /** The last that is heard of a call. */
      function conclude(index: number, outcome: OtaTaskOutcome | Error, attempts: number): void {
        settle(index, outcome);
        if (!isFailure(outcome)) return;
        const key = requests[index] as OtaTaskRequest;
        const detail = outcome instanceof OneNetUnreadableError ? outcome.detail : undefined;
        observer.failed({
          key,
          requester,
          result: resultOf(outcome),
          errno: errnoOf(outcome),
          detail,
          attempts,
        });
      }

      function concludeOrRetry(index: number, outcome: OtaTaskOutcome | Error): void {
        const delayMs = outcome instanceof Error ? retryDelayMs(outcome, random) : undefined;
        if (
          delayMs === undefined ||
          requester.ended() !== undefined ||
          now() + delayMs >= requester.endsAtMs ||
          circuit.status !== 'closed' ||
          !retryBudget.take()
        ) {
          conclude(index, outcome, 1);
          return;
        }
        const timer = setTimeout(() => {
          underWay.delete(breakOff);
          // Meanwhile others may have found OneNET ill: what this call itself was told says more than that.
          if (circuit.status !== 'closed') {
            conclude(index, outcome, 1);
          } else {
            observer.retry();
            enter(index, true);
          }
        }, delayMs);
        const breakOff = (): void => clearTimeout(timer);
        underWay.add(breakOff);
      }
    });
}

/** What OneNET answered, be it an error, tells that it is alive. */
function verdictOn(outcome: OtaTaskOutcome | Error): Verdict {
  if (outcome instanceof OneNetRefusedError) return outcome.errno === ERRNO_INTERNAL ? 'failure' : 'success';
  if (outcome instanceof OneNetUnreachableError) {
    if (outcome.reason === 'canceled') return 'nothing';
    return outcome.reason === 'request-timeout' ? 'success' : 'failure';
  }
  return outcome instanceof Error && !(outcome instanceof OneNetUnreadableError) ? 'nothing' : 'success';
}

/** Whether it is more than a word about the device, or than somebody who left; what is unforeseen is reported elsewhere. */
function isFailure(outcome: OtaTaskOutcome | Error): boolean {
  if (outcome instanceof OneNetRefusedError) return outcome.errno !== ERRNO_INVALID_TYPE;
  if (outcome instanceof OneNetUnreachableError) return outcome.reason !== 'canceled';
  return outcome instanceof OneNetUnreadableError;
}

/** In one word for the observer. */
function resultOf(outcome: OtaTaskOutcome | Error): string {
  if (outcome instanceof OneNetRefusedError) return outcome.refusal;
  if (outcome instanceof OneNetUnreachableError) return outcome.reason;
  if (outcome instanceof OneNetUnreadableError) return 'unreadable';
  if (outcome instanceof Error) return 'unforeseen';
  return isAbsent(outcome) ? 'absent' : 'task';
}

function errnoOf(outcome: OtaTaskOutcome | Error): number | undefined {
  if (outcome instanceof Error) return outcome instanceof OneNetRefusedError ? outcome.errno : undefined;
  return isAbsent(outcome) ? outcome.errno : 0;
}

/** Path and query of the call for a device; the id is encoded, so it can move neither host nor path. */
export function taskingPath({ deviceId, type, withAddress }: OtaTaskRequest): string {
  const query = `dev_id=${encodeURIComponent(deviceId)}&type=${TYPE_PARAMETER[type]}`;
  return `${TASKING_PATH}?${query}${withAddress ? '&cdn=true' : ''}`;
}

/** The status is judged before the body; errno is read from a 200 only. */
function judge({ status, body, retryAfter }: HttpAnswer): OtaTaskOutcome | Error {
  if (status === 200) return decode(body);
  if (status === 401 || status === 403) return new OneNetRefusedError('unauthorized');
  if (status === 429) {
    return new OneNetRefusedError('rate-limited', { retryAfterMs: parseRetryAfter(retryAfter, Date.now()) });
  }
  if (status === 408) return new OneNetUnreachableError('request-timeout');
  if (status >= 500) return new OneNetUnreachableError('server-error');
  return new OneNetUnreadableError(`HTTP status ${status}`);
}

function decode(body: Buffer): OtaTaskOutcome | Error {
  try {
    return decodeTaskingAnswer(body);
  } catch (error) {
    return error as Error;
  }
}
