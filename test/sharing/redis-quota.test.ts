import { onTestFinished, describe, expect, it } from 'vitest';

import { createRedisConnection } from '../../src/sharing/redis-connection.ts';
import { createFleetQuota, LEASE } from '../../src/sharing/redis-quota.ts';
import { REDIS_SERVERS, type RedisServer, startRedis } from './redis-server.ts';
import { until } from '../until.ts';
import { available } from './start-chain.ts';
import { mostWithin, takeTurnsFor } from './turns.ts';

/** As far apart as the clocks of hosts may be. */
const CLOCK_SKEW_MS = 10 * 60_000;

describe.each(REDIS_SERVERS)('the quota of a fleet with %s', { timeout: 60_000 }, (program) => {
  async function startReplica({ url }: Pick<RedisServer, 'url'>, callsPerSecond: number, skewMs = 0) {
    const shares: object[] = [];
    const now = (): number => performance.now() + skewMs;
    const redis = createRedisConnection({
      url,
      scripts: [LEASE],
      onChange: () => undefined,
      now,
      random: Math.random,
    });
    const quota = createFleetQuota({
      redis,
      callsPerSecond,
      name: 'test',
      now,
      random: Math.random,
      onAlone: (share) => shares.push(share),
    });
    onTestFinished(() => {
      quota.close();
      redis.close();
    });
    return { ...quota, redis, shares };
  }

  async function startFleet(callsPerSecond: number, replicas = 3) {
    const redis = await startRedis(program);
    const fleet = [];
    for (let i = 0; i < replicas; i++) {
      fleet.push(await startReplica(redis, callsPerSecond, i * CLOCK_SKEW_MS));
    }
    await Promise.all(fleet.map((replica) => available(replica.redis)));
    return { redis, fleet };
  }

  it.each([2, 5000])(
    'of %i calls a second is kept and used, and every replica has its part',
    async (callsPerSecond) => {
      const { fleet } = await startFleet(callsPerSecond);
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
    const { fleet } = await startFleet(200);
    const times = await takeTurnsFor(2000, (fleet[0] as (typeof fleet)[0]).takeTurn);
    expect(times.length).toBeGreaterThanOrEqual(0.9 * 400);
  });

  it('is taken in leases, not call by call', async () => {
    const { redis, fleet } = await startFleet(1000, 1);
    const times = await takeTurnsFor(1000, (fleet[0] as (typeof fleet)[0]).takeTurn);
    const stats = String(await redis.command('INFO', 'commandstats'));
    expect(Number(/cmdstat_evalsha:calls=(\d+)/.exec(stats)?.[1])).toBeLessThan(times.length / 10);
  });

  it('is divided by the replicas last seen while Redis is unavailable, and whole again after', async () => {
    const { redis, fleet } = await startFleet(300);
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
    const { redis, fleet } = await startFleet(300);
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

  it('is whole for a replica that has never seen Redis, and this is reported', async () => {
    const { takeTurn, shares } = await startReplica({ url: 'redis://127.0.0.1:1' }, 100);
    const times = await takeTurnsFor(1000, takeTurn);
    expect(times.length).toBeGreaterThanOrEqual(90);
    expect(shares).toEqual([{ callsPerSecond: 100, replicas: 1 }]);
  });

  it('does not wait when the clock of Redis was set back', async () => {
    const { redis, fleet } = await startFleet(100, 1);
    await redis.command('SET', 'onenet-ota:{quota:test}:due', String((Date.now() + 3600_000) * 1000));
    const times = await takeTurnsFor(1000, (fleet[0] as (typeof fleet)[0]).takeTurn);
    expect(times.length).toBeGreaterThanOrEqual(85);
  });
});
