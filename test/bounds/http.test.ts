import { once } from 'node:events';
import type { Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';

import { Agent, request } from 'undici';
import { describe, expect, it, onTestFinished } from 'vitest';

import { scrape, valueOf } from '../metrics-text.ts';
import {
  askEntities,
  devices,
  entitiesQuery,
  type LogLine,
  type Service,
  type ServiceProcess,
  startOnce,
  startProgram,
} from '../service.ts';
import { connectTo, isClosed, requestBytes } from './raw-client.ts';

const FIELD = 'otaTask(type: FOTA) { size }';
const OPERATION = JSON.stringify({ query: '{ __typename }' });
const UUID = /^[\da-f]{8}-[\da-f-]{27}$/;
const POST = 'POST /graphql HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n';

async function start(...how: Parameters<typeof startProgram>): Promise<ServiceProcess> {
  return (await startProgram(...how)).service;
}

/** For the tests that leave it as it was. */
const shared = startOnce((until) => start({}, {}, until));

/** Sends these bytes and resolves to everything received until the service closes the connection. */
async function sendRaw({ url }: Service, bytes: string | Buffer): Promise<string> {
  const socket = await connectTo(url);
  socket.write(bytes);
  return text(socket);
}

async function send(
  service: Service,
  body: string | Buffer,
  headers: Readonly<Record<string, string>> = {},
  dispatcher?: Agent,
) {
  const answer = await request(service.url, {
    ...(dispatcher && { dispatcher }),
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body,
  });
  return { status: answer.statusCode, headers: answer.headers, text: await answer.body.text() };
}

async function statusOf(service: Service, path: string): Promise<number> {
  const { statusCode, body } = await request(new URL(path, service.url));
  await body.dump();
  return statusCode;
}

const cpuSeconds = async (service: Service): Promise<number> =>
  valueOf(await scrape(service), 'process_cpu_seconds_total') ?? NaN;
const memory = async (service: Service): Promise<number> =>
  valueOf(await scrape(service), 'process_resident_memory_bytes') ?? Infinity;

describe('every refusal', () => {
  it.each<[string, string, number]>([
    ['an expectation', `${POST}Expect: a miracle\r\nContent-Length: 2\r\n\r\n{}`, 417],
    ['an expectation before the body', `${POST}Expect: a miracle\r\nContent-Length: 2\r\n\r\n`, 417],
    ['headers of 20 kB', `GET /livez HTTP/1.1\r\nHost: h\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`, 431],
    ['an unreadable target', 'GET /%zz HTTP/1.1\r\nHost: h\r\n\r\n', 400],
    ['a target with a space', 'GET /a b HTTP/1.1\r\nHost: h\r\n\r\n', 400],
    ['an unknown method', 'BREW /graphql HTTP/1.1\r\nHost: h\r\n\r\n', 400],
    ['a method for proxies', 'CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n', 400],
    ['no HTTP at all', 'GARBAGE\r\n\r\n', 400],
    ['two equal Host headers', 'GET /livez HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n', 400],
    ['two other Host headers', 'GET /livez HTTP/1.1\r\nHost: h\r\nX: y\r\nhost: i\r\n\r\n', 400],
    ['two Host headers, one empty', 'GET /livez HTTP/1.1\r\nHost: h\r\nHost:\r\n\r\n', 400],
    ['no Host header', 'GET /livez HTTP/1.1\r\n\r\n', 400],
    ['half a chunk', `${POST}Transfer-Encoding: chunked\r\n\r\nzz\r\n`, 400],
  ])('has an id and a body that states the reason: %s', async (_, bytes, status) => {
    const service = shared();
    // Some refusals leave the connection open.
    const socket = await connectTo(service.url);
    socket.write(bytes);
    const answer = String((await once(socket, 'data'))[0]);
    const [head = '', body = ''] = answer.split('\r\n\r\n');
    expect(head).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    expect(head).toMatch(/^content-type: application\/json\b/im);
    expect(/^x-request-id: (.*)$/im.exec(head)?.[1]).toMatch(UUID);
    expect(JSON.parse(body)).toEqual({
      errors: [{ message: expect.stringMatching(/\S/), extensions: { code: 'BAD_REQUEST' } }],
    });
  });

  it.each<[string, string, number]>([
    ['an expectation', `${POST}Expect: a miracle\r\nContent-Length: 2\r\n\r\n{}`, 417],
    ['headers of 20 kB', `GET /livez HTTP/1.1\r\nHost: h\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`, 431],
    ['an unreadable target', 'GET /%zz HTTP/1.1\r\nHost: h\r\n\r\n', 400],
    ['an unknown method', 'BREW /graphql HTTP/1.1\r\nHost: h\r\n\r\n', 400],
  ])('at the HTTP level is logged in one line with its id: %s', async (_, bytes, status) => {
    const service = shared();
    const socket = await connectTo(service.url);
    socket.write(bytes);
    const [answer] = (await once(socket, 'data')) as [Buffer];
    const requestId = /^x-request-id: (\S+)/im.exec(answer.toString())?.[1];
    const lines = (): LogLine[] => service.log.filter((line) => line['requestId'] === requestId);
    await expect.poll(() => lines().length).toBe(1);
    expect(lines()).toMatchObject([{ msg: 'request refused', level: 40, status }]);
  });

  it('keeps the id of the request', async () => {
    const service = shared();
    const answer = await send(service, '{}', { expect: 'a-miracle', 'x-request-id': 'given-1' }).catch(
      // undici does not support this header.
      () => sendRaw(service, `${POST}Expect: x\r\nX-Request-Id: given-1\r\nConnection: close\r\n\r\n`),
    );
    expect(JSON.stringify(answer)).toMatch(/x-request-id\W+given-1/i);
  });

  it('reaches a client that was answered before on the same connection', async () => {
    const service = shared();
    const socket = await connectTo(service.url);
    let received = '';
    socket.on('data', (chunk: Buffer) => (received += chunk.toString()));
    socket.write(requestBytes('GET', '/livez'));
    await expect.poll(() => received).toMatch(/"ok"/);
    socket.write(`GET /livez HTTP/1.1\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`);
    await once(socket, 'close');
    expect(received).toMatch(/\r\n\r\n\{"status":"ok"\}HTTP\/1\.1 431 /);
  });

  it('closes the connection even if the client does not', async () => {
    const service = await start();
    const socket = await connectTo(service.url);
    socket.allowHalfOpen = true;
    const before = valueOf(await scrape(service), 'nodejs_active_handles_total');
    socket.write('GARBAGE\r\n\r\n');
    socket.resume();
    await once(socket, 'end');
    await expect
      .poll(async () => valueOf(await scrape(service), 'nodejs_active_handles_total'), { timeout: 4000 })
      .toBeLessThan(before as number);
  });
});

describe('100-continue', () => {
  it('is sent to a client that waits for it', async () => {
    const service = shared();
    const socket = await connectTo(service.url);
    socket.write(`${POST}Expect: 100-continue\r\nContent-Length: ${OPERATION.length}\r\n\r\n`);
    expect(String((await once(socket, 'data'))[0])).toMatch(/^HTTP\/1\.1 100 /);
    socket.write(OPERATION);
    expect(String((await once(socket, 'data'))[0])).toMatch(/^HTTP\/1\.1 200 /);
  });
});

describe('a body', () => {
  it.each([
    ['behind 300 MB of empty gzip members', gzipSync(''), 'gzip'],
    ['behind 300 MB of nothing', Buffer.alloc(64), 'gzip'],
    ['of brotli, behind 300 MB more', Buffer.alloc(64), 'br'],
  ])(
    'is refused for its size as sent, not only for its content: %s',
    { timeout: 30_000 },
    async (_, filler, encoding) => {
      const service = await start();
      const compress = encoding === 'gzip' ? gzipSync : brotliCompressSync;
      const filling = Buffer.alloc(1_000_000, filler);
      const before = await cpuSeconds(service);
      const socket = await connectTo(service.url);
      let received = '';
      socket.on('data', (chunk: Buffer) => (received += chunk.toString()));
      socket.write(`${POST}Content-Encoding: ${encoding}\r\nTransfer-Encoding: chunked\r\n\r\n`);
      const closed = once(socket, 'close');
      const writeChunk = async (chunk: Buffer): Promise<void> => {
        socket.write(`${chunk.length.toString(16)}\r\n`);
        socket.write(chunk);
        if (!socket.write('\r\n')) await Promise.race([once(socket, 'drain'), closed]);
      };
      await writeChunk(compress(OPERATION));
      for (let i = 0; i < 300 && !socket.destroyed; i++) await writeChunk(filling);
      await expect.poll(() => received).toMatch(/^HTTP\/1\.1 413 [^]*PAYLOAD_TOO_LARGE/);
      // The rest of the body is read and discarded, which costs CPU as well.
      expect((await cpuSeconds(service)) - before).toBeLessThan(1.2);
    },
  );

  it.each(['gzip', 'br'])(
    'that expands from a few bytes to a quarter of a gigabyte costs at most 100 ms: %s',
    async (encoding) => {
      const service = await start();
      const bomb =
        encoding === 'gzip'
          ? gzipSync(Buffer.alloc(2 ** 28))
          : brotliCompressSync(Buffer.alloc(2 ** 28), { params: { [constants.BROTLI_PARAM_QUALITY]: 1 } });
      await send(service, bomb, { 'content-encoding': encoding });
      const before = await cpuSeconds(service);
      for (let i = 0; i < 10; i++) {
        expect((await send(service, bomb, { 'content-encoding': encoding })).status).toBe(413);
      }
      expect((await cpuSeconds(service)) - before).toBeLessThan(1);
    },
  );

  it('sent in chunks of one byte takes no more memory than its bytes', { timeout: 60_000 }, async () => {
    const service = await start();
    const socket = await connectTo(service.url);
    socket.write(`${POST}Transfer-Encoding: chunked\r\n\r\n`);
    const chunks = Buffer.from('1\r\n \r\n'.repeat(100_000));
    let most = 0;
    for (let i = 0; i < 12; i++) {
      if (!socket.write(chunks)) await once(socket, 'drain');
      most = Math.max(most, await memory(service));
    }
    expect(most).toBeLessThan(200_000_000);
    socket.write(`${OPERATION.length.toString(16)}\r\n${OPERATION}\r\n0\r\n\r\n`);
    // A client that keeps the service this busy may be told to retry later.
    expect(String((await once(socket, 'data'))[0])).toMatch(/^HTTP\/1\.1 (?:200|503) /);
  });

  it('that never ends takes its share of a bounded amount of memory', { timeout: 60_000 }, async () => {
    const service = await start();
    const unfinished = Buffer.concat([
      Buffer.from(`${POST}Content-Length: 2000000\r\n\r\n`),
      Buffer.alloc(1_900_000, ' '),
    ]);
    const sockets = await Promise.all(Array.from({ length: 100 }, () => connectTo(service.url)));
    let refused = 0;
    await Promise.all(
      sockets.map(async (socket) => {
        socket.on(
          'data',
          (chunk: Buffer) => (refused += Number(chunk.toString().startsWith('HTTP/1.1 503 '))),
        );
        if (!socket.write(unfinished)) await once(socket, 'drain');
      }),
    );
    expect(await memory(service)).toBeLessThan(300_000_000);
    // A client that came later and is faster gets through.
    const status = async (): Promise<number> => (await send(service, OPERATION.padEnd(2_000_000))).status;
    await expect.poll(status, { timeout: 10_000, interval: 200 }).toBe(200);
    expect(refused).toBeGreaterThan(50);
  });
});

describe('slow uploads', () => {
  /** Connections that have sent the first byte of a body. */
  async function upload(service: Service, count: number): Promise<Socket[]> {
    const sockets: Socket[] = [];
    while (sockets.length < count) {
      sockets.push(...(await Promise.all(Array.from({ length: 100 }, () => connectTo(service.url)))));
      for (const socket of sockets.slice(-100)) socket.write(`${POST}Content-Length: 100\r\n\r\n{`);
    }
    return sockets;
  }

  it('cause no request to be shed, and little memory', { timeout: 60_000 }, async () => {
    const service = await start();
    await upload(service, 2100);
    const statuses: number[] = [];
    for (let i = 0; i < 100; i++) statuses.push((await askEntities(service, FIELD, devices(`d${i}`))).status);
    expect(statuses.filter((status) => status !== 200)).toEqual([]);
    expect([await statusOf(service, '/readyz'), await statusOf(service, '/livez')]).toEqual([200, 200]);
    expect(await memory(service)).toBeLessThan(200_000_000);
  });

  it(
    'give way to new connections when there are too many, the longest idle first',
    { timeout: 60_000 },
    async () => {
      const service = await start();
      const [first, ...others] = await upload(service, 4200);
      expect(await isClosed(first as Socket, 1000)).toBe(true);
      expect(others.at(-1)?.destroyed).toBe(false);
      // Each on a connection of its own.
      for (let i = 0; i < 100; i++) {
        expect(
          await sendRaw(service, requestBytes('POST', '/graphql', OPERATION, 'Connection: close')),
        ).toMatch(/^HTTP\/1\.1 200 /);
      }
      expect(await memory(service)).toBeLessThan(300_000_000);
    },
  );
});

describe('a service that is busy with heavy requests', () => {
  it('still answers a request for one device', { timeout: 60_000 }, async () => {
    const service = await start({ latencyMs: 200 }, { REQUEST_TIMEOUT_MS: '3000' });
    const agent = new Agent({ connections: 100 });
    onTestFinished(() => agent.destroy());
    let shed = 0;
    const attack = async (client: number): Promise<void> => {
      for (let round = 0; ; round++) {
        const ids = Array.from({ length: 1000 }, (_, i) => `c${client}-${round}-${i}`);
        const variables = { representations: devices(...ids) };
        const body = JSON.stringify({ query: entitiesQuery(FIELD), variables });
        const { status } = await send(service, body, {}, agent);
        if (status === 503) shed++;
      }
    };
    // Until their connections are destroyed.
    const heavy = Array.from({ length: 80 }, (_, client) => attack(client).catch(() => undefined));
    const statuses: number[] = [];
    const startedAt = performance.now();
    while (statuses.length < 5) {
      statuses.push((await askEntities(service, FIELD, devices(`user-${statuses.length}`))).status);
    }
    expect(performance.now() - startedAt).toBeLessThan(9000);
    expect(statuses.filter((status) => status !== 200)).toEqual([]);
    await agent.destroy();
    await Promise.all(heavy);
    expect(shed).toBeGreaterThan(0);
    await expect.poll(() => statusOf(service, '/readyz'), { timeout: 10_000 }).toBe(200);
  });
});

describe('the metrics', () => {
  it('cost the same however many clients request them at once', { timeout: 30_000 }, async () => {
    const service = shared();
    await scrape(service);
    const agent = new Agent({ connections: 50 });
    onTestFinished(() => agent.destroy());
    const before = await cpuSeconds(service);
    const startedAt = performance.now();
    let scrapes = 0;
    await Promise.all(
      Array.from({ length: 50 }, async () => {
        while (performance.now() - startedAt < 1500) {
          const { body } = await request(new URL('/metrics', service.url), { dispatcher: agent });
          await body.dump();
          scrapes++;
        }
      }),
    );
    expect(scrapes).toBeGreaterThan(100);
    expect((await cpuSeconds(service)) - before).toBeLessThan(0.5);
  });

  it('are collected after the request for them arrives', async () => {
    const service = shared();
    const count = async (): Promise<number> =>
      valueOf(await scrape(service), 'onenet_ota_request_duration_seconds_count', { outcome: 'ok' }) ?? NaN;
    const before = await count();
    for (let i = 1; i <= 10; i++) {
      const others = [count(), count()];
      await askEntities(service, FIELD, devices('d1'));
      expect(await count()).toBe(before + i);
      await Promise.all(others);
    }
  });

  it('include the duration of requests', async () => {
    const service = await start({ latencyMs: 200 });
    await askEntities(service, FIELD, devices('d1'));
    const sum = valueOf(await scrape(service), 'onenet_ota_request_duration_seconds_sum', { outcome: 'ok' });
    expect(sum).toBeGreaterThan(0.19);
    expect(sum).toBeLessThan(5);
  });
});
