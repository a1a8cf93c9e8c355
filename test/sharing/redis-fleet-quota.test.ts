import { describe, expect, it } from 'vitest';

import { askEntities, devices } from '../service.ts';
import { REDIS_SERVERS, startRedis } from './redis-server.ts';
import { redisAvailable, startReplicas } from './start-replicas.ts';
import { mostWithin } from './turns.ts';

const TASK = 'otaTask(type: FOTA) { target token downloadUrl }';

const ids = (count: number, prefix: string): string[] =>
  Array.from({ length: count }, (_, i) => `${prefix}${i}`);

describe.each(REDIS_SERVERS)('the quota of three replicas with one %s', { timeout: 60_000 }, (program) => {
  it('is kept in every window and used, by all of them', async () => {
    const CALLS_PER_SECOND = 150;
    const SECONDS = 10;
    const redis = await startRedis(program);
    const { times, replicas } = await startReplicas(3, {
      REDIS_URL: redis.url,
      ONENET_CALLS_PER_SECOND: String(CALLS_PER_SECOND),
      REQUEST_TIMEOUT_MS: '2000',
    });
    await redisAvailable(replicas);
    const beganMs = performance.now();
    const endMs = beganMs + (SECONDS + 1.5) * 1000;
    const codes: string[] = [];
    await Promise.all(
      replicas.map(async (replica, i) => {
        for (let round = 0; performance.now() < endMs; round++) {
          const { body } = await askEntities(replica, TASK, devices(...ids(250, `q${i}-${round}-`)));
          for (const { extensions } of body.errors ?? []) codes.push(extensions.code as string);
        }
      }),
    );
    const others = codes.filter((code) => code !== 'ONENET_RATE_LIMITED');
    // What goes out with its last turn may be answered too late.
    expect(new Set(['ONENET_TIMEOUT', ...others])).toEqual(new Set(['ONENET_TIMEOUT']));
    const steady = times.filter((ms) => ms > beganMs + 1000 && ms <= beganMs + 1000 + SECONDS * 1000);
    expect(mostWithin(10_000, times)).toBeLessThanOrEqual(1.05 * CALLS_PER_SECOND * 10);
    expect(mostWithin(980, times)).toBeLessThanOrEqual(1.2 * CALLS_PER_SECOND);
    expect(steady.length).toBeGreaterThanOrEqual(0.9 * CALLS_PER_SECOND * SECONDS);
  });
});
