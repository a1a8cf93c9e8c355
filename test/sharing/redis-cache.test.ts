import { setTimeout as delay } from 'node:timers/promises';

import { describe, expect, it } from 'vitest';

import type { OtaTask } from '../../src/ota-task.ts';
import { READ, WRITE } from '../../src/sharing/redis-cache.ts';
import { createSeal } from '../../src/sharing/seal.ts';
import { decode, encode, type StoredOutcome } from '../../src/sharing/stored-outcome.ts';
import type { RecordedCall, SimulatorOptions } from '../../src/simulator/simulator.ts';
import { REDIS_SERVERS, type RedisServer, startRedis } from './redis-server.ts';
import { until } from '../until.ts';
import {
  asked,
  available,
  fota,
  fotaWithAddress,
  startChain,
  startConnection,
  startOneNet,
} from './start-chain.ts';

const LONG_MS = 60_000;
const LIVES = { taskMs: LONG_MS, absentMs: LONG_MS };

/** The keys of entries; empty ones are claims. */
const ENTRIES = `
local entries = {}
for _, key in ipairs(redis.call('KEYS', 'onenet-ota:task:*')) do
  if redis.call('TYPE', key).ok ~= 'string' or redis.call('STRLEN', key) > 0 then entries[#entries + 1] = key end
end
return entries`;

async function entries(redis: RedisServer): Promise<string[]> {
  return ((await redis.command('EVAL', ENTRIES, '0')) as Buffer[]).map(String).sort();
}

/** Resolves when this many entries have been written. */
async function written(redis: RedisServer, count: number): Promise<string[]> {
  let keys: string[] = [];
  await until(async () => (keys = await entries(redis)).length === count);
  return keys;
}

async function scriptsRun(redis: RedisServer): Promise<number> {
  const stats = String(await redis.command('INFO', 'commandstats'));
  return Number(/cmdstat_evalsha:calls=(\d+)/.exec(stats)?.[1] ?? 0);
}

/** Answers as the device id says. */
function fault({ deviceId }: RecordedCall) {
  const errno = /^errno-(\d+)/.exec(deviceId ?? '')?.[1];
  if (errno !== undefined) return { kind: 'body', body: `{"errno":${errno}}` } as const;
  return deviceId?.startsWith('hang') ? ({ kind: 'stall' } as const) : undefined;
}

describe.each(REDIS_SERVERS)('%s', { timeout: 30_000 }, (program) => {
  async function startReplicas(
    count: number,
    options: Parameters<typeof startChain>[1] = LIVES,
    upstream: SimulatorOptions = {},
  ) {
    const redis = await startRedis(program);
    const onenet = await startOneNet({ fault, ...upstream });
    const replicas = [];
    for (let i = 0; i < count; i++) {
      replicas.push(await startChain(onenet, { ...options, redisUrl: redis.url }));
    }
    return { redis, onenet, replicas };
  }

  it('answers one replica with the outcome of another', async () => {
    const { redis, onenet, replicas } = await startReplicas(3);
    const ids = ['a', 'b', 'errno-4', 'errno-12'];
    const first = await replicas[0]?.ask(fotaWithAddress(...ids));
    await written(redis, ids.length);
    expect(await replicas[1]?.ask(fota(...ids.toReversed()))).toEqual(first?.toReversed());
    expect(await replicas[2]?.ask(fotaWithAddress(...ids))).toEqual(first);
    expect(asked(onenet)).toEqual(ids);
    expect(replicas[2]?.answered).toEqual({ onenet: 0, in_flight: 0, memory: 0, redis: 4 });
  });

  it('does not keep errors', async () => {
    const { redis, onenet, replicas } = await startReplicas(1);
    await replicas[0]?.ask(fota('errno-2', 'errno-7', 'a'));
    await written(redis, 1);
    await replicas[0]?.ask(fota('errno-2', 'errno-7', 'a'));
    expect(asked(onenet)).toEqual(['errno-2', 'errno-7', 'a', 'errno-2', 'errno-7']);
  });

  it('is read once and written once for a batch', async () => {
    const { redis, replicas } = await startReplicas(1);
    const ids = Array.from({ length: 100 }, (_, i) => `d${i}`);
    await replicas[0]?.ask(fota(...ids));
    await written(redis, 100);
    const before = await scriptsRun(redis);
    await replicas[0]?.ask(fota(...ids));
    expect(await scriptsRun(redis)).toBe(before + 1);
    // Written in a few batches, as the answers arrived.
    expect(before).toBeLessThan(50);
  });

  it('answers more devices than one script may read', async () => {
    const { redis, onenet, replicas } = await startReplicas(2);
    const ids = Array.from({ length: 1201 }, (_, i) => `d${i}`);
    const first = await replicas[0]?.ask(fota(...ids));
    await written(redis, ids.length);
    expect(await replicas[1]?.ask(fota(...ids))).toEqual(first);
    expect(onenet.calls.length).toBe(ids.length);
  });

  it('receives answers as they arrive: a device that hangs delays no other', async () => {
    const { redis, replicas } = await startReplicas(1);
    void replicas[0]?.ask(fota('hang', 'a'));
    await written(redis, 1);
  });

  it('passes on the remaining lifetime, which the memory cache does not extend', async () => {
    const { redis, onenet, replicas } = await startReplicas(2, { taskMs: 400, maxEntries: 9 });
    await replicas[0]?.ask(fota('a'));
    const answeredAtMs = performance.now();
    const [key] = await written(redis, 1);
    await until(async () => Number(await redis.command('PTTL', key as string)) < 250);
    await replicas[1]?.ask(fota('a'));
    expect(replicas[1]?.answered.redis).toBe(1);
    await until(async () => {
      await replicas[1]?.ask(fota('a'));
      return onenet.calls.length === 2;
    });
    expect(replicas[1]?.answered.memory).toBeGreaterThan(0);
    expect(performance.now() - answeredAtMs).toBeLessThan(500);
  });

  it('shortens lifetimes by up to a tenth', async () => {
    const { redis, replicas } = await startReplicas(1, { ...LIVES, random: 1 });
    await replicas[0]?.ask(fota('a'));
    const [key] = await written(redis, 1);
    const left = Number(await redis.command('PTTL', key as string));
    expect(left).toBeGreaterThan(0.88 * LONG_MS);
    expect(left).toBeLessThanOrEqual(0.9 * LONG_MS);
  });

  it('does not use an entry that has lost its lifetime', async () => {
    const { redis, onenet, replicas } = await startReplicas(1);
    await replicas[0]?.ask(fota('a'));
    const [key] = await written(redis, 1);
    await redis.command('PERSIST', key as string);
    await replicas[0]?.ask(fota('a'));
    expect(asked(onenet)).toEqual(['a', 'a']);
    // Such an entry is replaced by the next answer.
    await until(async () => Number(await redis.command('PTTL', key as string)) > 0);
  });

  it('uses an answer without the address only for requests that do not want it', async () => {
    const { redis, onenet, replicas } = await startReplicas(2);
    await replicas[0]?.ask(fota('a'));
    await written(redis, 1);
    await replicas[1]?.ask(fota('a'));
    await replicas[1]?.ask(fotaWithAddress('a'));
    expect(onenet.calls.map(({ cdn }) => cdn)).toEqual([null, 'true']);
  });

  describe('when two replicas ask for one pair at the same time', () => {
    const askBoth = async ({ replicas }: Awaited<ReturnType<typeof startReplicas>>, ids: readonly string[]) =>
      Promise.all(replicas.map(({ ask }) => ask(fota(...ids))));

    it('lets the second wait for the answer of the first', async () => {
      const { onenet, replicas, redis } = await startReplicas(2, LIVES, { latencyMs: 20 });
      const ids = ['a', 'b', 'errno-4'];
      const [first, second] = await askBoth({ onenet, replicas, redis }, ids);
      expect(second).toEqual(first);
      expect(asked(onenet).toSorted()).toEqual(ids);
      const sums = replicas.map(({ answered }) => answered.onenet + answered.redis);
      expect(sums).toEqual([3, 3]);
    });

    it.each([
      { what: 'an error', id: 'errno-7', options: LIVES },
      { what: 'an absence that is not cached', id: 'errno-4', options: { taskMs: LONG_MS } },
    ])('lets the second ask OneNET after $what, and no one wait after that', async ({ id, options }) => {
      const fleet = await startReplicas(2, options, { latencyMs: 20 });
      await askBoth(fleet, [id]);
      expect(asked(fleet.onenet)).toEqual([id, id]);
      await until(async () => Number(await fleet.redis.command('DBSIZE')) === 0);
      const before = await scriptsRun(fleet.redis);
      await fleet.replicas[0]?.ask(fota(id));
      // One read, and perhaps the withdrawal of the claim.
      expect(await scriptsRun(fleet.redis)).toBeLessThanOrEqual(before + 2);
    });

    it('lets the second wait a tenth of a second at most', async () => {
      const { onenet, replicas } = await startReplicas(2);
      void replicas[0]?.ask(fota('hang'));
      await until(() => onenet.calls.length === 1);
      const beganMs = performance.now();
      void replicas[1]?.ask(fota('hang'));
      await until(() => onenet.calls.length === 2);
      expect(performance.now() - beganMs).toBeLessThan(150);
    });

    it('does not delay pairs that no other replica asks for', async () => {
      const { onenet, replicas } = await startReplicas(2);
      void replicas[0]?.ask(fota('hang'));
      await until(() => onenet.calls.length === 1);
      void replicas[1]?.ask(fota('hang', 'a', 'b'));
      await until(() => onenet.calls.length === 3);
      expect(asked(onenet)).toEqual(['hang', 'a', 'b']);
    });
  });

  describe('of two answers for one pair keeps', () => {
    const seal = createSeal('secret');
    const task = (target: string): OtaTask => ({ target, token: 'ota_5hc95SFeo5xJEnaNrste' }) as OtaTask;
    const old = { outcome: task('old'), servesAddress: false, lifeMs: LONG_MS, ageMs: 500 };
    const young = { ...old, outcome: task('young'), ageMs: 100 };
    const withAddress = { ...old, outcome: task('with address'), servesAddress: true };
    const absent = { outcome: { reason: 'NO_TASK', errno: 4 }, servesAddress: true, lifeMs: 5000, ageMs: 0 };

    it.each([
      { what: 'the younger, even if it comes first', first: young, second: old, kept: 'young' },
      { what: 'the younger, if it comes last', first: old, second: young, kept: 'young' },
      { what: 'the one with the address', first: withAddress, second: young, kept: 'with address' },
      { what: 'the absence, if it is younger', first: withAddress, second: absent, kept: undefined },
      { what: 'the absence, whichever comes last', first: absent, second: withAddress, kept: undefined },
      {
        what: 'the one that has not expired',
        first: { ...withAddress, ageMs: LONG_MS },
        second: old,
        kept: 'old',
      },
    ])('$what', async ({ first, second, kept }) => {
      const server = await startRedis(program);
      const redis = startConnection(server.url);
      await available(redis);
      for (const { ageMs, ...stored } of [first, second]) {
        const value = encode(seal, 'pair', stored as StoredOutcome);
        await redis.run(WRITE, ['pair'], [value, String(ageMs)]);
      }
      const [value] = (await redis.run(READ, ['pair'], [])) as [Buffer];
      expect((decode(seal, 'pair', value)?.outcome as OtaTask).target).toBe(kept);
    });
  });

  describe('to anyone who can read it', () => {
    it('reveals no device id, token, address or key', async () => {
      const { redis, replicas } = await startReplicas(1);
      const [task] = (await replicas[0]?.ask(fotaWithAddress('device-in-the-clear'))) ?? [];
      const [key] = await written(redis, 1);
      const value = (await redis.command('GET', key as string)) as Buffer;
      const all = `${key} ${value.toString('latin1')}`;
      expect(task).toMatchObject({ token: expect.any(String) });
      for (const [name, secret] of Object.entries({ ...(task as OtaTask), id: 'device-in-the-clear' })) {
        if (typeof secret === 'string' && secret.length > 4) expect(all, name).not.toContain(secret);
      }
    });

    it('is empty with other credentials', async () => {
      const { redis, onenet, replicas } = await startReplicas(1);
      await replicas[0]?.ask(fota('a'));
      const [own] = await written(redis, 1);
      const other = await startChain(onenet, { ...LIVES, redisUrl: redis.url, secret: 'another key' });
      await other.ask(fota('a'));
      const keys = await written(redis, 2);
      expect(asked(onenet)).toEqual(['a', 'a']);
      // Nor does a value that is put under their own keys reveal anything to them.
      const theirs = keys.find((key) => key !== own);
      await redis.command('COPY', own as string, theirs as string, 'REPLACE');
      await other.ask(fota('a'));
      expect(asked(onenet)).toEqual(['a', 'a', 'a']);
    });

    it('returns no answer of another device', async () => {
      const { redis, onenet, replicas } = await startReplicas(1);
      const first = await replicas[0]?.ask(fota('a', 'b'));
      const [one, other] = await written(redis, 2);
      await redis.command('RENAME', one as string, other as string);
      expect(await replicas[0]?.ask(fota('a', 'b'))).toEqual(first);
      expect(onenet.calls.length).toBe(4);
    });

    it('returns no wrong answer, whichever byte of a value is changed', async () => {
      const { redis, onenet, replicas } = await startReplicas(1);
      const [task] = (await replicas[0]?.ask(fotaWithAddress('a'))) ?? [];
      const [key] = await written(redis, 1);
      const value = (await redis.command('GET', key as string)) as Buffer;
      for (let i = 0; i < value.length; i++) {
        const changed = Buffer.from(value);
        changed.writeUInt8(changed.readUInt8(i) ^ (1 << (i % 8)), i);
        const calls = onenet.calls.length;
        await redis.command('SET', key as string, changed, 'PX', String(LONG_MS));
        expect(await replicas[0]?.ask(fota('a')), `byte ${i}`).toEqual([
          { ...(task as object), ipPort: null },
        ]);
        expect(onenet.calls.length, `byte ${i}`).toBe(calls + 1);
        // The fresh answer is written a few milliseconds later, and must not take the place of the next changed value.
        await delay(30);
      }
    }, 60_000);

    it.each([
      { what: 'an empty value', args: ['SET', ''] },
      { what: 'a value that is too short', args: ['SET', 'x'] },
      { what: 'a value of another type', args: ['RPUSH', 'x'] },
    ])('returns no answer for $what', async ({ args: [command, value] }) => {
      const { redis, onenet, replicas } = await startReplicas(1);
      const first = await replicas[0]?.ask(fota('a'));
      const [key] = await written(redis, 1);
      await redis.command('DEL', key as string);
      await redis.command(command as string, key as string, value as string);
      await redis.command('PEXPIRE', key as string, String(LONG_MS));
      expect(await replicas[0]?.ask(fota('a'))).toEqual(first);
      expect(onenet.calls.length).toBe(2);
      await until(async () => {
        await replicas[0]?.ask(fota('a'));
        return replicas[0]?.answered.redis === 1;
      });
      expect(replicas[0]?.changes).toEqual([]);
    });
  });
});
