import { describe, expect, it } from 'vitest';

import { OneNetError } from '../../src/onenet-error.ts';
import type { RecordedCall } from '../../src/simulator/simulator.ts';
import { until } from '../until.ts';
import { asked, createWaiter, fota, fotaWithAddress, startChain, startOneNet } from './start-chain.ts';

const LATENCY_MS = 50;

/** A OneNET that answers every device except those whose id makes it hang. */
async function startSlowOneNet() {
  return startOneNet({
    latencyMs: LATENCY_MS,
    fault: ({ deviceId }: RecordedCall) => (deviceId?.startsWith('hang') ? { kind: 'stall' } : undefined),
  });
}

const task = expect.objectContaining({ token: expect.any(String) });
const taskWithAddress = expect.objectContaining({ ipPort: expect.any(String) });

describe('concurrent requests for one pair', () => {
  it('share one call', async () => {
    const onenet = await startSlowOneNet();
    const { ask, answered } = await startChain(onenet);
    const answers = await Promise.all([ask(fota('a')), ask(fota('a')), ask(fota('a'))]);
    expect(answers).toEqual([[task], [task], [task]]);
    expect(asked(onenet)).toEqual(['a']);
    expect(answered).toEqual({ onenet: 1, in_flight: 2, memory: 0, redis: 0 });
  });

  it('share the pairs they have in common, each in its own order', async () => {
    const onenet = await startSlowOneNet();
    const { ask } = await startChain(onenet);
    const [first, second] = await Promise.all([ask(fota('a', 'b', 'c')), ask(fota('c', 'd', 'a'))]);
    expect(asked(onenet)).toEqual(['a', 'b', 'c', 'd']);
    expect(second[0]).toBe(first[2]);
    expect(second[2]).toBe(first[0]);
  });

  it('do not share tasks of different types', async () => {
    const onenet = await startSlowOneNet();
    const { ask } = await startChain(onenet);
    const requests = fota('a');
    await Promise.all([ask(requests), ask(requests.map((request) => ({ ...request, type: 'SOTA' })))]);
    expect(onenet.calls.map(({ type }) => type)).toEqual(['1', '2']);
  });

  it('make a new call once the first has ended', async () => {
    const onenet = await startSlowOneNet();
    const { ask } = await startChain(onenet);
    await ask(fota('a'));
    await ask(fota('a'));
    expect(asked(onenet)).toEqual(['a', 'a']);
  });

  it('receive outcomes as they arrive: a device that hangs delays no other', async () => {
    const onenet = await startSlowOneNet();
    const { ask } = await startChain(onenet);
    const waiter = createWaiter();
    const stuck = ask(fota('hang', 'a'), waiter);
    expect(await ask(fota('a'))).toEqual([task]);
    waiter.end('deadline');
    expect(await stuck).toEqual([expect.objectContaining({ reason: 'timeout' }), task]);
  });

  it('share an error, which is not cached', async () => {
    const onenet = await startOneNet({ latencyMs: LATENCY_MS, fault: () => ({ kind: 'reset' }) });
    const { ask, answered } = await startChain(onenet);
    const [[first], [second]] = await Promise.all([ask(fota('a')), ask(fota('a'))]);
    expect(first).toBeInstanceOf(OneNetError);
    expect(second).toBe(first);
    await ask(fota('a'));
    expect(asked(onenet)).toEqual(['a', 'a']);
    expect(answered).toEqual({ onenet: 0, in_flight: 0, memory: 0, redis: 0 });
  });
});

describe('a call', () => {
  it('without the address does not answer a request for the address', async () => {
    const onenet = await startSlowOneNet();
    const { ask } = await startChain(onenet);
    const [plain, full] = await Promise.all([ask(fota('a')), ask(fotaWithAddress('a'))]);
    expect(plain).toEqual([expect.objectContaining({ ipPort: null })]);
    expect(full).toEqual([taskWithAddress]);
    expect(onenet.calls.map(({ cdn }) => cdn)).toEqual([null, 'true']);
  });

  it('with the address answers all requests, even if one without it is in flight', async () => {
    const onenet = await startSlowOneNet();
    const { ask } = await startChain(onenet);
    await Promise.all([ask(fota('a')), ask(fotaWithAddress('a')), ask(fota('a')), ask(fotaWithAddress('a'))]);
    expect(onenet.calls.map(({ cdn }) => cdn)).toEqual([null, 'true']);
  });

  it('with the address also answers requests that come after one without it has ended', async () => {
    const onenet = await startOneNet({ latencyMs: ({ cdn }) => (cdn === 'true' ? 200 : 1) });
    const { ask } = await startChain(onenet);
    const plain = ask(fota('a'));
    const full = ask(fotaWithAddress('a'));
    await plain;
    await Promise.all([full, ask(fota('a'))]);
    expect(onenet.calls.map(({ cdn }) => cdn)).toEqual([null, 'true']);
  });

  it('continues for the others when the request that began it is canceled', async () => {
    const onenet = await startSlowOneNet();
    const { ask, answered } = await startChain(onenet);
    const leader = createWaiter();
    const led = ask(fota('a'), leader);
    const other = ask(fota('a'));
    leader.end('disconnected');
    expect(await led).toEqual([expect.objectContaining({ reason: 'canceled' })]);
    expect(await other).toEqual([task]);
    expect(asked(onenet)).toEqual(['a']);
    expect(answered).toEqual({ onenet: 1, in_flight: 0, memory: 0, redis: 0 });
  });

  it('is aborted when the last request is canceled, and at once if no other request shares it', async () => {
    const onenet = await startSlowOneNet();
    const { ask } = await startChain(onenet);
    const [leader, other] = [createWaiter(), createWaiter()];
    void ask(fota('hang1', 'hang2', 'hang3'), leader);
    void ask(fota('hang2'), other);
    await until(() => onenet.inFlight === 3);
    leader.end('disconnected');
    await until(() => onenet.inFlight === 1);
    other.end('disconnected');
    await until(() => onenet.inFlight === 0);
  });

  it('that was aborted answers no later request', async () => {
    const onenet = await startSlowOneNet();
    const { ask } = await startChain(onenet);
    const waiter = createWaiter();
    void ask(fota('a'), waiter);
    waiter.end('disconnected');
    expect(await ask(fota('a'))).toEqual([task]);
  });

  it('ends for each request at its own deadline', async () => {
    const onenet = await startSlowOneNet();
    const { ask } = await startChain(onenet);
    const [early, late] = [createWaiter(), createWaiter()];
    const first = ask(fota('hang', 'a'), early);
    const second = ask(fota('hang'), late);
    early.end('deadline');
    expect(await first).toEqual([
      expect.objectContaining({ reason: 'timeout' }),
      expect.objectContaining({ reason: 'timeout' }),
    ]);
    await until(() => onenet.inFlight === 1);
    late.end('deadline');
    expect(await second).toEqual([expect.objectContaining({ reason: 'timeout' })]);
  });

  it('is not made for a request that is already canceled', async () => {
    const onenet = await startSlowOneNet();
    const { ask } = await startChain(onenet);
    const waiter = createWaiter();
    waiter.end('disconnected');
    expect(await ask(fota('a'), waiter)).toEqual([expect.objectContaining({ reason: 'canceled' })]);
    expect(await ask([])).toEqual([]);
    expect(asked(onenet)).toEqual([]);
  });
});
