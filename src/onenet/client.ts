import type { FetchOtaTasks, OtaTaskOutcome, OtaTaskRequest, OtaTaskType } from '../ota-task.ts';
import type { Authorize } from './authorization.ts';
import type { Bulkhead, Caller } from './bulkhead.ts';
import { decodeTaskingAnswer } from './decode.ts';
import { OneNetRefusedError, OneNetUnreachableError, OneNetUnreadableError } from './errors.ts';
import type { Cancellations, Exchange, HttpAnswer } from './exchange.ts';

const TASKING_PATH = '/ota/south/tasking';
const TYPE_PARAMETER: Readonly<Record<OtaTaskType, string>> = { FOTA: '1', SOTA: '2' };

export interface OneNetClientOptions {
  readonly exchange: Exchange;
  readonly bulkhead: Bulkhead;
  readonly authorize: Authorize;
}

/** Puts each request as one tasking call, all of them at once as far as there are places. */
export function createOneNetClient({ exchange, bulkhead, authorize }: OneNetClientOptions): FetchOtaTasks {
  return async (requests, signal) => {
    const cancellations: Cancellations = new Set();
    const caller: Caller = cancellations;
    // One listener for the whole batch: a thousand of them on one signal cost more than the calls.
    const cancelAll = (): void => {
      bulkhead.abandon(caller);
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
      await place();
      try {
        if (signal.aborted) throw cancellation(signal);
        return judge(await exchange.get(taskingPath(request), authorize(), cancellations));
      } finally {
        bulkhead.leave();
      }
    }

    function place(): Promise<void> {
      return new Promise((resolve, reject) => {
        cancellations.add(reject);
        bulkhead.enter(caller, () => {
          cancellations.delete(reject);
          resolve();
        });
      });
    }
  };
}

/** Path and query of the call for a device; the id is encoded, so it can move neither host nor path. */
export function taskingPath({ deviceId, type, withAddress }: OtaTaskRequest): string {
  const query = `dev_id=${encodeURIComponent(deviceId)}&type=${TYPE_PARAMETER[type]}`;
  return `${TASKING_PATH}?${query}${withAddress ? '&cdn=true' : ''}`;
}

/** The status is judged before the body; errno is read from a 200 only. */
function judge({ status, body }: HttpAnswer): OtaTaskOutcome {
  if (status === 200) return decodeTaskingAnswer(body);
  if (status === 401 || status === 403) throw new OneNetRefusedError('unauthorized');
  if (status === 429) throw new OneNetRefusedError('rate-limited');
  if (status === 408 || status >= 500) throw new OneNetUnreachableError('server-error');
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
