import { describe, expect, it } from 'vitest';

import { REDIS_SERVERS } from './redis-server.ts';
import { startQuota, startQuotas } from './start-quotas.ts';
import { mostWithin, takeTurnsFor } from './turns.ts';

describe.each(REDIS_SERVERS)('the quota of a fleet with %s', { timeout: 60_000 }, (program) => {
  it.each([2, 5000])(
    'of %i calls a second is kept and used, and every replica has its part',
    async (callsPerSecond) => {
      const { fleet } = await startQuotas(program, callsPerSecond);
      const seconds = 4;
      const taken = await Promise.all(fleet.map(({ takeTurn }) => takeTurnsFor(seconds * 1000, takeTurn)));
      const times = taken.flat();
      expect(mostWithin(970, times)).toBeLessThanOrEqual(1.2 * callsPerSecond);
      expect(times.length).toBeLessThanOrEqual(1.05 * seconds * callsPerSecond + 1);
      expect(times.length).toBeGreaterThanOrEqual(0.9 * seconds * callsPerSecond);
      if (callsPerSecond < 50) return;
      for (const own of taken) expect(own.length).toBeGreaterThan((0.7 * times.length) / fleet.length);
    },
  );

  it('is available in full to the only replica that uses it', async () => {
    const { fleet } = await startQuotas(program, 200);
    const times = await takeTurnsFor(2000, (fleet[0] as (typeof fleet)[0]).takeTurn);
    expect(times.length).toBeGreaterThanOrEqual(0.9 * 400);
  });

  it('is taken in leases, not call by call', async () => {
    const { redis, fleet } = await startQuotas(program, 1000, 1);
    const times = await takeTurnsFor(1000, (fleet[0] as (typeof fleet)[0]).takeTurn);
    const stats = String(await redis.command('INFO', 'commandstats'));
    expect(Number(/cmdstat_evalsha:calls=(\d+)/.exec(stats)?.[1])).toBeLessThan(times.length / 10);
  });

  it('is whole for a replica that has never seen Redis, and this is reported', async () => {
    const { takeTurn, shares } = await startQuota({ url: 'redis://127.0.0.1:1' }, 100);
    const times = await takeTurnsFor(1000, takeTurn);
    expect(times.length).toBeGreaterThanOrEqual(90);
    expect(shares).toEqual([{ callsPerSecond: 100, replicas: 1 }]);
  });

  it('does not wait when the clock of Redis was set back', async () => {
    const { redis, fleet } = await startQuotas(program, 100, 1);
    await redis.command('SET', 'onenet-ota:{quota:test}:due', String((Date.now() + 3600_000) * 1000));
    const times = await takeTurnsFor(1000, (fleet[0] as (typeof fleet)[0]).takeTurn);
    expect(times.length).toBeGreaterThanOrEqual(85);
  });
});
