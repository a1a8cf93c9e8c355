import { createServer as createSecureServer } from 'node:https';
import { type AddressInfo, connect, createServer } from 'node:net';
import { once } from 'node:events';
import { brotliCompressSync, constants } from 'node:zlib';

import { request } from 'undici';
import { describe, expect, it, onTestFinished } from 'vitest';

import type { Fault, SimulatorOptions } from '../src/simulator/simulator.ts';
import { byCause, CANARY, FAILURES, oneOfEach, WIRE_FAILURES } from './failures.ts';
import { scrape, valueOf } from './metrics-text.ts';
import { httpAnswer, startRawUpstream, taskAnswer } from './onenet/raw-upstream.ts';
import { SELF_SIGNED } from './onenet/self-signed.ts';
import {
  askEntities,
  CREDENTIALS,
  devices,
  entitiesQuery,
  post,
  type Service,
  startBoth,
  startOnce,
  startProcess,
  startProgram,
  startService,
} from './service.ts';

const SELECTION = 'otaTask(type: FOTA) { target token }';
const ids = (count: number, prefix = 'd'): string[] =>
  Array.from({ length: count }, (_, i) => `${prefix}${i}`);

/** The codes of an answer's errors; empty if there is only data. */
async function codesOf(service: Service, ...deviceIds: readonly string[]): Promise<string[]> {
  const { body } = await askEntities(service, SELECTION, devices(...deviceIds));
  return (body.errors ?? []).map(({ extensions }: { extensions: { code: string } }) => extensions.code);
}

async function metric(
  service: Service,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): Promise<number> {
  return valueOf(await scrape(service), name, labels) ?? NaN;
}

describe('an upstream that misbehaves on the wire', () => {
  // All failures are tested at the client.
  it.each(byCause(oneOfEach('result', WIRE_FAILURES)))(
    '%s: the client gets an error, and the connection is dropped',
    async (_, { behave, code, attempts }) => {
      const upstream = await startRawUpstream(async (connection) => {
        await connection.request();
        await behave(connection);
      });
      const service = await startService(upstream.origin, { ONENET_TIMEOUT_MS: '1000' });
      expect(await codesOf(service, 'd1')).toEqual([code]);
      await Promise.all(upstream.connections.map(({ closed }) => closed));
      expect(upstream.connections).toHaveLength(attempts);
    },
  );

  it('has an untrusted certificate: unavailable, without a retry', async () => {
    let connections = 0;
    const server = createSecureServer(SELF_SIGNED)
      .on('connection', () => connections++)
      .listen(0, '127.0.0.1');
    await once(server, 'listening');
    onTestFinished(() => void server.close());
    const service = await startService(`https://127.0.0.1:${(server.address() as AddressInfo).port}`);
    expect(await codesOf(service, 'd1')).toEqual(['ONENET_UNAVAILABLE']);
    expect(connections).toBe(1);
  });

  it('does not resolve: unavailable', async () => {
    const service = await startService('https://onenet.invalid');
    expect(await codesOf(service, 'd1')).toEqual(['ONENET_UNAVAILABLE']);
  });

  it('redirects: the target is not called', async () => {
    let heard = 0;
    const elsewhere = createServer(() => heard++).listen(0, '127.0.0.1');
    await once(elsewhere, 'listening');
    onTestFinished(() => void elsewhere.close());
    const location = `http://127.0.0.1:${(elsewhere.address() as AddressInfo).port}/`;
    const { service } = await startProgram({
      fault: () => ({ kind: 'status', status: 307, headers: { location } }),
    });
    expect(await codesOf(service, 'd1')).toEqual(['ONENET_BAD_RESPONSE']);
    expect(heard).toBe(0);
  });

  it('closes each connection after ten requests: clients do not notice', async () => {
    const { onenet, service } = await startProgram(
      { requestsPerConnection: 10 },
      { ONENET_CONNECTIONS: '4' },
    );
    for (let round = 0; round < 20; round++)
      expect(await codesOf(service, ...ids(50, `r${round}-`))).toEqual([]);
    expect(new Set(onenet.calls.map(({ connection }) => connection)).size).toBeGreaterThanOrEqual(100);
  });

  it('closes keep-alive connections as they are reused: clients do not notice', async () => {
    const upstream = await startRawUpstream(async (connection) => {
      await connection.request();
      connection.socket.write(httpAnswer(taskAnswer('1.2')));
      await connection.request();
      connection.socket.resetAndDestroy();
    });
    const service = await startService(upstream.origin);
    for (let i = 0; i < 8; i++) expect(await codesOf(service, `d${i}`)).toEqual([]);
    expect(upstream.connections.length).toBeGreaterThan(4);
  });
});

describe('kept connections', () => {
  it('that are all lost silently: the retry uses a new one', async () => {
    const waiting: (() => void)[] = [];
    const upstream = await startRawUpstream(async (connection) => {
      await connection.request();
      const succeed = (): void => void connection.socket.write(httpAnswer(taskAnswer('1.2')));
      if (connection.ordinal > 5) return succeed();
      // Held until all calls have arrived, so that each has its own connection.
      waiting.push(succeed);
      if (waiting.length === 5) for (const release of waiting) release();
      await connection.request();
      connection.socket.resetAndDestroy();
    });
    const service = await startService(upstream.origin);
    expect(await codesOf(service, ...ids(5))).toEqual([]);
    expect(await codesOf(service, 'next')).toEqual([]);
    expect(upstream.connections).toHaveLength(6);
  });
});

describe('a retry', () => {
  const failFirst = (fault: Fault): SimulatorOptions => {
    const seen = new Set<string | null>();
    return {
      fault: ({ deviceId }) => {
        if (seen.has(deviceId)) return undefined;
        seen.add(deviceId);
        return fault;
      },
    };
  };

  it.each(byCause(FAILURES.filter(({ attempts }) => attempts === 2)))(
    'recovers from %s',
    async (_, { fault }) => {
      const service = await startBoth(failFirst(fault));
      expect(await codesOf(service, 'd1', 'd2')).toEqual([]);
      expect(service.onenet.calls).toHaveLength(4);
    },
  );

  it.each(byCause(FAILURES.filter(({ attempts }) => attempts === 1)))(
    'is not made after %s',
    async (_, { fault, code }) => {
      const service = await startBoth(failFirst(fault), { ONENET_TIMEOUT_MS: '1000' });
      expect(await codesOf(service, 'd1')).toEqual([code]);
      expect(service.onenet.calls).toHaveLength(1);
    },
  );

  it('waits as long as OneNET asks if the deadline allows it', async () => {
    const { service } = await startProgram(
      failFirst({ kind: 'status', status: 429, headers: { 'Retry-After': '1' } }),
    );
    const started = performance.now();
    expect(await codesOf(service, 'd1')).toEqual([]);
    expect(performance.now() - started).toBeGreaterThanOrEqual(1000);
  });

  it('is made for at most a tenth of the calls plus ten, however many fail', async () => {
    // Fewer than half of the attempts fail, so the circuit stays closed and only the budget limits retries.
    const { onenet, service } = await startProgram({
      fault: ({ deviceId }) =>
        deviceId?.startsWith('bad') === true ? { kind: 'status', status: 503 } : undefined,
    });
    expect(await codesOf(service, ...ids(200), ...ids(90, 'bad'))).toHaveLength(90);
    expect(onenet.calls.length - 290).toBeLessThanOrEqual(39);
    expect(onenet.calls.length - 290).toBeGreaterThanOrEqual(30);
    expect(await metric(service, 'onenet_ota_upstream_circuit_state', { state: 'open' })).toBe(0);
  });
});

describe('the circuit', () => {
  it.each(byCause(FAILURES.filter(({ isOutage }) => !isOutage)))(
    'stays closed, however many answers there are: %s',
    async (_, { fault }) => {
      const service = await startBoth({
        fault: ({ deviceId }) => (deviceId === 'good' ? undefined : fault),
      });
      expect(await codesOf(service, ...ids(60))).toHaveLength(60);
      expect(await codesOf(service, 'good')).toEqual([]);
    },
  );

  it.each(byCause(FAILURES.filter(({ isOutage }) => isOutage)))(
    'opens for %s',
    async (_, { fault, code }) => {
      const service = await startBoth({ fault: () => fault }, { ONENET_TIMEOUT_MS: '1000' });
      expect(await codesOf(service, ...ids(30))).toEqual(Array(30).fill(code));
      service.onenet.resetCalls();
      expect(await codesOf(service, 'd1')).toEqual(['ONENET_UNAVAILABLE']);
      expect(service.onenet.calls).toHaveLength(0);
    },
  );
});

describe('the deadline of a request', () => {
  it('returns the results so far, and a timeout for the rest', async () => {
    const { service } = await startProgram(
      { latencyMs: 200 },
      { ONENET_CONNECTIONS: '20', REQUEST_TIMEOUT_MS: '1500', ONENET_TIMEOUT_MS: '1000' },
    );
    const { body } = await askEntities(service, SELECTION, devices(...ids(1000)));
    const late = body.errors.map(({ extensions }: { extensions: { deviceId: string; code: string } }) => {
      expect(extensions.code).toBe('ONENET_TIMEOUT');
      return extensions.deviceId;
    });
    const there = body.data._entities.filter(({ otaTask }: { otaTask: unknown }) => otaTask !== null);
    expect(there.length).toBeGreaterThanOrEqual(20);
    expect(Number(there.length) + new Set(late).size).toBe(1000);
    expect(await codesOf(service, 'd1')).toEqual([]);
  });
});

describe('a client that disconnects', () => {
  it('cancels its own calls, and no others', async () => {
    const stalled = await startRawUpstream(async (connection) => {
      const head = await connection.request();
      if (!head.includes('dev_id=gone')) connection.socket.write(httpAnswer(taskAnswer('1.2')));
    });
    const service = await startProcess({ ONENET_URL: stalled.origin, ONENET_CONNECTIONS: '3' });
    const body = JSON.stringify({
      query: entitiesQuery(SELECTION),
      variables: { representations: devices(...ids(10, 'gone')) },
    });
    const { hostname, port } = new URL(service.url);
    const socket = connect(Number(port), hostname);
    socket.write(
      `POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    );
    const held = await Promise.all([1, 2, 3].map((ordinal) => stalled.connection(ordinal)));
    const left = performance.now();
    socket.destroy();
    await Promise.all(held.map(({ closed }) => closed));
    expect(performance.now() - left).toBeLessThan(1000);
    expect(await codesOf(service, 'd1', 'd2', 'd3')).toEqual([]);
    expect(service.log.filter(({ level }) => Number(level) > 30)).toEqual([]);
    expect(await metric(service, 'onenet_ota_upstream_in_flight')).toBe(0);
  });
});

describe('places for calls', () => {
  it('are shared: a small request does not wait for a large one to finish', async () => {
    const { service } = await startProgram({ latencyMs: 20 }, { ONENET_CONNECTIONS: '4' });
    let largeIsDone = false;
    const large = codesOf(service, ...ids(250)).then((codes) => {
      largeIsDone = true;
      return codes;
    });
    expect(await codesOf(service, 'small')).toEqual([]);
    expect(largeIsDone).toBe(false);
    expect(await large).toEqual([]);
  });

  it('have a bounded queue, and calls beyond it fail at once', async () => {
    const { service } = await startProgram(
      { fault: () => ({ kind: 'stall' }) },
      {
        ONENET_CONNECTIONS: '1',
        MAX_DEVICE_TASKS: '5',
        ONENET_TIMEOUT_MS: '1000',
        REQUEST_TIMEOUT_MS: '1500',
      },
    );
    const answers = await Promise.all(ids(12).map((prefix) => codesOf(service, ...ids(5, prefix))));
    const codes = answers.flat();
    expect(codes).toHaveLength(60);
    expect(codes.filter((code) => code === 'ONENET_UNAVAILABLE').length).toBeGreaterThanOrEqual(9);
    expect(codes).toContain('ONENET_TIMEOUT');
  });
});

describe('secrets', () => {
  const SECRET = 'canary-router-secret';
  const program = startOnce((until) =>
    startProgram(
      { fault: (call) => FAILURES.find(({ deviceId }) => deviceId === call.deviceId)?.fault },
      { ROUTER_SECRET: SECRET, ONENET_TIMEOUT_MS: '1000', LOG_LEVEL: 'trace' },
      until,
    ),
  );

  it.each(byCause(FAILURES))(
    'appear in no answer, no metric and no log line: %s',
    async (_, { deviceId, code }) => {
      const { onenet, service } = program();
      // The many calls that do not fail keep the circuit closed.
      const answer = await askEntities(service, SELECTION, devices(deviceId, ...ids(5)), {
        'router-authorization': SECRET,
      });
      await expect
        .poll(() => service.log.some((line) => line['deviceId'] === deviceId))
        .toBe(code.startsWith('ONENET_'));
      const refused = await post(service.url, '{ __typename }', {}, { 'router-authorization': 'wrong' });
      const { body } = await request(new URL('/metrics', service.url));
      expect([answer.status, answer.body.errors.length, refused.status]).toEqual([200, 1, 401]);
      const everything = [answer.text, refused.text, await body.text(), JSON.stringify(service.log)].join(
        '\n',
      );
      const signature =
        /sign=([^&]+)/.exec(onenet.calls[0]?.headers.authorization ?? '')?.[1] ?? 'no signature seen';
      for (const secret of [CANARY, SECRET, CREDENTIALS.accessKey, signature, onenet.url, '    at ']) {
        expect(everything).not.toContain(secret);
      }
    },
  );
});

describe('a malicious request', () => {
  const program = startOnce((until) => startProcess({ ONENET_URL: 'http://127.0.0.1:1' }, until));
  const nested = (depth: number): string => `${'...{'.repeat(depth)}__typename${'}'.repeat(depth)}`;

  it.each<[string, string]>([
    ['one field 10 000 times', `{ ${'__typename '.repeat(10_000)} }`],
    [
      '10 000 aliases',
      `{ ${ids(10_000)
        .map((alias) => `${alias}:__typename`)
        .join(' ')} }`,
    ],
    ['a cycle of fragments', '{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }'],
    [
      'fragments that double a hundred times',
      `{ ...F0 } ${ids(100)
        .map((_, i) => `fragment F${i} on Query { ...F${i + 1} ...F${i + 1} }`)
        .join(' ')} fragment F100 on Query { __typename }`,
    ],
    ['600 levels', `{ ${nested(600)} }`],
    ['600 directives', `{ __typename ${'@include(if: true) '.repeat(280)} }`],
  ])('is refused or answered quickly, while others are answered: %s', async (_, query) => {
    const service = program();
    const started = performance.now();
    const [answer, probe] = await Promise.all([
      post(service.url, query),
      request(new URL('/livez', service.url)),
    ]);
    expect(performance.now() - started).toBeLessThan(2000);
    expect([200, 400]).toContain(answer.status);
    expect(probe.statusCode).toBe(200);
  });

  it('is refused at the body limit, before it is completely decompressed', async () => {
    const service = program();
    const cpuBefore = await metric(service, 'process_cpu_seconds_total');
    const { statusCode, body } = await request(service.url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'content-encoding': 'br' },
      body: brotliCompressSync(Buffer.alloc(300 * 1024 * 1024, ' '), {
        params: { [constants.BROTLI_PARAM_QUALITY]: 1 },
      }),
    });
    expect([statusCode, await body.json()]).toMatchObject([
      413,
      { errors: [{ extensions: { code: 'PAYLOAD_TOO_LARGE' } }] },
    ]);
    expect(await metric(service, 'process_cpu_seconds_total')).toBeLessThan(cpuBefore + 0.5);
  }, 30_000);
});
