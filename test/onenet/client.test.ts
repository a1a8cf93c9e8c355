import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { setImmediate as turnOfTheEventLoop } from 'node:timers/promises';
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';

import fc from 'fast-check';
import { describe, expect, it, onTestFinished } from 'vitest';

import { taskingPath } from '../../src/onenet/tasking.ts';
import type { OtaTaskOutcome, OtaTaskRequest } from '../../src/ota-task.ts';
import { createRetryBudget } from '../../src/onenet/retry-budget.ts';
import { createUniformFleet } from '../../src/simulator/fleet.ts';
import { createSimulator, type Simulator, type SimulatorOptions } from '../../src/simulator/simulator.ts';
import { byCause, type Failure, FAILURES, type WireFailure, WIRE_FAILURES } from '../failures.ts';
import { httpAnswer, type RawConnection, startRawUpstream, taskAnswer } from './raw-upstream.ts';
import { SELF_SIGNED } from './self-signed.ts';
import { type Ask, AUTHORIZATION, startClient } from './start-client.ts';

function fota(...deviceIds: readonly string[]): OtaTaskRequest[] {
  return deviceIds.map((deviceId) => ({ deviceId, type: 'FOTA', withAddress: false }));
}

const now = (): number => performance.now();

/** A signal that is never aborted. */
function never(): AbortSignal {
  return new AbortController().signal;
}

async function askOne(fetch: Ask, deviceId = '6523'): Promise<OtaTaskOutcome | Error | undefined> {
  const [outcome] = await fetch(fota(deviceId), never());
  return outcome;
}

async function startSimulator(options: SimulatorOptions = {}): Promise<Simulator> {
  const onenet = await createSimulator({ fleet: createUniformFleet({ seed: 'test' }), ...options });
  onTestFinished(() => onenet.close());
  return onenet;
}

/** An upstream that answers every request on every connection with these bytes. */
function answerAll(bytes: string | Buffer): (connection: RawConnection) => Promise<void> {
  return async (connection) => {
    for (;;) {
      await connection.request();
      connection.socket.write(bytes);
    }
  };
}

function deviceIdOf(requestHead: string): string {
  return /dev_id=([\w-]+)/.exec(requestHead)?.[1] ?? '';
}

function chunked(...chunks: readonly string[]): string {
  return chunks.map((chunk) => `${Buffer.byteLength(chunk).toString(16)}\r\n${chunk}\r\n`).join('');
}

const unauthorized = { name: 'OneNetError', reason: 'unauthorized' };
const rateLimited = { name: 'OneNetError', reason: 'rate-limited' };
const serverError = { name: 'OneNetError', reason: 'server-error' };
const connectionFailed = { name: 'OneNetError', reason: 'connection' };
const timedOut = { name: 'OneNetError', reason: 'timeout' };
const canceled = { name: 'OneNetError', reason: 'canceled' };
const queueFull = { name: 'OneNetError', reason: 'queue-full' };
const unreadable = { name: 'OneNetError', reason: 'bad-response' };

/** The error that the client makes of a failure. */
function outcomeOf({ result, errno, detail, retryable, absence }: Failure | WireFailure): object {
  if (result === 'absent') return { reason: absence, errno };
  return { name: 'OneNetError', reason: result, errno, detail, consequences: { retryable } };
}

describe('the path of a tasking call', () => {
  it.each([
    ['FOTA', false, '/ota/south/tasking?dev_id=6523&type=1'],
    ['SOTA', false, '/ota/south/tasking?dev_id=6523&type=2'],
    ['FOTA', true, '/ota/south/tasking?dev_id=6523&type=1&cdn=true'],
    ['SOTA', true, '/ota/south/tasking?dev_id=6523&type=2&cdn=true'],
  ] as const)('for %s, with the address: %j', (type, withAddress, path) => {
    expect(taskingPath({ deviceId: '6523', type, withAddress })).toBe(path);
  });

  it.each([
    '1&type=2',
    '1&cdn=true',
    '1#',
    '1?x=y',
    '../../x',
    '@evil/',
    '//evil.example/',
    'http://169.254.169.254',
    '1\r\nX-Evil: 1',
    '1 HTTP/1.1',
    '%26type=2',
    '+',
    '\\',
    '设备',
  ])('cannot be redirected by the device id %j', (deviceId) => {
    const url = new URL(
      taskingPath({ deviceId, type: 'FOTA', withAddress: false }),
      'https://onenet.example',
    );
    expect(url.origin + url.pathname).toBe('https://onenet.example/ota/south/tasking');
    expect([...url.searchParams]).toEqual([
      ['dev_id', deviceId],
      ['type', '1'],
    ]);
  });

  it('cannot be redirected by any device id', () => {
    const text = fc
      .oneof(fc.string(), fc.string({ unit: 'binary' }), fc.webUrl(), fc.string({ unit: 'grapheme' }))
      .map((deviceId) => deviceId.toWellFormed());
    fc.assert(
      fc.property(text, fc.constantFrom('FOTA', 'SOTA'), fc.boolean(), (deviceId, type, withAddress) => {
        const path = taskingPath({ deviceId, type, withAddress });
        expect(path).toMatch(/^[\x21-\x7e]+$/);
        const url = new URL(path, 'http://127.0.0.1:8080');
        expect([url.origin, url.pathname, url.hash]).toEqual([
          'http://127.0.0.1:8080',
          '/ota/south/tasking',
          '',
        ]);
        expect([...new URLSearchParams(path.slice(path.indexOf('?')))]).toEqual([
          ['dev_id', deviceId],
          ['type', type === 'FOTA' ? '1' : '2'],
          ...(withAddress ? [['cdn', 'true']] : []),
        ]);
      }),
    );
  });
});

describe('a call', () => {
  it('is one GET with two headers and no body', async () => {
    const upstream = await startRawUpstream(answerAll(httpAnswer(taskAnswer('1.2'))));
    await askOne(startClient(upstream.origin));
    expect(upstream.connections.map(({ received }) => received)).toEqual([
      [
        'GET /ota/south/tasking?dev_id=6523&type=1 HTTP/1.1',
        `host: ${new URL(upstream.origin).host}`,
        'connection: keep-alive',
        'content-type: application/json',
        `authorization: ${AUTHORIZATION}`,
        '',
        '',
      ].join('\r\n'),
    ]);
  });

  it('is answered with what OneNET says about that device and type', async () => {
    const onenet = await startSimulator();
    const fetch = startClient(onenet.url);
    const outcomes = await fetch(
      [
        { deviceId: '007', type: 'FOTA', withAddress: false },
        { deviceId: '007', type: 'SOTA', withAddress: true },
        { deviceId: '7', type: 'FOTA', withAddress: false },
      ],
      never(),
    );
    expect(outcomes).toMatchObject([
      { ipPort: null },
      { ipPort: onenet.url.slice('http://'.length) },
      { ipPort: null },
    ]);
    expect(new Set(outcomes.map((outcome) => 'token' in outcome && outcome.token)).size).toBe(3);
    const asked = onenet.calls.map(({ deviceId, type, cdn }) => [deviceId, type, cdn].join());
    expect(asked.sort()).toEqual(['007,1,', '007,2,true', '7,1,']);
  });

  it.each(byCause(FAILURES))(
    'that ends in %s says so after as many attempts as can help',
    async (_, failure) => {
      const onenet = await startSimulator({ fault: () => failure.fault });
      const fetch = startClient(onenet.url, { timeoutMs: 500, retryBudget: createRetryBudget(now) });
      const [outcome] = await fetch(fota('6523'), never(), now() + 10_000);
      expect(outcome).toMatchObject(outcomeOf(failure));
      expect(onenet.calls).toHaveLength(failure.attempts);
    },
  );

  it('returns the task that OneNET has', async () => {
    const upstream = await startRawUpstream(answerAll(httpAnswer(taskAnswer('1.2'))));
    expect(await askOne(startClient(upstream.origin))).toMatchObject({ target: '1.2' });
  });

  it.each([
    [
      'in chunks',
      `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunked(taskAnswer('1.2'))}0\r\n\r\n`,
    ],
    [
      'byte by byte in chunks',
      `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunked(...Array.from(taskAnswer('1.2')))}0\r\n\r\n`,
    ],
    ['with its length', httpAnswer(taskAnswer('1.2'))],
    ['as HTML by its header', httpAnswer(taskAnswer('1.2'), '200 OK', 'Content-Type: text/html')],
    ['with another reason phrase', httpAnswer(taskAnswer('1.2'), '200 Nope')],
    ['encoded as `identity`', httpAnswer(taskAnswer('1.2'), '200 OK', 'Content-Encoding: identity')],
  ])('accepts an answer that arrives %s', async (_, bytes) => {
    const upstream = await startRawUpstream(answerAll(bytes));
    expect(await askOne(startClient(upstream.origin))).toHaveProperty('target', '1.2');
  });

  it('accepts an answer that ends with its connection', async () => {
    const upstream = await startRawUpstream(async (connection) => {
      await connection.request();
      connection.socket.end(`HTTP/1.1 200 OK\r\n\r\n${taskAnswer('1.2')}`);
    });
    expect(await askOne(startClient(upstream.origin))).toHaveProperty('target', '1.2');
  });

  it('reuses the connection of the previous call', async () => {
    const onenet = await startSimulator();
    const fetch = startClient(onenet.url, { connections: 1 });
    for (const id of ['1', '2', '3']) await askOne(fetch, id);
    expect(onenet.calls.map(({ connection }) => connection)).toEqual([1, 1, 1]);
  });

  it('uses a new connection after OneNET has closed the old one', async () => {
    const onenet = await startSimulator({ requestsPerConnection: 2 });
    const fetch = startClient(onenet.url, { connections: 1 });
    const outcomes = await fetch(fota('1', '2', '3', '4', '5'), never());
    expect(outcomes.map((outcome) => 'token' in outcome)).toEqual([true, true, true, true, true]);
    expect(onenet.calls.map(({ connection }) => connection)).toEqual([1, 1, 2, 2, 3]);
  });

  it('uses a new connection if the old one was closed silently', async () => {
    const upstream = await startRawUpstream(async (connection) => {
      await connection.request();
      connection.socket.end(httpAnswer(taskAnswer(`${connection.ordinal}`)));
    });
    const fetch = startClient(upstream.origin);
    for (const target of ['1', '2', '3']) {
      expect(await askOne(fetch)).toHaveProperty('target', target);
      await upstream.connections.at(-1)?.closed;
    }
  });

  it('requests the authorization anew each time', async () => {
    const onenet = await startSimulator();
    let asked = 0;
    const fetch = startClient(onenet.url, { authorize: () => `token-${++asked}` });
    await askOne(fetch);
    await askOne(fetch);
    expect(onenet.calls.map(({ headers }) => headers.authorization)).toEqual(['token-1', 'token-2']);
  });

  it('without an authorization is an error, and its place is freed', async () => {
    const onenet = await startSimulator();
    let asked = 0;
    const fetch = startClient(onenet.url, {
      connections: 1,
      authorize: () => {
        if (++asked === 1) throw new RangeError('no authorization');
        return AUTHORIZATION;
      },
    });
    expect(await askOne(fetch)).toBeInstanceOf(RangeError);
    expect(await askOne(fetch)).toHaveProperty('token');
    expect(onenet.calls).toHaveLength(1);
  });

  it('is not made with an authorization that contains a line break', async () => {
    const upstream = await startRawUpstream(answerAll(httpAnswer(taskAnswer('1.2'))));
    const fetch = startClient(upstream.origin, { authorize: () => 'token\r\nX-Evil: 1' });
    expect(await askOne(fetch)).toBeInstanceOf(Error);
    expect(upstream.connections.map(({ received }) => received).join()).not.toContain('Evil');
  });
});

describe('several calls', () => {
  it('are answered in the order of the requests, whatever the order of the answers', async () => {
    const ids = ['a', 'b', 'c', 'd'];
    const answers: (() => void)[] = [];
    const upstream = await startRawUpstream(async (connection) => {
      const id = deviceIdOf(await connection.request());
      answers.push(() => connection.socket.write(httpAnswer(taskAnswer(id))));
      if (answers.length === ids.length) for (const answer of answers.reverse()) answer();
    });
    const outcomes = await startClient(upstream.origin)(fota(...ids), never());
    expect(outcomes).toMatchObject(ids.map((target) => ({ target })));
  });

  it('fail independently', async () => {
    const onenet = await startSimulator({
      fault: ({ deviceId }) => {
        if (deviceId === 'reset') return { kind: 'reset' };
        if (deviceId === 'cut') return { kind: 'cut' };
        if (deviceId === 'html') return { kind: 'body', body: '<html>' };
        if (deviceId === 'down') return { kind: 'status', status: 503 };
        return undefined;
      },
    });
    const outcomes = await startClient(onenet.url, { connections: 2 })(
      fota('1', 'reset', '2', 'cut', '3', 'html', '4', 'down', '5'),
      never(),
    );
    const task = { token: expect.any(String) };
    expect(outcomes).toMatchObject([
      task,
      connectionFailed,
      task,
      connectionFailed,
      task,
      unreadable,
      task,
      serverError,
      task,
    ]);
  });

  it('are not made if there is no request', async () => {
    const upstream = await startRawUpstream();
    expect(await startClient(upstream.origin)([], never())).toEqual([]);
    expect(upstream.connections).toHaveLength(0);
  });
});

describe('the status of an answer', () => {
  const statuses: readonly (readonly [readonly number[], object])[] = [
    [[401, 403], unauthorized],
    [[429], rateLimited],
    [[408], { ...serverError, reason: 'request-timeout' }],
    [[500, 501, 502, 503, 504, 520, 599], serverError],
    [[201, 202, 203, 206, 207, 226], unreadable],
    [[300, 301, 302, 303, 305, 307, 308], unreadable],
    [[400, 402, 404, 405, 406, 407, 409, 410, 415, 418, 422, 425, 431, 451], unreadable],
  ];
  it.each(statuses.flatMap(([numbers, expected]) => numbers.map((status) => [status, expected] as const)))(
    'decides before the body is read: %i',
    async (status, expected) => {
      const upstream = await startRawUpstream(answerAll(httpAnswer(taskAnswer('1.2'), `${status} Whatever`)));
      expect(await askOne(startClient(upstream.origin))).toMatchObject(expected);
    },
  );

  it.each([204, 205, 304])('decides if there is no body: %i', async (status) => {
    const upstream = await startRawUpstream(
      answerAll(`HTTP/1.1 ${status} Whatever\r\nContent-Length: 0\r\n\r\n`),
    );
    expect(await askOne(startClient(upstream.origin))).toMatchObject(unreadable);
  });

  it.each([
    ['never comes', 'HTTP/1.1 401 No\r\nContent-Length: 100\r\n\r\n', unauthorized],
    ['is too large', httpAnswer('x'.repeat(65_537), '429 Slow down'), rateLimited],
    ['is compressed', httpAnswer(gzipSync('no'), '503 Busy', 'Content-Encoding: gzip'), serverError],
    ['is garbage', 'HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\nno chunk\r\n', unauthorized],
  ])('decides even if the body %s', async (_, bytes, expected) => {
    const upstream = await startRawUpstream(answerAll(bytes));
    const outcome = await askOne(startClient(upstream.origin, { timeoutMs: 200 }));
    expect(outcome).toMatchObject(expected);
    expect(upstream.connections).toHaveLength(1);
  });

  it('decides even if the body is cut off', async () => {
    const upstream = await startRawUpstream(async (connection) => {
      await connection.request();
      connection.socket.end('HTTP/1.1 403 No\r\nContent-Length: 100\r\n\r\n{"errno":');
    });
    expect(await askOne(startClient(upstream.origin))).toMatchObject(unauthorized);
  });

  it.each([301, 302, 303, 307, 308])('is not followed if it is a redirect: %i', async (status) => {
    const elsewhere = await startRawUpstream(answerAll(httpAnswer(taskAnswer('elsewhere'))));
    const location = `Location: ${elsewhere.origin}/ota/south/tasking?dev_id=6523&type=1`;
    const upstream = await startRawUpstream(answerAll(httpAnswer('', `${status} Moved`, location)));
    expect(await askOne(startClient(upstream.origin))).toMatchObject(unreadable);
    expect(elsewhere.connections).toHaveLength(0);
    expect(upstream.connections.map(({ received }) => received.split('GET ').length - 1)).toEqual([1]);
  });
});

describe('an answer beyond the limits', () => {
  const padded = (length: number): string => taskAnswer('1.2').padEnd(length);

  it('is read up to 64 KiB', async () => {
    const upstream = await startRawUpstream(answerAll(httpAnswer(padded(65_536))));
    expect(await askOne(startClient(upstream.origin))).toHaveProperty('target', '1.2');
  });

  it.each([
    ['with its length', httpAnswer(padded(65_537))],
    [
      'in chunks',
      `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunked(padded(40_000), ' '.repeat(40_000))}0\r\n\r\n`,
    ],
  ])('is a bad response over 64 KiB %s, and its connection is dropped', async (_, bytes) => {
    const upstream = await startRawUpstream(answerAll(bytes));
    expect(await askOne(startClient(upstream.origin))).toMatchObject(unreadable);
    await upstream.connections[0]?.closed;
  });

  it('is a bad response if its chunks never end, and its connection is dropped', async () => {
    const upstream = await startRawUpstream(async (connection) => {
      await connection.request();
      connection.socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
      const pour = (): void => {
        while (!connection.socket.destroyed && connection.socket.write(chunked(' '.repeat(1000))));
      };
      connection.socket.on('drain', pour);
      pour();
    });
    expect(await askOne(startClient(upstream.origin))).toMatchObject(unreadable);
    await upstream.connections[0]?.closed;
  });

  it.each([
    ['gzip', gzipSync(taskAnswer('1.2'))],
    ['deflate', deflateSync(taskAnswer('1.2'))],
    ['br', brotliCompressSync(taskAnswer('1.2'))],
    ['gzip, gzip', gzipSync(gzipSync(taskAnswer('1.2')))],
    ['gzip', Buffer.from(taskAnswer('1.2'))],
    ['unheard-of', Buffer.from(taskAnswer('1.2'))],
  ])(
    'is a bad response if it is encoded as %s unasked, and its connection is dropped',
    async (encoding, body) => {
      const upstream = await startRawUpstream(
        answerAll(httpAnswer(body, '200 OK', `Content-Encoding: ${encoding}`)),
      );
      expect(await askOne(startClient(upstream.origin))).toMatchObject(unreadable);
      await upstream.connections[0]?.closed;
    },
  );

  it.each([
    ['one header too large', `HTTP/1.1 200 OK\r\nX-Large: ${'x'.repeat(100_000)}\r\n\r\n`],
    ['too many headers', `HTTP/1.1 200 OK\r\n${'X-Many: x\r\n'.repeat(10_000)}\r\n`],
  ])('is a bad response with %s, and its connection is dropped', async (_, bytes) => {
    const upstream = await startRawUpstream(answerAll(bytes));
    expect(await askOne(startClient(upstream.origin))).toMatchObject(unreadable);
    await upstream.connections[0]?.closed;
  });
});

describe('an upstream that does not speak HTTP', () => {
  it.each([
    ['another protocol', 'SSH-2.0-OpenSSH_9.6\r\n'],
    ['words', 'hello\r\n\r\n'],
    ['JSON without a head', taskAnswer('1.2')],
    ['a web page without a head', '<html></html>'],
    ['a TLS alert', Buffer.from('15030300020246', 'hex')],
    ['bytes', Buffer.from(Array.from({ length: 256 }, (_, byte) => 255 - byte))],
    ['a status that is no number', 'HTTP/1.1 abc OK\r\n\r\n'],
    ['a status of four digits', 'HTTP/1.1 2000 OK\r\n\r\n'],
    ['another version', 'HTTP/9.9 200 OK\r\n\r\n'],
    ['a request', 'GET / HTTP/1.1\r\n\r\n'],
    ['a header without a colon', 'HTTP/1.1 200 OK\r\nno colon\r\n\r\n'],
    ['a header with NUL', 'HTTP/1.1 200 OK\r\nX: a\u0000b\r\n\r\n'],
    ['a length that is no number', 'HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n'],
    ['a chunk without a length', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nmany\r\n'],
    [
      'a chunk longer than it says',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{}\r\n0\r\n\r\n',
    ],
  ])('is a bad response: %s', async (_, bytes) => {
    const upstream = await startRawUpstream(answerAll(bytes));
    expect(await askOne(startClient(upstream.origin))).toMatchObject(unreadable);
    await upstream.connections[0]?.closed;
  });

  it('fails only its own call', async () => {
    const upstream = await startRawUpstream(async (connection) => {
      await connection.request();
      connection.socket.write(connection.ordinal === 1 ? 'hello\r\n\r\n' : httpAnswer(taskAnswer('1.2')));
    });
    const fetch = startClient(upstream.origin, { connections: 1 });
    expect(await fetch(fota('1', '2'), never())).toMatchObject([unreadable, { target: '1.2' }]);
  });
});

describe('an upstream that is not there', () => {
  it('is unavailable if it refuses the connection', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    server.close();
    await once(server, 'close');
    const fetch = startClient(`http://127.0.0.1:${port}`);
    const outcomes = await fetch(fota('1', '2', '3', '4', '5', '6'), never());
    expect(outcomes).toMatchObject(Array.from({ length: 6 }, () => connectionFailed));
  });

  it.each([
    ['resets the connection', (connection: RawConnection) => connection.socket.resetAndDestroy()],
    ['closes the connection', (connection: RawConnection) => connection.socket.end()],
  ])('is unavailable if it %s before the request', async (_, behave) => {
    const upstream = await startRawUpstream((connection) => void behave(connection));
    expect(await askOne(startClient(upstream.origin))).toMatchObject(connectionFailed);
  });

  it.each([
    ['resets the connection', (connection: RawConnection) => connection.socket.resetAndDestroy()],
    ['closes the connection', (connection: RawConnection) => connection.socket.end()],
  ])('is unavailable if it %s after the request', async (_, behave) => {
    const upstream = await startRawUpstream(async (connection) => {
      await connection.request();
      behave(connection);
    });
    expect(await askOne(startClient(upstream.origin))).toMatchObject(connectionFailed);
  });

  const half = taskAnswer('1.2').slice(0, 60);
  const LENGTH = `Content-Length: ${taskAnswer('1.2').length}`;
  const CHUNKED = 'Transfer-Encoding: chunked';
  it.each([
    ['the status', 'HTTP/1.1 2'],
    ['the headers', 'HTTP/1.1 200 OK\r\nContent-Le'],
    ['a body with its length', `HTTP/1.1 200 OK\r\n${LENGTH}\r\n\r\n${half}`],
    ['a chunk', `HTTP/1.1 200 OK\r\n${CHUNKED}\r\n\r\nff\r\n${half}`],
    ['a body between chunks', `HTTP/1.1 200 OK\r\n${CHUNKED}\r\n\r\n${chunked(half)}`],
    ['the end of the chunks', `HTTP/1.1 200 OK\r\n${CHUNKED}\r\n\r\n${chunked(taskAnswer('1.2'))}`],
    [
      "a body with its length, the connection's last",
      `HTTP/1.1 200 OK\r\nConnection: close\r\n${LENGTH}\r\n\r\n${half}`,
    ],
    [
      "a chunk, the connection's last",
      `HTTP/1.1 200 OK\r\nConnection: close\r\n${CHUNKED}\r\n\r\nff\r\n${half}`,
    ],
    [
      "a body between chunks, the connection's last",
      `HTTP/1.1 200 OK\r\nConnection: close\r\n${CHUNKED}\r\n\r\n${chunked(half)}`,
    ],
  ])('is unavailable if it closes the connection in the middle of %s', async (_, bytes) => {
    const upstream = await startRawUpstream(async (connection) => {
      await connection.request();
      connection.socket.end(bytes);
    });
    expect(await askOne(startClient(upstream.origin))).toMatchObject(connectionFailed);
  });

  it('is a bad response if its answer ends too early, with the connection', async () => {
    const upstream = await startRawUpstream(async (connection) => {
      await connection.request();
      connection.socket.end(`HTTP/1.1 200 OK\r\n\r\n${half}`);
    });
    expect(await askOne(startClient(upstream.origin))).toMatchObject(unreadable);
  });

  it('is unavailable if its certificate is not trusted', async () => {
    const server = createTlsServer(SELF_SIGNED, (socket) => void socket.end(httpAnswer(taskAnswer('1.2'))));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    onTestFinished(() => void server.close());
    const { port } = server.address() as AddressInfo;
    expect(await askOne(startClient(`https://127.0.0.1:${port}`))).toMatchObject({
      name: 'OneNetError',
      reason: 'certificate',
    });
  });

  it('is unavailable if it answers TLS with plain HTTP', async () => {
    const upstream = await startRawUpstream((connection) => {
      connection.socket.end(httpAnswer(taskAnswer('1.2')));
    });
    const fetch = startClient(upstream.origin.replace('http:', 'https:'));
    expect(await askOne(fetch)).toMatchObject(connectionFailed);
  });
});

describe('an upstream that fails each time', () => {
  it.each(byCause(WIRE_FAILURES))(
    '%s: it is called as often as that can help, and its connections are dropped',
    async (_, failure) => {
      const upstream = await startRawUpstream(async (connection) => {
        await connection.request();
        await failure.behave(connection);
      });
      const fetch = startClient(upstream.origin, { timeoutMs: 500, retryBudget: createRetryBudget(now) });
      expect(await askOne(fetch)).toMatchObject(outcomeOf(failure));
      await Promise.all(upstream.connections.map(({ closed }) => closed));
      expect(upstream.connections).toHaveLength(failure.attempts);
    },
  );
});

describe('an upstream that takes too long', () => {
  const TIMEOUT_MS = 100;

  /** Writes the beginning, then this piece repeatedly until the connection is closed. */
  function drip(beginning: string, piece: string): (connection: RawConnection) => Promise<void> {
    return async (connection) => {
      await connection.request();
      connection.socket.write(beginning);
      const timer = setInterval(() => connection.socket.write(piece), 5);
      connection.socket.once('close', () => clearInterval(timer));
    };
  }

  it.each([
    ['says nothing', () => Promise.resolve()],
    ['drips its status', drip('HTTP/1.1 200 ', 'O')],
    ['drips its headers', drip('HTTP/1.1 200 OK\r\nX-Slow: ', 'x')],
    ['drips header after header', drip('HTTP/1.1 200 OK\r\n', 'X-Slow: x\r\n')],
    ['drips its body', drip('HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n', ' ')],
    ['drips chunks', drip('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', chunked(' '))],
    [
      'never ends its body',
      drip(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunked(taskAnswer('1.2'))}`, ''),
    ],
    ['sends its headers and no body', drip('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n', '')],
    ['sends interim answers without end', drip('', 'HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n')],
    ['says that it is at work without end', drip('', 'HTTP/1.1 102 Processing\r\n\r\n')],
  ])('times out if it %s, and its connection is dropped', async (_, behave) => {
    const upstream = await startRawUpstream(behave);
    const outcome = await askOne(startClient(upstream.origin, { timeoutMs: TIMEOUT_MS }));
    expect(outcome).toMatchObject(timedOut);
    await upstream.connections[0]?.closed;
  });

  it('times out if it does not answer the TLS handshake', async () => {
    const upstream = await startRawUpstream();
    const origin = upstream.origin.replace('http:', 'https:');
    expect(await askOne(startClient(origin, { timeoutMs: TIMEOUT_MS }))).toMatchObject(timedOut);
    await upstream.connections[0]?.closed;
  });

  it('frees its place', async () => {
    const onenet = await startSimulator({
      fault: ({ deviceId }) => (deviceId === 'slow' ? { kind: 'stall' } : undefined),
    });
    const fetch = startClient(onenet.url, { connections: 1, timeoutMs: 500 });
    const outcomes = await fetch(fota('slow', '1', '2'), never());
    expect(outcomes).toMatchObject([timedOut, { token: expect.any(String) }, { token: expect.any(String) }]);
  });
});

describe('an interim answer', () => {
  const answer = httpAnswer(taskAnswer('1.2')).toString();

  it.each([
    ['early hints', `HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n${answer}`],
    ['work in progress, thrice', `${'HTTP/1.1 102 Processing\r\n\r\n'.repeat(3)}${answer}`],
    [
      'early hints that speak of another body',
      `HTTP/1.1 103 Early Hints\r\nContent-Encoding: gzip\r\n\r\n${answer}`,
    ],
    ['an unknown status code', `HTTP/1.1 199 Whatever\r\n\r\n${answer}`],
  ])('is not mistaken for the answer: %s', async (_, bytes) => {
    const upstream = await startRawUpstream(answerAll(bytes));
    expect(await askOne(startClient(upstream.origin))).toHaveProperty('target', '1.2');
  });

  it('that switches protocols unasked is a bad response', async () => {
    const upstream = await startRawUpstream(
      answerAll('HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n'),
    );
    expect(await askOne(startClient(upstream.origin))).toMatchObject(unreadable);
  });
});

describe('unsolicited bytes', () => {
  const stolen = httpAnswer(taskAnswer('stolen'));
  const EXTRAS: readonly (readonly [string, string | Buffer])[] = [
    ['another answer', stolen],
    ['two more answers', Buffer.concat([stolen, stolen])],
    ['the beginning of another answer', stolen.subarray(0, 30)],
    ['all of another answer but its last byte', stolen.subarray(0, -1)],
    ['a body longer than it says', '}'],
    ['garbage', '\u0000\u0001\u0002'],
    ['an interim answer', 'HTTP/1.1 103 Early Hints\r\n\r\n'],
  ];

  it.each(EXTRAS)('after an answer do not answer the next call: %s', async (_, extra) => {
    const upstream = await startRawUpstream(async (connection) => {
      for (;;) {
        const id = deviceIdOf(await connection.request());
        connection.socket.write(Buffer.concat([httpAnswer(taskAnswer(id)), Buffer.from(extra)]));
      }
    });
    const fetch = startClient(upstream.origin, { connections: 1 });
    for (const target of ['1', '2', '3'])
      expect(await askOne(fetch, target)).toHaveProperty('target', target);
    expect(upstream.connections).toHaveLength(3);
  });

  it.each(EXTRAS)('after an answer do not answer a call that is already queued: %s', async (_, extra) => {
    const upstream = await startRawUpstream(async (connection) => {
      for (;;) {
        const id = deviceIdOf(await connection.request());
        connection.socket.write(Buffer.concat([httpAnswer(taskAnswer(id)), Buffer.from(extra)]));
      }
    });
    // Fifteen calls are queued while the first five are answered.
    const fetch = startClient(upstream.origin, { connections: 5 });
    const ids = Array.from({ length: 20 }, (_unused, index) => `${index}`);
    expect(await fetch(fota(...ids), never())).toMatchObject(ids.map((target) => ({ target })));
    expect(upstream.connections).toHaveLength(20);
  });

  it.each(EXTRAS)(
    'directly behind an answer do not answer a call that is already queued: %s',
    async (_, extra) => {
      const upstream = await startRawUpstream(async (connection) => {
        for (;;) {
          const id = deviceIdOf(await connection.request());
          connection.socket.write(httpAnswer(taskAnswer(id)));
          // By now the answer has been read, so the extra bytes arrive separately.
          await turnOfTheEventLoop();
          await turnOfTheEventLoop();
          connection.socket.write(extra);
        }
      });
      const fetch = startClient(upstream.origin, { connections: 5 });
      const ids = Array.from({ length: 20 }, (_unused, index) => `${index}`);
      expect(await fetch(fota(...ids), never())).toMatchObject(ids.map((target) => ({ target })));
    },
  );

  it.each(EXTRAS)('on an idle connection close it: %s', async (_, extra) => {
    const upstream = await startRawUpstream(async (connection) => {
      const id = deviceIdOf(await connection.request());
      connection.socket.write(httpAnswer(taskAnswer(id)));
    });
    const fetch = startClient(upstream.origin, { connections: 1 });
    expect(await askOne(fetch, '1')).toHaveProperty('target', '1');
    const first = upstream.connections[0] as RawConnection;
    first.socket.write(extra);
    await first.closed;
    expect(await askOne(fetch, '2')).toHaveProperty('target', '2');
    expect(upstream.connections).toHaveLength(2);
  });
});

describe('a caller that cancels', () => {
  /** Answers nothing on the first connection and everything on any other. */
  async function holdFirst(connection: RawConnection): Promise<void> {
    if (connection.ordinal > 1) return answerAll(httpAnswer(taskAnswer('1.2')))(connection);
  }

  it.each([
    ['left', undefined, canceled],
    ['gave a reason', new Error('disconnected'), canceled],
    ['ran out of time', new DOMException('deadline', 'TimeoutError'), timedOut],
  ])('cancels its calls, in flight and queued, when it %s', async (_, reason, expected) => {
    const upstream = await startRawUpstream(holdFirst);
    const fetch = startClient(upstream.origin, { connections: 1 });
    const leaving = new AbortController();
    const outcomes = fetch(fota('1', '2', '3'), leaving.signal);
    const first = await upstream.connection(1);
    await first.request();
    leaving.abort(reason);
    expect(await outcomes).toMatchObject([expected, expected, expected]);
    await first.closed;
    expect(first.received.split('GET ')).toHaveLength(2);
    // All places are free again.
    expect(await fetch(fota('4', '5'), never())).toMatchObject([{ target: '1.2' }, { target: '1.2' }]);
  });

  it('in the middle of an answer receives none of it', async () => {
    const upstream = await startRawUpstream(holdFirst);
    const fetch = startClient(upstream.origin, { connections: 1 });
    const leaving = new AbortController();
    const outcomes = fetch(fota('1'), leaving.signal);
    const first = await upstream.connection(1);
    await first.request();
    first.socket.write(httpAnswer(taskAnswer('1.2')).subarray(0, 80), () => leaving.abort());
    expect(await outcomes).toMatchObject([canceled]);
    await first.closed;
    expect(await askOne(fetch)).toHaveProperty('target', '1.2');
  });

  it('keeps the answers that it already has', async () => {
    const leaving = new AbortController();
    const upstream = await startRawUpstream(async (connection) => {
      for (;;) {
        const id = deviceIdOf(await connection.request());
        if (id === '1') connection.socket.write(httpAnswer(taskAnswer(id)));
        else leaving.abort();
      }
    });
    const fetch = startClient(upstream.origin, { connections: 1 });
    expect(await fetch(fota('1', '2', '3'), leaving.signal)).toMatchObject([
      { target: '1' },
      canceled,
      canceled,
    ]);
  });

  it('does not cancel the calls of others', async () => {
    const answers = new Map<string, () => void>();
    const upstream = await startRawUpstream(async (connection) => {
      const id = deviceIdOf(await connection.request());
      answers.set(id, () => connection.socket.write(httpAnswer(taskAnswer(id))));
      if (answers.size === 2) leaving.abort();
    });
    const leaving = new AbortController();
    const fetch = startClient(upstream.origin, { connections: 2 });
    const goes = fetch(fota('goes'), leaving.signal);
    const stays = fetch(fota('stays'), never());
    expect(await goes).toMatchObject([canceled]);
    answers.get('stays')?.();
    expect(await stays).toMatchObject([{ target: 'stays' }]);
  });

  it('while its connection is being established is answered at once and frees its place', async () => {
    const upstream = await startRawUpstream();
    // The handshake is never answered.
    const fetch = startClient(upstream.origin.replace('http:', 'https:'), { connections: 1, timeoutMs: 300 });
    const leaving = new AbortController();
    const outcomes = fetch(fota('1', '2'), leaving.signal);
    const first = await upstream.connection(1);
    leaving.abort();
    expect(await outcomes).toMatchObject([canceled, canceled]);
    const next = fetch(fota('3'), never());
    await first.closed;
    expect(await next).toMatchObject([timedOut]);
  });

  it('while its connection is being established does not make the next call wait for it', async () => {
    const upstream = await startRawUpstream((connection) => {
      if (connection.ordinal > 1) connection.socket.resetAndDestroy();
    });
    const fetch = startClient(upstream.origin.replace('http:', 'https:'), { connections: 1, timeoutMs: 300 });
    const leaving = new AbortController();
    const outcomes = fetch(fota('1'), leaving.signal);
    await upstream.connection(1);
    leaving.abort();
    expect(await outcomes).toMatchObject([canceled]);
    // A timeout would mean that the second connection was never tried.
    expect(await askOne(fetch)).toMatchObject(connectionFailed);
  });

  it('before the call makes no call', async () => {
    const upstream = await startRawUpstream();
    const outcomes = await startClient(upstream.origin)(fota('1', '2'), AbortSignal.abort());
    expect(outcomes).toMatchObject([canceled, canceled]);
    expect(upstream.connections).toHaveLength(0);
  });

  it('before the call does not queue for a place', async () => {
    const upstream = await startRawUpstream();
    const fetch = startClient(upstream.origin, { connections: 1, timeoutMs: 300 });
    const held = askOne(fetch, '1').then(() => 'a call that has the place');
    const waiting = askOne(fetch, '2');
    const left = fetch(fota('3'), AbortSignal.abort()).then(() => 'the call of the caller that left');
    expect(await Promise.race([held, left])).toBe('the call of the caller that left');
    await Promise.all([held, waiting, left]);
  });

  it.each([
    ['at once', false],
    ['once OneNET has the first call', true],
  ])('repeatedly leaves every place free: %s', async (_, whenCalled) => {
    let leaving = new AbortController();
    const onenet = await startSimulator({
      fault: ({ deviceId }) => {
        if (deviceId !== 'slow') return undefined;
        leaving.abort();
        return { kind: 'stall' };
      },
    });
    const fetch = startClient(onenet.url, { connections: 3, queueCapacity: 9 });
    for (let round = 0; round < 20; round++) {
      leaving = new AbortController();
      const outcomes = fetch(fota(...Array.from({ length: 12 }, () => 'slow')), leaving.signal);
      if (!whenCalled) leaving.abort();
      expect(await outcomes).toMatchObject(Array.from({ length: 12 }, () => canceled));
    }
    const ids = Array.from({ length: 12 }, (_unused, index) => `${index}`);
    const outcomes = await fetch(fota(...ids), never());
    expect(outcomes.map((outcome) => 'token' in outcome)).toEqual(ids.map(() => true));
  });
});

describe('the load on OneNET', () => {
  it('is never more calls in flight than there are places', async () => {
    const onenet = await startSimulator({ latencyMs: 10 });
    const fetch = startClient(onenet.url, { connections: 5 });
    const ids = Array.from({ length: 30 }, (_, index) => `${index}`);
    await Promise.all([
      fetch(fota(...ids), never()),
      fetch(fota(...ids.map((id) => `other-${id}`)), never()),
    ]);
    expect(onenet.calls).toHaveLength(60);
    expect(onenet.mostInFlight).toBe(5);
  });

  it('is never more calls in flight than there are places, even while calls fail', async () => {
    const onenet = await startSimulator({
      latencyMs: 5,
      fault: ({ deviceId }) => {
        if (deviceId?.endsWith('3')) return { kind: 'reset' };
        if (deviceId?.endsWith('7')) return { kind: 'status', status: 500 };
        return undefined;
      },
    });
    const fetch = startClient(onenet.url, { connections: 4 });
    const ids = Array.from({ length: 30 }, (_, index) => `${index}`);
    const outcomes = await fetch(fota(...ids), never());
    expect(onenet.mostInFlight).toBe(4);
    expect(outcomes.map((outcome) => 'token' in outcome)).toEqual(ids.map((id) => !/[37]$/.test(id)));
  });

  it('is shared by callers in turn', async () => {
    const onenet = await startSimulator();
    const fetch = startClient(onenet.url, { connections: 1 });
    await Promise.all([
      fetch(fota('a1', 'a2', 'a3', 'a4', 'a5'), never()),
      fetch(fota('b1', 'b2'), never()),
      fetch(fota('c1'), never()),
    ]);
    expect(onenet.calls.map(({ deviceId }) => deviceId)).toEqual([
      ...['a1', 'a2', 'b1', 'c1', 'a3', 'b2', 'a4', 'a5'],
    ]);
  });

  it('has a bounded queue, and evicted calls fail at once', async () => {
    const onenet = await startSimulator();
    const fetch = startClient(onenet.url, { connections: 2, queueCapacity: 3 });
    const outcomes = await fetch(fota('1', '2', '3', '4', '5', '6', '7'), never());
    const task = { token: expect.any(String) };
    expect(outcomes).toMatchObject([task, task, queueFull, queueFull, task, task, task]);
    expect(onenet.calls.map(({ deviceId }) => deviceId).sort()).toEqual(['1', '2', '5', '6', '7']);
    expect(await askOne(fetch)).toMatchObject(task);
  });
});

describe('no error', () => {
  const CANARY = 'ota_CanaryCanaryCanary42';

  it.each([
    ['garbage', `${CANARY}\r\n\r\n`],
    ['a refusal', httpAnswer(JSON.stringify({ errno: 2, error: CANARY }))],
    ['an unknown status', httpAnswer(CANARY, `404 ${CANARY}`, `X-Token: ${CANARY}`)],
    ['a redirect', httpAnswer('', '302 Found', `Location: http://${CANARY}/`)],
    ['a wrong header', `HTTP/1.1 200 OK\r\n${CANARY}\r\n\r\n`],
    ['an encoding', httpAnswer('{}', '200 OK', `Content-Encoding: ${CANARY}`)],
    ['text', httpAnswer(CANARY)],
    ['a cut answer', `HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 9999\r\n\r\n${CANARY}`],
  ])('reveals the response, the address or the authorization: %s', async (_, bytes) => {
    const upstream = await startRawUpstream(async (connection) => {
      await connection.request();
      connection.socket.end(bytes);
    });
    const fetch = startClient(upstream.origin, { authorize: () => `sign=${CANARY}` });
    const error = (await askOne(fetch)) as Error;
    expect(error).toBeInstanceOf(Error);
    const own = Object.getOwnPropertyNames(error).map((key) => error[key as keyof Error]);
    const all = [JSON.stringify(error), JSON.stringify(own), String(error), String(error.cause)].join('\n');
    expect(all).not.toContain('Canary');
    expect(all).not.toContain(new URL(upstream.origin).port);
    expect(all).not.toContain('dev_id');
  });
});
