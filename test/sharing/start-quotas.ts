import { onTestFinished } from 'vitest';

import { createRedisConnection } from '../../src/sharing/redis-connection.ts';
import { createFleetQuota, LEASE } from '../../src/sharing/redis-quota.ts';
import { type RedisServer, startRedis } from './redis-server.ts';
import { available } from './start-chain.ts';

/** As far apart as the clocks of hosts may be. */
const CLOCK_SKEW_MS = 10 * 60_000;

export async function startQuota({ url }: Pick<RedisServer, 'url'>, callsPerSecond: number, skewMs = 0) {
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

/** Replicas with one quota and a Redis of their own. */
export async function startQuotas(program: string, callsPerSecond: number, replicas = 3) {
  const redis = await startRedis(program);
  const fleet = [];
  for (let i = 0; i < replicas; i++) {
    fleet.push(await startQuota(redis, callsPerSecond, i * CLOCK_SKEW_MS));
  }
  await Promise.all(fleet.map((replica) => available(replica.redis)));
  return { redis, fleet };
}
