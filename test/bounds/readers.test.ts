import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';

import { request } from 'undici';
import { describe, expect, it, onTestFinished } from 'vitest';

import { scrape, valueOf } from '../metrics-text.ts';
import {
  type Environment,
  type Service,
  type ServiceProcess,
  startOnce,
  startProcess,
  type Until,
} from '../service.ts';
import { LARGE_OPERATION, startWordyOneNet } from './large-answer.ts';
import { connectTo, isClosed, requestBytes } from './raw-client.ts';
import { openSilentReaders } from './silent-readers.ts';

const GRAPHIQL = requestBytes('GET', '/graphiql');
const LARGE = requestBytes('POST', '/graphql', LARGE_OPERATION);

async function start(environment: Environment = {}, until: Until = onTestFinished): Promise<ServiceProcess> {
  const onenet = await startWordyOneNet(until);
  return startProcess({ ONENET_URL: onenet.url, SANDBOX: 'true', ...environment }, until);
}

const inFlight = async (service: Service): Promise<number | undefined> =>
  valueOf(await scrape(service), 'onenet_ota_requests_in_flight');
const outcomes = async (service: Service, outcome: string): Promise<number | undefined> =>
  valueOf(await scrape(service), 'onenet_ota_request_duration_seconds_count', { outcome });

const isAboutReader = ({ msg }: Readonly<Record<string, unknown>>): boolean =>
  String(msg).includes('not read in time');

describe('a client that does not read its answer', () => {
  const impatient = startOnce((until) => start({ REQUEST_TIMEOUT_MS: '1000' }, until));

  it.each([
    ['an answer to an operation', LARGE],
    ['the page of GraphiQL', GRAPHIQL],
    ['an answer and many more that it asked for', Buffer.concat(Array<Buffer>(300).fill(GRAPHIQL))],
    ['many small answers', Buffer.concat(Array<Buffer>(60_000).fill(requestBytes('GET', '/livez')))],
  ])('loses its connection after the request timeout: %s', { timeout: 30_000 }, async (_, bytes) => {
    const service = impatient();
    const before = service.log.filter(isAboutReader).length;
    const startedAt = performance.now();
    await openSilentReaders(service, 1, bytes);
    await expect.poll(() => service.log.filter(isAboutReader).length, { timeout: 10_000 }).toBe(before + 1);
    const seconds = (performance.now() - startedAt) / 1000;
    expect(seconds).toBeGreaterThan(0.9);
    expect(seconds).toBeLessThan(6);
    await expect.poll(() => inFlight(service)).toBe(0);
  });

  it(
    'appears in the metrics as an aborted request, and in the log with its id',
    { timeout: 30_000 },
    async () => {
      const service = await start({ REQUEST_TIMEOUT_MS: '1000' });
      await openSilentReaders(
        service,
        1,
        requestBytes('POST', '/graphql', LARGE_OPERATION, 'X-Request-Id: silent-1'),
      );
      await expect.poll(() => outcomes(service, 'aborted'), { timeout: 10_000 }).toBe(1);
      expect(service.log.filter(isAboutReader)).toMatchObject([{ level: 40, requestId: 'silent-1' }]);
    },
  );

  it('does not keep other clients from their answers', { timeout: 60_000 }, async () => {
    const service = await start();
    await openSilentReaders(service, 12, LARGE);
    const ask = async (): Promise<unknown> => {
      const { body } = await request(service.url, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: LARGE_OPERATION,
      });
      return body.json();
    };
    // The silent clients' requests may keep the service busy for a while, but their unread answers delay nobody.
    await expect.poll(ask, { timeout: 8000, interval: 500 }).toHaveProperty('data._entities.length', 10_000);
  });
});

describe('a client that reads slowly', () => {
  it.each([
    ['an answer to an operation', LARGE],
    ['the page of GraphiQL', GRAPHIQL],
  ])('receives all of %s', { timeout: 30_000 }, async (_, bytes) => {
    const service = await start({ REQUEST_TIMEOUT_MS: '5000' });
    const socket = await connectTo(service.url);
    socket.write(bytes);
    let received = '';
    for await (const chunk of socket as AsyncIterable<Buffer>) {
      received += chunk.toString('latin1');
      const length = Number(/content-length: (\d+)/i.exec(received)?.[1]);
      if (received.length - received.indexOf('\r\n\r\n') - 4 === length) break;
      await delay(5);
    }
    expect(received.length).toBeGreaterThan(5_000_000);
    expect(service.log.filter(isAboutReader)).toEqual([]);
  });

  it('may send another request on the same connection', async () => {
    const service = await start({ REQUEST_TIMEOUT_MS: '500' });
    const socket = await connectTo(service.url);
    socket.write(GRAPHIQL);
    let received = '';
    socket.on('data', (chunk: Buffer) => (received += chunk.toString('latin1')));
    await expect.poll(() => received).toMatch(/<\/html>\s*$/);
    // Longer than an answer may remain unread; here none does.
    expect(await isClosed(socket, 1000)).toBe(false);
    const again = once(socket, 'data');
    socket.write(requestBytes('GET', '/livez'));
    expect(String((await again)[0])).toMatch(/^HTTP\/1\.1 200 /);
  });
});

describe('pipelined requests', () => {
  it('are answered one after the other, in order', async () => {
    const service = await start();
    const socket = await connectTo(service.url);
    const ids = Array.from({ length: 200 }, (_, i) => `r${i}`);
    const operation = JSON.stringify({ query: '{ __typename }' });
    for (const id of ids) socket.write(requestBytes('POST', '/graphql', operation, `X-Request-Id: ${id}`));
    let received = '';
    socket.on('data', (chunk: Buffer) => (received += chunk.toString()));
    await expect.poll(() => received.match(/"__typename":"Query"/g)?.length).toBe(200);
    expect([...received.matchAll(/x-request-id: (\S+)/gi)].map(([, id]) => id)).toEqual(ids);
    expect(await outcomes(service, 'ok')).toBe(200);
  });

  it('are not started after their client has disconnected', async () => {
    const service = await start();
    const [socket] = await openSilentReaders(service, 1, Buffer.concat(Array<Buffer>(20).fill(LARGE)));
    socket?.destroy();
    await expect.poll(() => inFlight(service)).toBe(0);
    expect(await outcomes(service, 'aborted')).toBeLessThan(20);
  });
});
