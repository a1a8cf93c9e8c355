import { describe, expect, it } from 'vitest';

import type { Origin, OtaTaskCall } from '../../src/ask-ota-tasks.ts';
import type { OtaTask } from '../../src/ota-task.ts';
import { createLifetimes } from '../../src/sharing/lifetimes.ts';
import { createMemoryCache } from '../../src/sharing/memory-cache.ts';
import type { RecordedCall } from '../../src/simulator/simulator.ts';
import { until } from '../until.ts';
import { asked, fota, fotaWithAddress, startChain, startOneNet } from './start-chain.ts';

/** Answers as the device id says. */
function fault({ deviceId }: RecordedCall) {
  const errno = /^errno-(\d+)/.exec(deviceId ?? '')?.[1];
  if (errno !== undefined) return { kind: 'body', body: `{"errno":${errno}}` } as const;
  return deviceId?.startsWith('broken') ? ({ kind: 'status', status: 503 } as const) : undefined;
}

const LONG_MS = 60_000;

describe('the memory cache', () => {
  it('answers a task or an absence again without a call', async () => {
    const onenet = await startOneNet({ fault });
    const { ask, answered } = await startChain(onenet, { taskMs: LONG_MS, absentMs: LONG_MS, maxEntries: 9 });
    const ids = ['a', 'errno-4', 'errno-12'];
    const first = await ask(fota(...ids));
    expect(await ask(fota(...ids))).toEqual(first);
    expect(asked(onenet)).toEqual(ids);
    expect(answered).toEqual({ onenet: 3, in_flight: 0, memory: 3, redis: 0 });
  });

  it.each(['errno-2', 'errno-7', 'errno-99', 'broken'])('does not keep errors: %s', async (id) => {
    const onenet = await startOneNet({ fault });
    const { ask } = await startChain(onenet, { taskMs: LONG_MS, absentMs: LONG_MS, maxEntries: 9 });
    await ask(fota(id));
    await ask(fota(id));
    expect(asked(onenet)).toEqual([id, id]);
  });

  it.each([
    { what: 'only tasks', taskMs: LONG_MS, absentMs: 0, again: ['errno-4'] },
    { what: 'only absences', taskMs: 0, absentMs: LONG_MS, again: ['a'] },
  ])('keeps $what if only they have a lifetime', async ({ taskMs, absentMs, again }) => {
    const onenet = await startOneNet({ fault });
    const { ask } = await startChain(onenet, { taskMs, absentMs, maxEntries: 9 });
    await ask(fota('a', 'errno-4'));
    await ask(fota('a', 'errno-4'));
    expect(asked(onenet)).toEqual(['a', 'errno-4', ...again]);
  });

  it('keeps an answer for its lifetime, and no longer', async () => {
    const onenet = await startOneNet();
    const { ask } = await startChain(onenet, { taskMs: 200, maxEntries: 9 });
    await ask(fota('a'));
    const answeredAtMs = performance.now();
    await until(async () => {
      await ask(fota('a'));
      return onenet.calls.length === 2;
    });
    const livedMs = performance.now() - answeredAtMs;
    expect(livedMs).toBeGreaterThan(190);
    expect(livedMs).toBeLessThan(300);
  });

  it('uses an answer without the address only for requests that do not want it', async () => {
    const onenet = await startOneNet();
    const { ask } = await startChain(onenet, { taskMs: LONG_MS, maxEntries: 9 });
    await ask(fota('a'));
    await ask(fotaWithAddress('a'));
    await ask(fota('a'));
    await ask(fotaWithAddress('a'));
    expect(onenet.calls.map(({ cdn }) => cdn)).toEqual([null, 'true']);
  });

  it.each([
    { what: 'an absence', id: 'errno-4' },
    { what: 'a task without an address although it was asked for', id: 'bare' },
  ])('uses $what for every request', async ({ id }) => {
    const data = { target: '2', token: 't', size: 1, md5: 'm', type: 1 };
    const onenet = await startOneNet({
      fault: (call) =>
        call.deviceId === 'bare'
          ? { kind: 'body', body: JSON.stringify({ errno: 0, error: 'succ', data }) }
          : fault(call),
    });
    const { ask } = await startChain(onenet, { taskMs: LONG_MS, absentMs: LONG_MS, maxEntries: 9 });
    await ask(fotaWithAddress(id));
    await ask(fotaWithAddress(id));
    await ask(fota(id));
    expect(asked(onenet)).toEqual([id]);
  });

  it('evicts the least recently used entry when it is full', async () => {
    const onenet = await startOneNet();
    const { ask } = await startChain(onenet, { taskMs: LONG_MS, maxEntries: 2 });
    for (const id of ['a', 'b', 'a', 'c', 'a', 'b']) await ask(fota(id));
    expect(asked(onenet)).toEqual(['a', 'b', 'c', 'b']);
  });
});

describe('of two answers for one pair, the memory cache keeps', () => {
  const old = { target: 'old', ipPort: null } as OtaTask;
  const young = { target: 'young', ipPort: null } as OtaTask;
  const withAddress = { target: 'with address', ipPort: '127.0.0.1' } as OtaTask;

  it.each([
    { what: 'the younger, even if it comes first', first: [young, 2], second: [old, 1], kept: 'young' },
    { what: 'the younger, if it comes last', first: [old, 1], second: [young, 2], kept: 'young' },
    { what: 'the one with the address', first: [withAddress, 1], second: [young, 2], kept: 'with address' },
    { what: 'the one that has not expired', first: [withAddress, -100], second: [young, 2], kept: 'young' },
  ] as const)('$what', ({ first, second, kept }) => {
    const settlings: ((task: OtaTask, answeredAtMs: number) => void)[] = [];
    const ask = createMemoryCache({
      beginLife: createLifetimes({ taskMs: 100, absentMs: 100, now: () => 0, random: () => 0 }),
      maxEntries: 9,
      now: () => 0,
      ask: (calls, onOutcome) =>
        settlings.push((task, answeredAtMs) => {
          const origin: Origin = { source: 'redis', answeredAtMs, expiresAtMs: answeredAtMs + 100 };
          for (const call of calls) onOutcome(call, task, origin);
        }),
    });
    const outcomes: unknown[] = [];
    const askOnce = (): void =>
      ask(fota('a') as OtaTaskCall[], (_, outcome) => outcomes.push((outcome as OtaTask).target));
    askOnce();
    askOnce();
    settlings[0]?.(first[0], first[1]);
    settlings[1]?.(second[0], second[1]);
    askOnce();
    expect(outcomes[2]).toBe(kept);
  });
});
