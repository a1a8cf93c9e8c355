import { once } from 'node:events';
import { connect } from 'node:net';

import { describe, expect, it, onTestFinished } from 'vitest';

import type { RecordedCall, SimulatorOptions } from '../../src/simulator/simulator.ts';
import { scrape } from '../metrics-text.ts';
import {
  type Answer,
  askEntities,
  devices,
  entitiesQuery,
  type Environment,
  type Service,
  startBoth,
} from '../service.ts';
import { until } from '../until.ts';
import { asked } from './start-chain.ts';
import { gauge, pairsIn } from './start-replicas.ts';

const TARGET = 'otaTask(type: FOTA) { target }';
const ADDRESS = 'otaTask(type: FOTA) { downloadUrl }';

function codesOf({ body }: Answer): Set<string> {
  return new Set(
    (body.errors ?? []).map(({ extensions }: { extensions: { code: string } }) => extensions.code),
  );
}

/** In the process of the test; the tests with Redis start replicas as they are. */
async function start(environment?: Environment, options?: SimulatorOptions) {
  const { onenet, ...service } = await startBoth(options, environment);
  return { onenet, service };
}

/** A request whose client can leave. */
async function begin({ url }: Service, id: string) {
  const { port } = new URL(url);
  const socket = connect(Number(port), '127.0.0.1');
  onTestFinished(() => void socket.destroy());
  await once(socket, 'connect');
  const body = JSON.stringify({
    query: entitiesQuery(TARGET),
    variables: { representations: devices(id) },
  });
  socket.write(
    `POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  );
  return socket;
}

describe('the metrics of sharing', { timeout: 30_000 }, () => {
  it('are there from the start, but for what is told of a Redis that there is not', async () => {
    const { service } = await start();
    const samples = await scrape(service);
    expect(pairsIn(samples)).toEqual({ onenet: 0, in_flight: 0, memory: 0, redis: 0 });
    expect(samples.map(({ name }) => name)).toContain('onenet_ota_quota_waiting');
    expect(samples.map(({ name }) => name)).not.toContain('onenet_ota_redis_available');
  });

  it('say that Redis is away where it cannot be reached', async () => {
    const { service } = await start({ REDIS_URL: 'redis://127.0.0.1:1', CACHE_TTL_MS: '60000' });
    expect(await gauge(service, 'onenet_ota_redis_available')).toBe(0);
    const { body } = await askEntities(service, TARGET, devices('a'));
    expect(body.errors).toBeUndefined();
    const told = service.log.filter(({ msg }) => String(msg).startsWith('Redis'));
    expect(told.map(({ level, reason }) => [level, reason])).toEqual([[40, 'ECONNREFUSED']]);
  });

  it('count each pair once for each request, and no failure', async () => {
    const { service } = await start(
      { CACHE_TTL_MS: '60000', CACHE_ABSENT_TTL_MS: '60000' },
      {
        fault: ({ deviceId }) => {
          if (deviceId === 'none') return { kind: 'body', body: '{"errno":4}' };
          return deviceId === 'bad' ? { kind: 'body', body: '{"errno":2}' } : undefined;
        },
      },
    );
    const fields = `a: ${TARGET} b: otaTaskResult(type: FOTA) { __typename }`;
    for (let i = 0; i < 3; i++) await askEntities(service, fields, devices('a', 'a', 'none', 'bad'));
    expect(pairsIn(await scrape(service))).toEqual({ onenet: 2, in_flight: 0, memory: 4, redis: 0 });
  });
});

describe('what is kept', { timeout: 30_000 }, () => {
  it('is nothing unless it is wanted', async () => {
    const { service, onenet } = await start();
    for (let i = 0; i < 2; i++) await askEntities(service, TARGET, devices('a'));
    expect(asked(onenet)).toEqual(['a', 'a']);
  });

  it('is a task for its life and an absence for another, and no error', async () => {
    const errnos: Readonly<Record<string, number>> = { none: 4, over: 12, bad: 2, odd: 99 };
    const { service, onenet } = await start(
      { CACHE_TTL_MS: '60000', CACHE_ABSENT_TTL_MS: '500' },
      {
        fault: ({ deviceId }) =>
          errnos[deviceId ?? ''] === undefined
            ? undefined
            : { kind: 'body', body: `{"errno":${errnos[deviceId ?? '']}}` },
      },
    );
    const ask = async () => (await askEntities(service, TARGET, devices('a', ...Object.keys(errnos)))).body;
    const { data, errors } = await ask();
    expect(await ask()).toEqual({ data, errors });
    expect(asked(onenet)).toEqual(['a', 'none', 'over', 'bad', 'odd', 'bad', 'odd']);
    await until(async () => {
      await ask();
      return asked(onenet).filter((id) => id === 'none').length === 2;
    });
    expect(asked(onenet).filter((id) => id === 'a')).toHaveLength(1);
  });

  it('are the most recently used, and no more than may be', async () => {
    const { service, onenet } = await start({ CACHE_TTL_MS: '60000', CACHE_MAX_ENTRIES: '2' });
    for (const id of ['a', 'b', 'a', 'c', 'a', 'b']) await askEntities(service, TARGET, devices(id));
    expect(asked(onenet)).toEqual(['a', 'b', 'c', 'b']);
  });

  it('serves who wants the address only where it has it', async () => {
    const { service, onenet } = await start({ CACHE_TTL_MS: '60000' });
    for (const field of [TARGET, ADDRESS, TARGET, ADDRESS]) {
      const { body } = await askEntities(service, field, devices('a'));
      expect(body.errors).toBeUndefined();
      if (field === ADDRESS) expect(body.data._entities[0].otaTask.downloadUrl).toMatch(/^http:/);
    }
    expect(onenet.calls.map(({ cdn }) => cdn)).toEqual([null, 'true']);
  });
});

describe('requests at the same time', { timeout: 30_000 }, () => {
  it('have one call for one pair, and one error, which is not remembered', async () => {
    const { service, onenet } = await start(
      {},
      {
        latencyMs: 300,
        fault: ({ deviceId }) => (deviceId === 'bad' ? { kind: 'status', status: 404 } : undefined),
      },
    );
    const ask = () => askEntities(service, `id ${TARGET}`, devices('good', 'bad'));
    const [first, ...others] = await Promise.all([ask(), ask(), ask()]);
    for (const other of others) expect(other.body).toEqual(first.body);
    expect(codesOf(first)).toEqual(new Set(['ONENET_BAD_RESPONSE']));
    expect(asked(onenet)).toEqual(['good', 'bad']);
    expect(pairsIn(await scrape(service))).toEqual({ onenet: 1, in_flight: 2, memory: 0, redis: 0 });
    await ask();
    expect(asked(onenet)).toEqual(['good', 'bad', 'good', 'bad']);
  });

  it('share a call with the address with all, and one without it with those who do not want it', async () => {
    const { service, onenet } = await start({}, { latencyMs: 500 });
    const first = askEntities(service, TARGET, devices('a'));
    await until(() => onenet.inFlight === 1);
    const others = [ADDRESS, TARGET, ADDRESS].map((field) => askEntities(service, field, devices('a')));
    for (const { body } of await Promise.all([first, ...others])) expect(body.errors).toBeUndefined();
    expect(onenet.calls.map(({ cdn }) => cdn)).toEqual([null, 'true']);
  });

  it('have the answer though the one who asked first leaves; the call ends with the last', async () => {
    const { service, onenet } = await start({}, { latencyMs: 1000 });
    const first = await begin(service, 'a');
    await until(() => onenet.inFlight === 1);
    const second = askEntities(service, TARGET, devices('a'));
    await until(async () => (await gauge(service, 'onenet_ota_requests_in_flight')) === 2);
    first.destroy();
    expect((await second).body.data._entities[0].otaTask.target).toEqual(expect.any(String));
    expect(onenet.calls).toHaveLength(1);

    const leaving = [await begin(service, 'b'), await begin(service, 'b')];
    await until(async () => (await gauge(service, 'onenet_ota_requests_in_flight')) === 2);
    expect([onenet.calls.length, onenet.inFlight]).toEqual([2, 1]);
    for (const socket of leaving) socket.destroy();
    const leftMs = performance.now();
    await until(() => onenet.inFlight === 0);
    expect(performance.now() - leftMs).toBeLessThan(500);
  });

  it('have each a deadline of their own', async () => {
    const { service, onenet } = await start(
      { REQUEST_TIMEOUT_MS: '1000', ONENET_CONNECTIONS: '1' },
      { latencyMs: ({ deviceId }: RecordedCall) => (deviceId === 'first' ? 800 : 600) },
    );
    const first = askEntities(service, TARGET, devices('first'));
    await until(() => onenet.inFlight === 1);
    const early = askEntities(service, TARGET, devices('shared'));
    await first;
    const late = askEntities(service, TARGET, devices('shared'));
    expect(codesOf(await early)).toEqual(new Set(['ONENET_TIMEOUT']));
    expect((await late).body.errors).toBeUndefined();
    expect(asked(onenet)).toEqual(['first', 'shared']);
  });
});
