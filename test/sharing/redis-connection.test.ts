import { describe, expect, it } from 'vitest';

import { READ } from '../../src/sharing/redis-cache.ts';
import { REDIS_SERVERS, type RedisServer, startRedis } from './redis-server.ts';
import { until } from '../until.ts';
import { available, fota, startChain, startConnection, startOneNet } from './start-chain.ts';
import { startTcpProxy, type TcpProxy } from './tcp-proxy.ts';

const LATENCY_MS = 10;
/** 50 ms for the command, plus a margin for a busy machine. */
const MOST_DELAY_MS = 150;
const BACK_WITHIN_MS = 10_000;

interface Fault {
  readonly what: string;
  readonly begin: (redis: RedisServer, proxy: TcpProxy) => unknown;
  readonly cure: (redis: RedisServer, proxy: TcpProxy) => unknown;
  readonly reason: string;
}

const FAULTS: Fault[] = [
  {
    what: 'killed and restarted',
    begin: (redis) => redis.kill(),
    cure: (redis) => redis.start(),
    reason: 'ECONNRESET|SocketClosed',
  },
  {
    what: 'frozen',
    begin: (redis) => redis.signal('SIGSTOP'),
    cure: (redis) => redis.signal('SIGCONT'),
    reason: 'late',
  },
  {
    what: 'slow by two seconds',
    begin: (_, proxy) => proxy.behave({ delayMs: 2000 }),
    cure: (_, proxy) => proxy.behave('pass'),
    reason: 'late',
  },
  {
    what: 'slower than the command timeout',
    begin: (_, proxy) => proxy.behave({ delayMs: 80 }),
    cure: (_, proxy) => proxy.behave('pass'),
    reason: 'late',
  },
  {
    what: 'a black hole',
    begin: (_, proxy) => proxy.behave('swallow'),
    cure: (_, proxy) => proxy.behave('pass'),
    reason: 'late',
  },
  {
    what: 'a server with another protocol',
    begin: (_, proxy) => proxy.behave('garbage'),
    cure: (_, proxy) => proxy.behave('pass'),
    reason: '.',
  },
  {
    what: 'full',
    begin: (redis) => redis.command('CONFIG', 'SET', 'maxmemory', '1'),
    cure: (redis) => redis.command('CONFIG', 'SET', 'maxmemory', '0'),
    reason: 'OOM',
  },
  {
    what: 'a read-only replica',
    begin: (redis) => redis.command('REPLICAOF', '127.0.0.1', '1'),
    cure: (redis) => redis.command('REPLICAOF', 'NO', 'ONE'),
    reason: 'READONLY|MASTERDOWN',
  },
  {
    what: 'busy with a foreign script',
    begin: (redis) => {
      void redis.command('EVAL', 'while true do end', '0').catch(() => undefined);
    },
    cure: (redis) => redis.command('SCRIPT', 'KILL'),
    reason: 'late|BUSY',
  },
  {
    what: 'without our scripts',
    begin: (redis) => redis.command('SCRIPT', 'FLUSH'),
    cure: () => undefined,
    reason: 'NOSCRIPT',
  },
  {
    what: 'asking for a password that we do not have',
    begin: async (redis) => {
      await redis.command('CONFIG', 'SET', 'requirepass', 'another');
      await redis.command('CLIENT', 'KILL', 'TYPE', 'normal').catch(() => undefined);
    },
    cure: (redis) => redis.command('CONFIG', 'SET', 'requirepass', ''),
    reason: 'ECONNRESET|SocketClosed',
  },
];

describe.each(REDIS_SERVERS)('%s', { timeout: 30_000 }, (program) => {
  it.each(FAULTS)(
    '$what: no read fails or is delayed, it is reported once, and Redis is used again soon after it recovers',
    { timeout: 60_000 },
    async ({ begin, cure, reason }) => {
      const redis = await startRedis(program, ['--busy-reply-threshold', '10']);
      const proxy = await startTcpProxy(redis.port);
      const onenet = await startOneNet({ latencyMs: LATENCY_MS });
      const chain = await startChain(onenet, { taskMs: 60_000, redisUrl: `redis://127.0.0.1:${proxy.port}` });
      await chain.ask(fota('warm'));

      await begin(redis, proxy);
      // With answers to write, so that a read-only server is noticed.
      for (let i = 0; i < 100 || chain.changes.length === 0; i++) {
        const startedMs = performance.now();
        expect(await chain.ask(fota(`d${i}`))).toEqual([
          expect.objectContaining({ size: expect.any(Number) }),
        ]);
        expect(performance.now() - startedMs).toBeLessThan(LATENCY_MS + MOST_DELAY_MS);
      }
      if (chain.changes.at(-1) !== 'back') expect(chain.changes).toEqual([expect.stringMatching(reason)]);

      await cure(redis, proxy);
      const curedMs = performance.now();
      await until(() => chain.changes.length >= 2);
      expect(performance.now() - curedMs).toBeLessThan(BACK_WITHIN_MS);
      expect(chain.changes).toEqual([expect.stringMatching(reason), 'back']);

      await until(async () => {
        await chain.ask(fota('again'));
        return chain.answered.redis > 0;
      });
    },
  );

  it('is used as soon as it is available, even if it was not at the start', { timeout: 20_000 }, async () => {
    const redis = await startRedis(program);
    await redis.kill();
    const changes: string[] = [];
    const connection = startConnection(redis.url, changes);
    expect(await connection.run(READ, ['a'], [])).toBeUndefined();
    await until(() => changes.length === 1);
    expect(changes).toEqual(['ECONNREFUSED']);
    await redis.start();
    await available(connection);
    expect(await connection.run(READ, ['a'], [])).toEqual([null, null]);
    expect(changes).toEqual(['ECONNREFUSED', 'back']);
  });

  it.each([
    { what: 'a wrong password', credentials: ':wrong@', reason: 'WRONGPASS' },
    { what: 'no password', credentials: '', reason: 'NOAUTH' },
    { what: 'an unknown user', credentials: 'nobody:right@', reason: 'WRONGPASS' },
  ])('is not used with $what, and the reason is told without it', async ({ credentials, reason }) => {
    const redis = await startRedis(program, ['--requirepass', 'right']);
    const changes: string[] = [];
    startConnection(`redis://${credentials}127.0.0.1:${redis.port}`, changes);
    await until(() => changes.length > 0);
    expect(changes).toEqual([reason]);
  });

  it('is used with the right password, in the database that the address names', async () => {
    const redis = await startRedis(program, ['--requirepass', 'right']);
    const connection = startConnection(`redis://:right@127.0.0.1:${redis.port}/3`);
    await available(connection);
    expect(await connection.run(READ, ['a'], [])).toEqual([null, null]);
  });

  it('returns nothing after it is closed', async () => {
    const redis = await startRedis(program);
    const connection = startConnection(redis.url);
    await available(connection);
    connection.close();
    expect(await connection.run(READ, ['a'], [])).toBeUndefined();
    expect(connection.availableSinceMs).toBeUndefined();
  });
});
