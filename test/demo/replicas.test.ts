import { describe, expect, it } from 'vitest';

import { post } from '../service.ts';
import { REDIS_SERVERS } from '../sharing/redis-server.ts';
import { startDemo } from './start-demo.ts';

/** Two of the twelve devices end in errors that nobody keeps. */
const QUERY = '{ devices { otaTaskResult(type: FOTA) { __typename } } }';
const ANSWERED = 10;

const SAVINGS =
  /(\d+) tasks and absences answered: (\d+) by OneNET, (\d+) by a call under way, (\d+) from memory, (\d+) from Redis\./;

const THREE = ['--replicas', '3'];
const WITHOUT_REDIS = { PATH: '/nonexistent' };

describe('the demo with three replicas', () => {
  it.skipIf(!REDIS_SERVERS.includes('redis-server'))(
    'costs OneNET what one replica costs, and says so while it runs and at its end',
    async () => {
      const demo = await startDemo({ args: THREE });
      expect(demo.output).toMatch(/Redis is at redis:\/\/127\.0\.0\.1:\d+/);
      for (let i = 0; i < 6; i++) {
        const { body } = await post(demo.gateway, QUERY);
        expect(body.data.devices).toHaveLength(12);
      }
      await expect.poll(() => demo.output).toMatch(SAVINGS);
      await expect.poll(() => demo.output).toContain(`${6 * ANSWERED} tasks and absences answered`);
      demo.child.kill('SIGINT');
      expect(await demo.exited).toBe(0);
      const [total, byOneNet = NaN, inFlight, fromMemory = NaN, fromRedis = NaN] =
        SAVINGS.exec(demo.output.split('In all')[1] ?? '')
          ?.slice(1)
          .map(Number) ?? [];
      expect(total).toBe(6 * ANSWERED);
      // Once, but for what a slow machine takes longer for than answers live.
      expect(byOneNet).toBeLessThanOrEqual(2 * ANSWERED);
      expect([inFlight, fromRedis]).toEqual([0, expect.toSatisfy((count: number) => count >= 2 * ANSWERED)]);
      expect(byOneNet + fromMemory + fromRedis).toBe(total);
      expect(demo.output).not.toContain('Redis is not available');
    },
  );

  it('goes on without Redis where there is none, and says so', async () => {
    const demo = await startDemo({ args: THREE, environment: WITHOUT_REDIS });
    expect(demo.output).toContain('There is no redis-server on the PATH');
    for (let i = 0; i < 3; i++) await post(demo.gateway, QUERY);
    await expect.poll(() => demo.output).toContain(`${3 * ANSWERED} by OneNET`);
    demo.child.kill('SIGINT');
    expect(await demo.exited).toBe(0);
  });
});

describe('the demo with one replica', () => {
  it('says nothing of savings', async () => {
    const demo = await startDemo();
    await post(demo.gateway, QUERY);
    demo.child.kill('SIGINT');
    expect(await demo.exited).toBe(0);
    expect(demo.output).not.toMatch(/Redis|saved/);
  });
});

it.each(['0', 'three'])('the demo does not start with %s replicas', async (replicas) => {
  await expect(startDemo({ args: ['--replicas', replicas] })).rejects.toThrow('--replicas must be 1 to 9');
});
