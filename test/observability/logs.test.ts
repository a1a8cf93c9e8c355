import { request } from 'undici';
import { describe, expect, it } from 'vitest';

import { readConfig } from '../../src/config/config.ts';
import { createLogger } from '../../src/observability/logger.ts';
import { signToken } from '../../src/onenet/authorization.ts';
import { createFailureLog } from '../../src/observability/failure-log.ts';
import { OneNetError } from '../../src/onenet-error.ts';
import { byCause, FAILURES } from '../failures.ts';
import { faultByName } from '../fault-by-name.ts';
import { askEntities, CREDENTIALS, devices, type LogLine, type Service, startBoth } from '../service.ts';
import { PRODUCTS, startProductsFile } from '../start-products.ts';

const FIELD = 'otaTask(type: FOTA) { size }';
const TRACE_ID = '4bf92f3577b34da6a3ce929d0e0e4736';
const TRACEPARENT = `00-${TRACE_ID}-00f067aa0ba902b7-01`;
const UUID = /^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/;

const failures = ({ log }: Service): readonly LogLine[] =>
  log.filter(({ msg }) => msg === 'call to OneNET failed');

describe('a call to OneNET that fails', () => {
  const LOGGED = FAILURES.filter(({ code }) => code.startsWith('ONENET_'));
  // These concern a device; the others concern OneNET.
  const UNLOGGED = FAILURES.filter(({ code }) => code.startsWith('OTA_'));

  it.each(byCause(LOGGED))(
    'is logged in one line, with the reason and the device: %s',
    async (_, { fault, result, errno, detail, attempts }) => {
      const service = await startBoth(
        { fault: ({ deviceId }) => (deviceId === 'bad' ? fault : undefined) },
        { ONENET_TIMEOUT_MS: '1000' },
      );
      const headers = { 'x-request-id': 'from-the-router', traceparent: TRACEPARENT };
      await askEntities(service, `a: ${FIELD} b: ${FIELD}`, devices('bad', 'd1', 'bad'), headers);
      expect(service.log).toEqual([
        {
          level: 40,
          time: expect.any(Number),
          pid: process.pid,
          hostname: expect.any(String),
          msg: 'call to OneNET failed',
          deviceId: 'bad',
          otaType: 'FOTA',
          requestId: 'from-the-router',
          traceId: TRACE_ID,
          result,
          errno,
          detail,
          attempts,
        },
      ]);
    },
  );

  it.each(byCause(UNLOGGED))(
    'is not logged if OneNET only reports the state of a device: %s',
    async (_, { fault }) => {
      const service = await startBoth({ fault: () => fault });
      await askEntities(service, FIELD, devices('d1'));
      expect(service.log).toEqual([]);
    },
  );

  it('is not logged if there is a task', async () => {
    const service = await startBoth();
    await askEntities(service, FIELD, devices('d1'));
    expect(service.log).toEqual([]);
  });

  it('is limited in a flood to ten lines of its kind and one a second, without hiding other kinds', async () => {
    const service = await startBoth({ fault: faultByName });
    const flood = Array.from({ length: 300 }, (_, i) => `status-401-${i}`);
    const startedAt = performance.now();
    await askEntities(service, FIELD, devices(...flood, 'status-302'));
    const seconds = Math.floor((performance.now() - startedAt) / 1000);
    const results = failures(service).map(({ result }) => result);
    const lines = results.filter((result) => result === 'unauthorized').length;
    expect(lines).toBeGreaterThanOrEqual(10);
    expect(lines).toBeLessThanOrEqual(10 + seconds);
    expect(results.filter((result) => result === 'bad-response')).toHaveLength(1);
  });

  it('is logged again after the flood, with the number of suppressed lines', () => {
    const log: LogLine[] = [];
    const config = readConfig({ ONENET_AUTHORIZATION: 'token' });
    const logger = createLogger(config, { write: (line) => log.push(JSON.parse(line) as LogLine) });
    let nowMs = 0;
    const failed = createFailureLog(logger, () => nowMs);
    const fail = (): void =>
      failed({
        key: { deviceId: 'd1', type: 'FOTA' },
        scope: {
          deadlineMs: Infinity,
          cancelReason: () => undefined,
          trace: undefined,
          logFields: () => ({ requestId: 'r' }),
          onCancel: () => undefined,
        },
        error: new OneNetError('timeout'),
        attempts: 1,
      });
    for (let i = 0; i < 25; i++) fail();
    expect(log.map(({ suppressed }) => suppressed)).toEqual(Array(10).fill(undefined));
    nowMs = 999;
    fail();
    expect(log).toHaveLength(10);
    nowMs = 1000;
    fail();
    fail();
    expect(log.slice(10).map(({ suppressed }) => suppressed)).toEqual([16]);
    nowMs = 100_000;
    for (let i = 0; i < 25; i++) fail();
    expect(log.slice(11).map(({ suppressed }) => suppressed)).toEqual([1, ...Array(9).fill(undefined)]);
  });
});

describe('a request', () => {
  async function idOf({ url }: Service, given?: string): Promise<unknown> {
    const { headers, body } = await request(new URL('/livez', url), {
      headers: given === undefined ? {} : { 'x-request-id': given },
    });
    await body.dump();
    return headers['x-request-id'];
  }

  it('keeps its own id and gets it back', async () => {
    expect(await idOf(await startBoth(), 'abc-1.2:3')).toBe('abc-1.2:3');
  });

  it.each([undefined, '', 'a b', '{"level":60}', 'x'.repeat(129)])(
    'gets a new id if it has none or an invalid one: %s',
    async (given) => {
      const service = await startBoth();
      const [first, second] = [await idOf(service, given), await idOf(service, given)];
      expect([first, second]).toEqual([expect.stringMatching(UUID), expect.stringMatching(UUID)]);
      expect(first).not.toBe(second);
    },
  );

  it('is identified in the log line of its refusal', async () => {
    const service = await startBoth();
    const { body } = await request(service.url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-request-id': 'refused', traceparent: TRACEPARENT },
      body: '{',
    });
    await body.dump();
    expect(service.log).toMatchObject([
      { msg: 'request refused', status: 400, requestId: 'refused', traceId: TRACE_ID },
    ]);
  });

  it.each(['', 'junk', `00-${TRACE_ID}`, `00-${TRACE_ID.toUpperCase()}-00f067aa0ba902b7-01`])(
    'is not part of a trace that it names incorrectly: %s',
    async (traceparent) => {
      const service = await startBoth({ fault: faultByName });
      await askEntities(service, FIELD, devices('status-401'), { traceparent });
      expect(failures(service)).toHaveLength(1);
      expect(failures(service)[0]).not.toHaveProperty('traceId');
    },
  );

  it('is logged at its end at debug, and at info only if something is wrong', async () => {
    const quiet = await startBoth();
    await askEntities(quiet, FIELD, devices('d1'));
    expect(quiet.log).toEqual([]);
    const talkative = await startBoth({}, { LOG_LEVEL: 'debug' });
    await askEntities(talkative, FIELD, devices('d1'), { 'x-request-id': 'seen' });
    await expect
      .poll(() => talkative.log)
      .toMatchObject([
        {
          level: 20,
          msg: 'request ended',
          outcome: 'ok',
          status: 200,
          requestId: 'seen',
          durationMs: expect.any(Number),
        },
      ]);
  });
});

describe('a secret', () => {
  const KEY = CREDENTIALS.accessKey;
  const TOKEN = 'version=1&sign=c2VjcmV0"quoted';
  const minted = signToken({ productId: 'p1', accessKey: KEY, method: 'sha256' }, 1_900_000_000);

  it.each([
    ['the key', KEY],
    ['the signature of a minted token', minted],
    ['the same, encoded once more', encodeURIComponent(minted)],
    ["the router's", 'the-secret-of-the-router'],
    ["Redis' password, as the address has it", 'pa%24%24word'],
    ["Redis' password, as Redis gets it", 'pa$$word'],
    ["a product's key in a file", PRODUCTS.p2],
  ])('is in no line, whatever is logged: %s', (_, secret) => {
    const lines: string[] = [];
    const config = readConfig({
      ...(secret === PRODUCTS.p2
        ? { ONENET_PRODUCTS_FILE: startProductsFile() }
        : { ONENET_PRODUCT_ID: 'p1', ONENET_ACCESS_KEY: KEY }),
      ROUTER_SECRET: 'the-secret-of-the-router',
      REDIS_URL: 'redis://:pa%24%24word@127.0.0.1',
    });
    const logger = createLogger(config, { write: (line) => lines.push(line) });
    logger.error(
      { err: Object.assign(new Error(`of ${secret}!`), { headers: { secret } }) },
      `got ${secret}`,
    );
    const [line = ''] = lines;
    const hidden = secret.split(/sign(?:=|%3D)/)[1] ?? secret;
    expect(line).not.toContain(hidden);
    expect(line).toContain('[redacted]');
    expect(JSON.parse(line)).toMatchObject({ level: 50, err: { type: 'Error' } });
  });

  it('of Redis that is a digit leaves lines that can be read', () => {
    const lines: string[] = [];
    const config = readConfig({ ONENET_AUTHORIZATION: TOKEN, REDIS_URL: 'redis://:1@127.0.0.1' });
    createLogger(config, { write: (line) => lines.push(line) }).error('got 1');
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({ level: 50, msg: 'got 1' });
  });

  it('is in no line where it is a ready token, as JSON writes it', () => {
    const lines: string[] = [];
    const logger = createLogger(readConfig({ ONENET_AUTHORIZATION: TOKEN }), {
      write: (line) => lines.push(line),
    });
    logger.error({ header: TOKEN }, TOKEN);
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({ header: '[redacted]', msg: '[redacted]' });
  });
});
