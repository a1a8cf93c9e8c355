import { describe, expect, it } from 'vitest';

import { until } from '../until.ts';
import { REDIS_SERVERS } from './redis-server.ts';
import { available } from './start-chain.ts';
import { startQuotas } from './start-quotas.ts';
import { mostWithin, takeTurnsFor } from './turns.ts';

describe.each(REDIS_SERVERS)('the quota of a fleet with %s', { timeout: 60_000 }, (program) => {
  it('is divided by the replicas last seen while Redis is unavailable, and whole again after', async () => {
    const { redis, fleet } = await startQuotas(program, 300);
    const takeFor = async (ms: number): Promise<number[]> =>
      (await Promise.all(fleet.map(({ takeTurn }) => takeTurnsFor(ms, takeTurn)))).flat();
    await takeFor(1000);
    await redis.kill();
    await until(() => fleet.every((replica) => replica.redis.availableSinceMs === undefined));
    const away = await takeFor(2000);
    expect(mostWithin(990, away)).toBeLessThanOrEqual(1.2 * 300);
    expect(away.length).toBeGreaterThanOrEqual(0.9 * 600);
    for (const { shares } of fleet) expect(shares).toEqual([{ callsPerSecond: 100, replicas: 3 }]);

    await redis.start();
    await Promise.all(fleet.map((replica) => available(replica.redis)));
    const back = await takeFor(2000);
    expect(mostWithin(990, back)).toBeLessThanOrEqual(1.2 * 300);
    expect(back.length).toBeGreaterThanOrEqual(0.9 * 600);

    // Again, before all replicas have sent a heartbeat.
    await redis.kill();
    await until(() => fleet.every((replica) => replica.redis.availableSinceMs === undefined));
    await takeFor(100);
    for (const { shares } of fleet) expect(shares).toHaveLength(2);
    for (const { shares } of fleet) expect(shares[1]).toEqual(shares[0]);
  });

  it('is respected when Redis is killed under load and restarted', async () => {
    const { redis, fleet } = await startQuotas(program, 300);
    const taken = Promise.all(fleet.map(({ takeTurn }) => takeTurnsFor(6000, takeTurn)));
    await takeTurnsFor(1000, () => false);
    await redis.kill();
    await takeTurnsFor(1500, () => false);
    await redis.start();
    const times = (await taken).flat();
    // While two replicas are cut off and one is not, the two have their shares and the one may use the whole quota.
    expect(mostWithin(990, times)).toBeLessThanOrEqual(1.2 * 300 + 200);
    expect(times.length).toBeGreaterThanOrEqual(0.9 * 1800);
  });
});
