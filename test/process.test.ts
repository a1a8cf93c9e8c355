import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

import { Pool, request } from 'undici';
import { describe, expect, it, onTestFinished } from 'vitest';

import { httpAnswer, startRawUpstream, taskAnswer } from './onenet/raw-upstream.ts';
import {
  askEntities,
  devices,
  entitiesQuery,
  type Environment,
  launch,
  type LogLine,
  post,
  type ServiceProcess,
  startProcess,
  startProgram,
} from './service.ts';

const TOKEN: Environment = { PORT: '0', ONENET_AUTHORIZATION: 'token' };

/** A OneNET that answers no call until it is told to. */
async function holdOneNet(calls: number) {
  let arrive!: () => void;
  let release!: () => void;
  const arrived = new Promise<void>((resolve) => (arrive = resolve));
  const released = new Promise<void>((resolve) => (release = resolve));
  const { origin, connections } = await startRawUpstream(async (connection) => {
    await connection.request();
    if (connection.ordinal === calls) arrive();
    await released;
    connection.socket.write(httpAnswer(taskAnswer('1.2')));
  });
  return {
    origin,
    /** Resolves when this many calls have arrived. */
    arrived,
    release,
    connections,
    get inFlight() {
      return connections.filter(({ socket }) => !socket.destroyed).length;
    },
  };
}

/** Resolves to the first log line that satisfies the predicate, when there is one. */
async function logged(
  { child, log }: Pick<ServiceProcess, 'child' | 'log'>,
  isIt: (line: LogLine) => boolean,
): Promise<LogLine> {
  for (;;) {
    const line = log.find(isIt);
    if (line !== undefined) return line;
    await once(child.stdout as NodeJS.ReadableStream, 'data');
  }
}

function isAbout(signal: string): (line: LogLine) => boolean {
  return (line) => line['signal'] === signal;
}

async function statusOf(url: string, path: string): Promise<number> {
  const { statusCode, body } = await request(new URL(path, url));
  await body.dump();
  return statusCode;
}

describe('a start', () => {
  it('prints its address in one line, with a free port', async () => {
    const { lines, listening } = launch(TOKEN);
    const url = await listening;
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:[1-9][0-9]*\/graphql$/);
    expect(lines.filter((line) => line.includes(url))).toHaveLength(1);
    expect((await post(url, '{ __typename }')).body).toEqual({ data: { __typename: 'Query' } });
  });

  it.each(['/livez', '/readyz'])('is complete when the address is printed: %s answers 200', async (path) => {
    const { url } = await startProcess({});
    expect(await statusOf(url, path)).toBe(200);
  });

  it('answers from OneNET', async () => {
    const { service } = await startProgram();
    const { body } = await askEntities(service, 'otaTask(type: FOTA) { target }', devices('1'));
    expect(body).toEqual({ data: { _entities: [{ otaTask: { target: expect.any(String) } }] } });
  });

  it.each(['silent', 'fatal', 'error', 'trace'])('prints the address at LOG_LEVEL=%s', async (level) => {
    const { child, lines, listening, exited } = launch({ ...TOKEN, LOG_LEVEL: level });
    const url = await listening;
    child.kill('SIGTERM');
    expect(await exited).toBe(0);
    expect(lines[0]).toContain(url);
    if (level !== 'trace') expect(lines).toHaveLength(1);
  });

  it('logs only JSON objects, from the first line to the last', async () => {
    const { child, lines, listening, exited } = launch({ ...TOKEN, LOG_LEVEL: 'trace' });
    const url = await listening;
    await post(url, '{');
    await post(url, '{ __typename }', {}, { 'content-type': 'text/plain' });
    child.kill('SIGTERM');
    await exited;
    expect(lines.length).toBeGreaterThan(2);
    for (const line of lines) {
      expect(JSON.parse(line)).toEqual(expect.objectContaining({ level: expect.any(Number) }));
    }
  });

  it.each<[string, Environment]>([
    ['unset', {}],
    ['development', { NODE_ENV: 'development' }],
    ['test', { NODE_ENV: 'test' }],
  ])('shows no stack, schema or landing page with NODE_ENV %s', async (_, environment) => {
    const { url } = await startProcess(environment);
    const failed = await askEntities({ url, log: [] }, 'otaTask(type: FOTA) { target }', [null]);
    expect(failed.body.errors).toHaveLength(1);
    const refused = await post(url, '{ nothing }');
    const introspection = await post(url, '{ __schema { types { name } } }');
    const page = await request(url, { headers: { accept: 'text/html' } });
    const text = await page.body.text();
    expect([refused.status, introspection.status, page.statusCode]).toEqual([400, 400, 404]);
    for (const answer of [failed.text, refused.text, introspection.text, text]) {
      expect(answer).not.toMatch(/stack|node_modules|\.js:\d|<html/i);
    }
  });
});

describe('a start that fails', () => {
  const CANARY = 'C4n4ry';

  it('names every configuration fault in one line, without any values', async () => {
    const { exited, lines, log } = launch({
      PORT: CANARY,
      ONENET_URL: `https://${CANARY}@onenet.example`,
      ONENET_AUTHORIZATION: `${CANARY} `,
      ONENET_ACCESS_KEY: `${CANARY}QQ`,
      ROUTER_SECRET: CANARY,
      LOG_LEVEL: CANARY,
    });
    expect(await exited).toBe(1);
    expect(lines).toHaveLength(1);
    const message = String(log[0]?.['msg']);
    for (const name of ['PORT', 'ONENET_URL', 'ONENET_AUTHORIZATION', 'ROUTER_SECRET', 'LOG_LEVEL']) {
      expect(message).toContain(name);
    }
    expect(lines[0]).not.toContain(CANARY);
  });

  it.each<[string, Environment, string]>([
    ['there are no credentials', {}, 'ONENET_AUTHORIZATION'],
    ['a variable is empty', { ...TOKEN, HOST: '' }, 'HOST'],
    ['a secret holds a line break', { ...TOKEN, ROUTER_SECRET: '0123456789\r\n0123456789' }, 'ROUTER_SECRET'],
    ['the log is to be silent', { ...TOKEN, LOG_LEVEL: 'silent', SANDBOX: 'yes' }, 'SANDBOX'],
  ])('states the reason when %s', async (_, environment, name) => {
    const { exited, lines, log } = launch(environment);
    expect(await exited).toBe(1);
    expect(lines).toHaveLength(1);
    expect(log[0]?.['msg']).toContain(name);
  });

  it('reports that the port is taken', async () => {
    const occupant = createServer().listen(0, '127.0.0.1');
    onTestFinished(() => void occupant.close());
    await once(occupant, 'listening');
    const { port } = occupant.address() as AddressInfo;
    const { exited, lines, log } = launch({ ...TOKEN, PORT: String(port) });
    expect(await exited).toBe(1);
    expect(lines).toHaveLength(1);
    expect(log[0]).toMatchObject({ level: 60, err: { code: 'EADDRINUSE' } });
  });
});

describe('a stop signal', () => {
  it.each(['SIGTERM', 'SIGINT'] as const)('ends an idle process with exit code 0: %s', async (signal) => {
    const { child, exited, url } = await startProcess({});
    // A keep-alive connection that has been answered and is idle.
    const pool = new Pool(new URL(url).origin, { connections: 1 });
    onTestFinished(() => pool.destroy());
    const answer = await pool.request({ method: 'GET', path: '/livez' });
    await answer.body.dump();
    child.kill(signal);
    expect(await exited).toBe(0);
  });

  it.each(['SIGTERM', 'SIGINT'] as const)('lets all requests in flight finish: %s', async (signal) => {
    const onenet = await holdOneNet(20);
    const service = await startProcess({ ONENET_URL: onenet.origin });
    const answers = Promise.all(
      Array.from({ length: 20 }, async (__, index) => {
        const query = entitiesQuery('otaTask(type: FOTA) { target }');
        const variables = { representations: devices(String(index)) };
        const { statusCode, headers, body } = await request(service.url, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ query, variables }),
        });
        return { status: statusCode, connection: headers['connection'], body: await body.json() };
      }),
    );
    await onenet.arrived;
    service.child.kill(signal);
    await logged(service, isAbout(signal));
    expect(onenet.inFlight).toBe(20);
    onenet.release();
    for (const answer of await answers) {
      expect(answer).toEqual({
        status: 200,
        connection: 'close',
        body: { data: { _entities: [{ otaTask: { target: expect.any(String) } }] } },
      });
    }
    expect(await service.exited).toBe(0);
    expect(onenet.connections).toHaveLength(20);
  });

  it.each([
    ['SIGTERM', 'SIGTERM'],
    ['SIGINT', 'SIGTERM'],
    ['SIGTERM', 'SIGINT'],
  ] as const)('changes nothing if it is the second: %s, %s', async (first, second) => {
    const onenet = await holdOneNet(1);
    const service = await startProcess({ ONENET_URL: onenet.origin });
    const answer = askEntities(service, 'otaTask(type: FOTA) { target }', devices('1'));
    await onenet.arrived;
    service.child.kill(first);
    await logged(service, isAbout(first));
    service.child.kill(second);
    await logged(
      service,
      (line) => isAbout(second)(line) && service.log.filter(({ signal }) => signal).length === 2,
    );
    expect(onenet.inFlight).toBe(1);
    onenet.release();
    expect((await answer).body).toEqual({
      data: { _entities: [{ otaTask: { target: expect.any(String) } }] },
    });
    expect(await service.exited).toBe(0);
  });

  it('turns readiness off at once, while everything else continues for the delay', async () => {
    const service = await startProcess({ DRAIN_DELAY_MS: '2000' });
    expect(await statusOf(service.url, '/readyz')).toBe(200);
    service.child.kill('SIGTERM');
    await logged(service, isAbout('SIGTERM'));
    expect(await statusOf(service.url, '/readyz')).toBe(503);
    expect(await statusOf(service.url, '/livez')).toBe(200);
    expect((await post(service.url, '{ __typename }')).body).toEqual({ data: { __typename: 'Query' } });
    expect(service.child.exitCode).toBeNull();
    expect(await service.exited).toBe(0);
  });

  it('closes the listener while requests are still in flight', async () => {
    const onenet = await holdOneNet(1);
    const service = await startProcess({ ONENET_URL: onenet.origin });
    const answer = askEntities(service, 'otaTask(type: FOTA) { target }', devices('1'));
    await onenet.arrived;
    service.child.kill('SIGTERM');
    // A connection that arrives at the moment of closing may still be answered, or reset.
    const attempt = (): Promise<unknown> =>
      statusOf(service.url, '/readyz').catch((error: unknown) => (error as { code?: string }).code);
    while ((await attempt()) !== 'ECONNREFUSED');
    expect(onenet.inFlight).toBe(1);
    onenet.release();
    expect((await answer).status).toBe(200);
    expect(await service.exited).toBe(0);
  });
});

describe('a bug in the program', () => {
  // Code that the process loads before its own, and that fails on demand.
  const failing = (code: string): Environment => ({
    NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(`process.once('SIGUSR2', () => { ${code} });`)}`,
  });

  it.each([
    ['an uncaught exception', `throw new Error('planted')`],
    ['an unhandled rejection', `void Promise.reject(new Error('planted'))`],
    ['a rejection that is no error', `void Promise.reject('planted')`],
  ])('is logged as fatal, and the process drains and exits with code 1: %s', async (_, code) => {
    const onenet = await holdOneNet(1);
    const service = await startProcess({ ...failing(code), ONENET_URL: onenet.origin });
    const answer = askEntities(service, 'otaTask(type: FOTA) { target }', devices('1'));
    await onenet.arrived;
    service.child.kill('SIGUSR2');
    const line = await logged(service, ({ level }) => level === 60);
    expect(JSON.stringify(line)).toContain('planted');
    expect(onenet.inFlight).toBe(1);
    onenet.release();
    expect((await answer).body).toEqual({
      data: { _entities: [{ otaTask: { target: expect.any(String) } }] },
    });
    expect(await service.exited).toBe(1);
  });

  it('keeps its exit code even if a stop signal came first', async () => {
    const onenet = await holdOneNet(1);
    const service = await startProcess({
      ...failing(`throw new Error('planted')`),
      ONENET_URL: onenet.origin,
    });
    const answer = askEntities(service, 'otaTask(type: FOTA) { target }', devices('1'));
    await onenet.arrived;
    service.child.kill('SIGTERM');
    await logged(service, isAbout('SIGTERM'));
    service.child.kill('SIGUSR2');
    await logged(service, ({ level }) => level === 60);
    onenet.release();
    expect((await answer).status).toBe(200);
    expect(await service.exited).toBe(1);
  });
});
