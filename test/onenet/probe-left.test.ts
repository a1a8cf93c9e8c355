import { expect, it, onTestFinished } from 'vitest';

import { createBulkhead } from '../../src/onenet/bulkhead.ts';
import { createCircuit } from '../../src/onenet/circuit.ts';
import { createOneNetClient } from '../../src/onenet/client.ts';
import { createTransport } from '../../src/onenet/transport.ts';
import { shareInFlight } from '../../src/sharing/in-flight.ts';
import { createSimulator, type Fault } from '../../src/simulator/simulator.ts';
import { AUTHORIZATION } from './start-client.ts';

/** A client with one place, on a clock that can be put forward, whose circuit is about to send out probes. */
async function startBeforeProbes() {
  let fault: Fault | undefined = { kind: 'status', status: 503 };
  const onenet = await createSimulator({ fault: () => fault });
  onTestFinished(() => onenet.close());
  let aheadMs = 0;
  const now = (): number => performance.now() + aheadMs;
  const transport = createTransport({ origin: onenet.url, timeoutMs: 500 });
  onTestFinished(() => transport.close());
  const bulkhead = createBulkhead({ maxConcurrent: 1, maxQueued: 100 });
  const ask = createOneNetClient({
    transport,
    bulkhead,
    circuit: createCircuit(now, () => undefined),
    retryBudget: { countCall: () => undefined, take: () => false },
    authorize: () => AUTHORIZATION,
    observer: { attempt: () => undefined, retry: () => undefined, failed: () => undefined },
    now,
    random: Math.random,
  });
  const fetch = shareInFlight({
    ask,
    answered: { onenet: 0, in_flight: 0, memory: 0, redis: 0 },
    isOutOfTurns: () => false,
  });
  const ids = (count: number) =>
    Array.from({ length: count }, (_, i) => ({
      deviceId: `d${i}`,
      type: 'FOTA' as const,
      withAddress: false,
    }));
  const request = (count: number) => {
    let onCancel = (): void => undefined;
    let isGone = false;
    const outcomes = fetch(ids(count), {
      deadlineMs: Infinity,
      cancelReason: () => (isGone ? 'disconnected' : undefined),
      trace: undefined,
      logFields: () => ({ requestId: 'test' }),
      onCancel: (callback) => (onCancel = callback),
    });
    const leave = (): void => {
      isGone = true;
      onCancel();
    };
    return { outcomes, leave };
  };
  await request(20).outcomes;
  aheadMs += 5001;
  fault = { kind: 'stall' };
  return { onenet, bulkhead, request, ids };
}

it('a probe that waited in the queue, and whom its client then leaves, takes nobody out of the queue', async () => {
  const { onenet, bulkhead, request } = await startBeforeProbes();
  onenet.resetCalls();
  // The first call takes the one place; the second waits, and is a probe once the first has timed out.
  const { outcomes, leave } = request(3);
  await expect.poll(() => onenet.calls.length).toBe(2);
  expect(bulkhead.queued).toBe(1);
  leave();
  await outcomes;
  expect(bulkhead.queued).toBe(0);
});
