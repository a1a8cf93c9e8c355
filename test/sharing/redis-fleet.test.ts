import { writeFileSync } from 'node:fs';

import { describe, expect, it } from 'vitest';

import { pairId } from '../../src/ota-task.ts';
import { createSeal } from '../../src/sharing/seal.ts';

import { scrape } from '../metrics-text.ts';
import {
  type Answer,
  askEntities,
  CREDENTIALS,
  devices,
  type LogLine,
  type Service,
  type ServiceProcess,
  startOnce,
} from '../service.ts';
import {
  answerByProduct,
  deviceOf,
  PRODUCTS,
  productsEnvironment,
  startProductsFile,
} from '../start-products.ts';
import { until } from '../until.ts';
import { REDIS_SERVERS, type RedisServer, startRedis } from './redis-server.ts';
import { gauge, pairsIn, redisAvailable, startReplica, startReplicas } from './start-replicas.ts';

const TASK = 'otaTask(type: FOTA) { target token downloadUrl }';
const LIVES = { CACHE_TTL_MS: '60000', CACHE_ABSENT_TTL_MS: '60000' };

const ids = (count: number, prefix: string): string[] =>
  Array.from({ length: count }, (_, i) => `${prefix}${i}`);

describe.each(REDIS_SERVERS)('three replicas with one %s', { timeout: 60_000 }, (program) => {
  const started = startOnce(async (until) => {
    const redis = await startRedis(program, [], until);
    const fault = ({ deviceId }: { readonly deviceId: string | null }) =>
      deviceId?.startsWith('none') ? ({ kind: 'body', body: '{"errno":4}' } as const) : undefined;
    const environment = { ...LIVES, REDIS_URL: redis.url };
    const fleet = await startReplicas(3, environment, { fault, latencyMs: 10 }, until);
    await redisAvailable(fleet.replicas);
    return { redis, ...fleet };
  });

  it('make one call for each pair, and tell where answers come from', async () => {
    const { onenet, replicas } = started();
    onenet.resetCalls();
    const asked = devices(...ids(200, 'exact'), ...ids(20, 'none'));
    const answers: Answer[] = [];
    for (const replica of replicas) {
      const answer = await askEntities(replica, TASK, asked);
      answers.push(answer);
      // Answers are written a moment after they are given.
      await until(async () => Number(await started().redis.command('DBSIZE')) >= asked.length);
    }
    expect(onenet.calls).toHaveLength(asked.length);
    for (const { body } of answers) expect(body).toEqual(answers[0]?.body);
    const sources = await Promise.all(replicas.map(async (replica) => pairsIn(await scrape(replica))));
    expect(sources.map(({ onenet }) => onenet)).toEqual([asked.length, 0, 0]);
    expect(sources.map(({ redis }) => redis)).toEqual([0, asked.length, asked.length]);
  });

  it('make one call for each pair that all of them want at the same time', async () => {
    const { onenet, replicas } = started();
    const pairs = 50;
    const counts: number[] = [];
    // On a busy machine an answer may take longer than replicas wait for each other.
    for (let round = 0; round < 10 && counts.at(-1) !== pairs; round++) {
      onenet.resetCalls();
      const asked = devices(...ids(pairs, `together${round}-`));
      const answers = await Promise.all(replicas.map((replica) => askEntities(replica, TASK, asked)));
      for (const { body } of answers) expect(body).toEqual(answers[0]?.body);
      counts.push(onenet.calls.length);
    }
    expect(counts).toContain(pairs);
  });

  it('leave nothing in Redis that tells a device, a token, an address or a key', async () => {
    const { redis, replicas, onenet } = started();
    const { body } = await askEntities(replicas[0] as ServiceProcess, TASK, devices('telltale'));
    const { token } = body.data._entities[0].otaTask as { token: string };
    const keys = (await redis.command('KEYS', '*')) as Buffer[];
    const dump = await Promise.all(keys.map(async (key) => redis.command('DUMP', key) as Promise<Buffer>));
    const everything = Buffer.concat([...keys, ...dump]).toString('latin1');
    expect(keys.length).toBeGreaterThan(0);
    for (const secret of [
      'telltale',
      token,
      'exact',
      'ota_',
      new URL(onenet.url).host,
      CREDENTIALS.accessKey,
    ]) {
      expect(everything).not.toContain(secret);
    }
  });

  it('give a replica with other credentials nothing', async () => {
    const { redis, replicas } = started();
    await askEntities(replicas[0] as ServiceProcess, TASK, devices('ours'));
    const other = { productId: 'p2', accessKey: PRODUCTS.p2 };
    const stranger = await startReplica(
      {
        ...LIVES,
        REDIS_URL: redis.url,
        ONENET_PRODUCT_ID: other.productId,
        ONENET_ACCESS_KEY: other.accessKey,
      },
      { credentials: other },
    );
    await redisAvailable([stranger.service]);
    await askEntities(stranger.service, TASK, devices('ours'));
    expect(stranger.onenet.calls).toHaveLength(1);
    expect(pairsIn(await scrape(stranger.service))).toMatchObject({ onenet: 1, redis: 0 });
  });

  /** Reads what is kept and what is not, again and again, until it is ended; gives all answers and the longest wait. */
  function load(replicas: readonly ServiceProcess[], prefix: string) {
    let isOver = false;
    const answers: Answer[] = [];
    let longestMs = 0;
    const clients = replicas.map(async (replica, i) => {
      for (let round = 0; !isOver; round++) {
        const beganMs = performance.now();
        const asked = devices(...ids(5, 'kept'), `${prefix}-${i}-${round}`);
        answers.push(await askEntities(replica, TASK, asked));
        longestMs = Math.max(longestMs, performance.now() - beganMs);
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    });
    return async () => {
      isOver = true;
      await Promise.all(clients);
      return { answers, longestMs };
    };
  }

  const about = (log: readonly LogLine[]): LogLine[] =>
    log.filter(({ msg }) => String(msg).startsWith('Redis'));

  it.each<[string, (redis: RedisServer) => unknown, (redis: RedisServer) => unknown]>([
    ['killed and started again', (redis) => redis.kill(), (redis) => redis.start()],
    ['frozen', (redis) => redis.signal('SIGSTOP'), (redis) => redis.signal('SIGCONT')],
    [
      'slow',
      (redis) => redis.command('CLIENT', 'PAUSE', '60000', 'WRITE'),
      (redis) => redis.command('CLIENT', 'UNPAUSE'),
    ],
    [
      'full',
      (redis) => redis.command('CONFIG', 'SET', 'maxmemory', '1'),
      (redis) => redis.command('CONFIG', 'SET', 'maxmemory', '0'),
    ],
    [
      'one that only reads',
      (redis) => redis.command('REPLICAOF', '127.0.0.1', '1'),
      (redis) => redis.command('REPLICAOF', 'NO', 'ONE'),
    ],
  ])(
    'answer as if there were no Redis while it is %s, say so once, and use it again after',
    async (what, begin, cure) => {
      const { redis, replicas } = started();
      await redisAvailable(replicas);
      const said = replicas.map(({ log }) => about(log).length);
      const endCalm = load(replicas, `calm-${what.replaceAll(' ', '')}`);
      await new Promise((resolve) => setTimeout(resolve, 500));
      const calm = await endCalm();

      const end = load(replicas, what.replaceAll(' ', ''));
      await begin(redis);
      for (const replica of replicas) {
        await until(async () => (await gauge(replica, 'onenet_ota_redis_available')) === 0);
      }
      await new Promise((resolve) => setTimeout(resolve, 500));
      await cure(redis);
      const curedMs = performance.now();
      await redisAvailable(replicas);
      const { answers, longestMs } = await end();
      expect(performance.now() - curedMs).toBeLessThan(10_000);
      expect(answers.length).toBeGreaterThan(10);
      for (const { status, body } of answers) expect([status, body.errors]).toEqual([200, undefined]);
      // A tenth of a second, and what a busy machine adds.
      expect(longestMs).toBeLessThan(calm.longestMs + 100 + 150);
      for (const [i, { log }] of replicas.entries()) {
        const levels = about(log)
          .slice(said[i])
          .map(({ level }) => level);
        // On a busy machine Redis may be late once more.
        expect(levels.slice(0, 2)).toEqual([40, 30]);
      }
    },
  );
});

describe.each(REDIS_SERVERS)('replicas of several products with one %s', { timeout: 30_000 }, (program) => {
  it('keep what each product was answered apart, and forget what was answered under another key', async () => {
    const redis = await startRedis(program);
    const options = { credentials: { products: PRODUCTS }, fault: answerByProduct(PRODUCTS) };
    const environment = (products: Readonly<Record<string, string>>) => ({
      ...LIVES,
      ...productsEnvironment(startProductsFile(products)),
      REDIS_URL: redis.url,
    });
    const target = async (service: Service, product: string): Promise<unknown> =>
      (await askEntities(service, TASK, [deviceOf('a', product)])).body.data._entities[0].otaTask?.target;

    const { onenet, replicas } = await startReplicas(2, environment(PRODUCTS), options);
    await redisAvailable(replicas);
    for (const replica of replicas) {
      expect([await target(replica, 'p1'), await target(replica, 'p2')]).toEqual(['p1', 'p2']);
      await until(async () => Number(await redis.command('DBSIZE')) >= 2);
    }
    expect(onenet.calls).toHaveLength(2);

    const changed = { ...PRODUCTS, p1: 'YW5vdGhlciBrZXkgdGhhbiBiZWZvcmU=' };
    const next = await startReplica(environment(changed), {
      credentials: { products: changed },
      fault: answerByProduct(changed),
    });
    await redisAvailable([next.service]);
    expect([await target(next.service, 'p1'), await target(next.service, 'p2')]).toEqual(['p1', 'p2']);
    expect(pairsIn(await scrape(next.service))).toMatchObject({ onenet: 1, redis: 1 });
  });
});

describe.each(REDIS_SERVERS)('an answer whose product has gone meanwhile', { timeout: 30_000 }, (program) => {
  it('is not kept in Redis where anybody could read it', async () => {
    const redis = await startRedis(program);
    const path = startProductsFile();
    const { onenet, service } = await startReplica(
      { ...LIVES, ...productsEnvironment(path), REDIS_URL: redis.url, ONENET_TIMEOUT_MS: '10000' },
      { credentials: { products: PRODUCTS }, fault: answerByProduct(PRODUCTS), latencyMs: 3000 },
    );
    await redisAvailable([service]);
    const asking = askEntities(service, TASK, [deviceOf('a', 'p1')]);
    await until(() => onenet.inFlight === 1);
    writeFileSync(path, JSON.stringify({ p2: PRODUCTS.p2 }));
    await until(() => service.log.some(({ msg }) => msg === 'products file changed'));
    await asking;
    await until(async () => Number(await redis.command('DBSIZE')) > 0);
    const withoutKey = createSeal('p1:').nameOf(pairId({ deviceId: 'a', productId: 'p1', type: 'FOTA' }));
    expect(await redis.command('EXISTS', `onenet-ota:task:${withoutKey}`)).toBe(0);
  });
});
