import { describe, expect, it } from 'vitest';

import { createQuota } from '../../src/sharing/quota.ts';
import { mostWithin, takeTurnsFor } from './turns.ts';

const now = (): number => performance.now();

describe('a quota', { timeout: 30_000 }, () => {
  it.concurrent.each([3, 10, 25, 100, 1000, 20_000])(
    'of %i calls a second is kept in any second, and used',
    async (callsPerSecond) => {
      const seconds = 3;
      const times = await takeTurnsFor(seconds * 1000, createQuota(callsPerSecond, now));
      expect(mostWithin(990, times)).toBeLessThanOrEqual(Math.max(1.2 * callsPerSecond, callsPerSecond));
      expect(times.length).toBeLessThanOrEqual(1.05 * seconds * callsPerSecond + 1);
      expect(times.length).toBeGreaterThanOrEqual(0.9 * seconds * callsPerSecond);
    },
  );

  it('grants the first turn at once, even after a pause, and no burst', async () => {
    let nowMs = 0;
    const takeTurn = createQuota(10, () => nowMs);
    const take = (): boolean => takeTurn(1, () => undefined);
    for (const pauseMs of [0, 100_000]) {
      nowMs += pauseMs;
      expect([take(), take()]).toEqual([true, false]);
    }
  });

  it('calls back the last caller that had no turn, when there is one', async () => {
    const takeTurn = createQuota(10, now);
    takeTurn(1, () => undefined);
    await new Promise<void>((resolve) => {
      const retry = (): void => (takeTurn(1, retry) ? resolve() : undefined);
      expect(takeTurn(1, retry)).toBe(false);
    });
  });
});
