import { onTestFinished } from 'vitest';

import { createBulkhead } from '../../src/onenet/bulkhead.ts';
import { createCircuit } from '../../src/onenet/circuit.ts';
import { createOneNetClient } from '../../src/onenet/client.ts';
import type { RetryBudget } from '../../src/onenet/retry-budget.ts';
import { createTransport } from '../../src/onenet/transport.ts';
import type { OtaTaskOutcome, OtaTaskRequest } from '../../src/ota-task.ts';
import { shareInFlight } from '../../src/sharing/in-flight.ts';

export const AUTHORIZATION =
  'version=2018-10-31&res=products%2F123123&et=1537255523&method=md5&sign=M3jB6jcSNUuGcvW3';

export interface ClientSettings {
  /** The maximum number of calls in flight. */
  readonly connections?: number;
  readonly queueCapacity?: number;
  readonly timeoutMs?: number;
  readonly authorize?: () => string;
  /** Without a budget, nothing is retried. */
  readonly retryBudget?: RetryBudget;
}

/** Asks until the signal is aborted, or without a limit. */
export type Ask = (
  requests: readonly OtaTaskRequest[],
  signal: AbortSignal,
  deadlineMs?: number,
) => Promise<(OtaTaskOutcome | Error)[]>;

/** A client of the upstream at this origin; it is closed after the test. */
export function startClient(origin: string, settings: ClientSettings = {}): Ask {
  const { connections = 4, queueCapacity = 100, timeoutMs = 3000 } = settings;
  const transport = createTransport({ origin, timeoutMs });
  onTestFinished(() => transport.close());
  const now = (): number => performance.now();
  const ask = createOneNetClient({
    transport,
    bulkhead: createBulkhead({ maxConcurrent: connections, maxQueued: queueCapacity }),
    circuit: createCircuit(now, () => undefined),
    retryBudget: settings.retryBudget ?? { countCall: () => undefined, take: () => false },
    authorize: settings.authorize ?? (() => AUTHORIZATION),
    observer: { attempt: () => undefined, retry: () => undefined, failed: () => undefined },
    now,
    random: Math.random,
  });
  const answered = { onenet: 0, in_flight: 0, memory: 0, redis: 0 };
  const fetch = shareInFlight({ ask, answered, isOutOfTurns: () => false });
  return (requests, signal, deadlineMs = Infinity) =>
    fetch(requests, {
      deadlineMs,
      cancelReason() {
        if (!signal.aborted) return undefined;
        return (signal.reason as Error).name === 'TimeoutError' ? 'deadline' : 'disconnected';
      },
      trace: undefined,
      logFields: () => ({ requestId: 'test' }),
      onCancel: (callback) => signal.addEventListener('abort', callback),
    });
}
