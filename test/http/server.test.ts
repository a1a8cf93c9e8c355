import { once } from 'node:events';
import { connect } from 'node:net';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';

import { Agent, request } from 'undici';
import { describe, expect, it, onTestFinished } from 'vitest';

import {
  type Answer,
  askEntities,
  devices,
  type Environment,
  post,
  type Service,
  startBoth,
  startService,
} from '../service.ts';

// Nothing listens there, because these tests never reach OneNET unless they start one.
const NO_ONENET = 'http://127.0.0.1:9';
const SECRET = 'r0uter-secret-0123456789';
const JSON_TYPE = { 'content-type': 'application/json' };
const OPERATION = JSON.stringify({ query: '{ __typename }' });
const BIG_OPERATION = JSON.stringify({ query: '{ __typename }', padding: 'p'.repeat(3_000_000) });

type Headers = Readonly<Record<string, string>>;

interface Exchange extends Pick<Answer, 'status' | 'text'> {
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

function start(environment: Environment = {}): Promise<Service> {
  return startService(NO_ONENET, environment);
}

async function send(
  url: string | URL,
  method: string,
  headers: Headers = {},
  body?: string | Buffer | Readable,
): Promise<Exchange> {
  // Closed before the service stops, which would wait for a connection whose request was refused before its end.
  const dispatcher = new Agent();
  onTestFinished(() => dispatcher.destroy());
  const answer = await request(url, { method: method as 'GET', headers, body: body ?? null, dispatcher });
  return { status: answer.statusCode, headers: answer.headers, text: await answer.body.text() };
}

/** Sends these bytes and resolves to everything received until the server closes the connection. */
async function sendRaw(url: string, bytes: string): Promise<string> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  onTestFinished(() => void socket.destroy());
  socket.write(bytes);
  return text(socket);
}

function pathOf({ url }: Service, path: string): URL {
  return new URL(path, url);
}

/** A refusal has its status, its code, the shape that GraphQL clients expect, and reveals nothing else. */
function expectRefusal(answer: Exchange, status: number, code: string): void {
  expect(answer.status).toBe(status);
  expect(answer.headers['content-type']).toMatch(/^application\/json\b/);
  expectErrorBody(answer.text, code);
}

function expectErrorBody(body: string, code: string): void {
  expect(JSON.parse(body)).toEqual({
    errors: [
      expect.objectContaining({
        message: expect.stringMatching(/\S/),
        extensions: expect.objectContaining({ code }),
      }),
    ],
  });
  expect(body).not.toMatch(/https?:|file:|node_modules|\bat .+:\d+:\d+|stack/i);
}

describe('paths and methods', () => {
  it.each([
    '/',
    '/graphql/',
    '/graphqlx',
    '/graphql/graphql',
    '/GRAPHQL',
    '/graphiql',
    '/livez/x',
    '/favicon.ico',
    '/.env',
  ])('has nothing at %s', async (path) => {
    const service = await start();
    expectRefusal(await send(pathOf(service, path), 'GET'), 404, 'NOT_FOUND');
    expectRefusal(await send(pathOf(service, path), 'POST', JSON_TYPE, OPERATION), 404, 'NOT_FOUND');
  });

  it.each(['/%zz', '/graphql%', '/%ff'])('refuses the malformed path %s without quoting it', async (path) => {
    const { url } = await start();
    const answer = await send(url.replace('/graphql', path), 'GET');
    expectErrorBody(answer.text, answer.status === 404 ? 'NOT_FOUND' : 'BAD_REQUEST');
    expect(answer.text).not.toContain(path);
  });

  it.each(['PUT', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE', 'PROPFIND'])(
    'does not allow %s on /graphql',
    async (method) => {
      const { url } = await start();
      expectRefusal(await send(url, method), 405, 'METHOD_NOT_ALLOWED');
    },
  );

  it('does not allow HEAD on /graphql', async () => {
    const { url } = await start();
    expect(await send(url, 'HEAD')).toMatchObject({ status: 405, text: '' });
  });

  it.each(
    ['/livez', '/readyz'].flatMap((path) =>
      ['POST', 'PUT', 'DELETE', 'OPTIONS'].map((method) => [method, path]),
    ),
  )('does not allow %s on %s', async (method, path) => {
    const service = await start();
    expectRefusal(await send(pathOf(service, path), method), 405, 'METHOD_NOT_ALLOWED');
  });

  it.each([
    ['GET', '/graphql', 'POST'],
    ['PUT', '/graphql', 'POST'],
    ['OPTIONS', '/graphql', 'POST'],
    ['POST', '/livez', 'GET'],
    ['POST', '/readyz', 'GET'],
  ])('refuses %s %s with an Allow header of %s', async (method, path, allowed) => {
    const answer = await send(pathOf(await start(), path), method);
    expect(answer.status).toBe(405);
    expect(String(answer.headers['allow']).split(/,\s*/)).toContain(allowed);
  });

  it.each(['/livez', '/readyz'])('answers the probe %s', async (path) => {
    expect(await send(pathOf(await start(), path), 'GET')).toMatchObject({ status: 200 });
  });
});

describe('GET /graphql', () => {
  const QUERY = '?query=%7Bcanary%3A__typename%7D';
  // A request with this header cannot be a form or an image of a browser.
  const PREFLIGHT = { 'apollo-require-preflight': 'true' };

  it.each<[string, string, Headers]>([
    ['nothing', '', {}],
    ['a query', QUERY, {}],
    ['a query and the preflight header', QUERY, PREFLIGHT],
    ['a query, for JSON,', QUERY, { ...PREFLIGHT, accept: 'application/json' }],
  ])('is not allowed with %s', async (_, search, headers) => {
    for (const sandbox of ['false', 'true']) {
      const { url } = await start({ SANDBOX: sandbox });
      expectRefusal(await send(url + search, 'GET', headers), 405, 'METHOD_NOT_ALLOWED');
    }
  });

  it.each(['text/html', 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8'])(
    'shows a page to a client that accepts %s only if the sandbox is enabled',
    async (accept) => {
      const off = await start();
      expectRefusal(await send(off.url, 'GET', { accept }), 404, 'NOT_FOUND');
      const on = await start({ SANDBOX: 'true' });
      const page = await send(on.url, 'GET', { accept });
      expect(page.status).toBe(200);
      expect(page.headers['content-type']).toMatch(/^text\/html\b/);
      expect(page.text).toMatch(/<!doctype html>/i);
    },
  );

  it.each([
    'text/html',
    'application/json, text/html',
    'text/html;q=0, application/json',
    '*/*, text/html;q=0.1',
  ])('executes no operation for a client that accepts %s', async (accept) => {
    for (const sandbox of ['false', 'true']) {
      const { url } = await start({ SANDBOX: sandbox });
      const answer = await send(url + QUERY, 'GET', { ...PREFLIGHT, accept });
      expect(answer.text).not.toContain('canary');
    }
  });
});

describe('bodies', () => {
  it.each([
    'application/json',
    'application/json; charset=utf-8',
    'application/json;charset=UTF-8',
    'application/json; charset="utf-8"',
    'Application/JSON',
  ])('are read as %s', async (type) => {
    const { url } = await start();
    const answer = await send(url, 'POST', { 'content-type': type }, OPERATION);
    expect(answer.status).toBe(200);
    expect(answer.headers['content-type']).toMatch(/^application\/json\b/);
    expect(JSON.parse(answer.text)).toEqual({ data: { __typename: 'Query' } });
  });

  it.each<[string, (operation: string) => Buffer]>([
    ['gzip', gzipSync],
    ['GZIP', gzipSync],
    ['x-gzip', gzipSync],
    ['deflate', deflateSync],
    ['br', brotliCompressSync],
    ['identity', (operation) => Buffer.from(operation)],
  ])('are accepted in the encoding %s', async (encoding, compress) => {
    const { url } = await start();
    const headers = { ...JSON_TYPE, 'content-encoding': encoding };
    const answer = await send(url, 'POST', headers, compress(OPERATION));
    expect(answer.status).toBe(200);
    expect(JSON.parse(answer.text)).toEqual({ data: { __typename: 'Query' } });
  });

  it.each<[string, Headers, string | Buffer, number, string]>([
    ['a batch', JSON_TYPE, `[${OPERATION},${OPERATION}]`, 400, 'BAD_REQUEST'],
    ['an empty batch', JSON_TYPE, '[]', 400, 'BAD_REQUEST'],
    ['null', JSON_TYPE, 'null', 400, 'BAD_REQUEST'],
    ['a string', JSON_TYPE, '"{ __typename }"', 400, 'BAD_REQUEST'],
    ['an object without a query', JSON_TYPE, '{}', 400, 'BAD_REQUEST'],
    ['a query that is a number', JSON_TYPE, '{"query":1}', 400, 'BAD_REQUEST'],
    [
      'variables that are a list',
      JSON_TYPE,
      '{"query":"{ __typename }","variables":[1]}',
      400,
      'BAD_REQUEST',
    ],
    ['malformed JSON', JSON_TYPE, '{"query":', 400, 'BAD_REQUEST'],
    ['an empty body', JSON_TYPE, '', 400, 'BAD_REQUEST'],
    ['no media type', {}, OPERATION, 415, 'UNSUPPORTED_MEDIA_TYPE'],
    ['text/plain', { 'content-type': 'text/plain' }, OPERATION, 415, 'UNSUPPORTED_MEDIA_TYPE'],
    [
      'application/graphql',
      { 'content-type': 'application/graphql' },
      '{ __typename }',
      415,
      'UNSUPPORTED_MEDIA_TYPE',
    ],
    [
      'a form',
      { 'content-type': 'application/x-www-form-urlencoded' },
      'query=%7B__typename%7D',
      415,
      'UNSUPPORTED_MEDIA_TYPE',
    ],
    [
      'a multipart form',
      { 'content-type': 'multipart/form-data; boundary=b' },
      `--b\r\nContent-Disposition: form-data; name="operations"\r\n\r\n${OPERATION}\r\n--b--\r\n`,
      415,
      'UNSUPPORTED_MEDIA_TYPE',
    ],
    [
      'the charset latin1',
      { 'content-type': 'application/json; charset=latin1' },
      OPERATION,
      415,
      'UNSUPPORTED_MEDIA_TYPE',
    ],
    [
      'the charset utf-16',
      { 'content-type': 'application/json; charset=utf-16' },
      Buffer.from(OPERATION, 'utf16le'),
      415,
      'UNSUPPORTED_MEDIA_TYPE',
    ],
    ['3 MB', JSON_TYPE, BIG_OPERATION, 413, 'PAYLOAD_TOO_LARGE'],
    [
      '3 MB behind gzip',
      { ...JSON_TYPE, 'content-encoding': 'gzip' },
      gzipSync(BIG_OPERATION),
      413,
      'PAYLOAD_TOO_LARGE',
    ],
    [
      '3 MB behind br',
      { ...JSON_TYPE, 'content-encoding': 'br' },
      brotliCompressSync(BIG_OPERATION),
      413,
      'PAYLOAD_TOO_LARGE',
    ],
    ['bytes that are no gzip', { ...JSON_TYPE, 'content-encoding': 'gzip' }, OPERATION, 400, 'BAD_REQUEST'],
    [
      'gzip that is cut off',
      { ...JSON_TYPE, 'content-encoding': 'gzip' },
      gzipSync(OPERATION).subarray(0, 20),
      400,
      'BAD_REQUEST',
    ],
    [
      'an unknown encoding',
      { ...JSON_TYPE, 'content-encoding': 'rot13' },
      OPERATION,
      415,
      'UNSUPPORTED_MEDIA_TYPE',
    ],
    [
      "the name of an object's own property as encoding",
      { ...JSON_TYPE, 'content-encoding': 'constructor' },
      OPERATION,
      415,
      'UNSUPPORTED_MEDIA_TYPE',
    ],
  ])('are refused: %s', async (_, headers, body, status, code) => {
    const { url } = await start();
    expectRefusal(await send(url, 'POST', headers, body), status, code);
  });

  it('are refused beyond 2 MiB even if their length was not announced', async () => {
    const { url } = await start();
    const chunks = Readable.from([OPERATION.slice(0, -1), ' '.repeat(2_200_000), OPERATION.slice(-1)]);
    expectRefusal(await send(url, 'POST', JSON_TYPE, chunks), 413, 'PAYLOAD_TOO_LARGE');
  });

  it('are accepted up to 2 MiB, and not a byte more', async () => {
    const { url } = await start();
    const full = OPERATION.padEnd(2 * 1024 * 1024);
    expect(await send(url, 'POST', JSON_TYPE, full)).toMatchObject({ status: 200 });
    expect(await send(url, 'POST', JSON_TYPE, `${full} `)).toMatchObject({ status: 413 });
  });

  it.each<[string, Headers, string, number]>([
    ['is too large', JSON_TYPE, BIG_OPERATION.replace('ppp', 'canary'), 413],
    ['is malformed', JSON_TYPE, '{"canary":', 400],
    ['is empty', JSON_TYPE, '', 400],
    ['has a foreign charset', { 'content-type': 'application/json; charset=canary' }, OPERATION, 415],
    ['has a foreign encoding', { ...JSON_TYPE, 'content-encoding': 'canary' }, OPERATION, 415],
  ])(
    'are logged in one line when one %s, without a stack or any of the body',
    async (_, headers, body, status) => {
      const { url, log } = await start();
      const answer = await send(url, 'POST', headers, body);
      expect(answer.status).toBe(status);
      expect(log).toEqual([expect.objectContaining({ level: 40, status })]);
      expect(JSON.stringify(log)).not.toMatch(/stack|canary/);
      expect(answer.text).not.toContain('canary');
    },
  );
});

describe('malformed HTTP', () => {
  it.each([
    ['no HTTP at all', 'GARBAGE\r\n\r\n', 400],
    ['an unknown method', 'BREW /graphql HTTP/1.1\r\nHost: h\r\n\r\n', 400],
    [
      'two lengths',
      'POST /graphql HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n',
      400,
    ],
    [
      'a chunk without a length',
      'POST /graphql HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n',
      400,
    ],
    ['headers of 20 kB', `GET /livez HTTP/1.1\r\nHost: h\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`, 431],
    ['no Host', 'GET /livez HTTP/1.1\r\nConnection: close\r\n\r\n', 400],
  ])('is refused as JSON: %s', async (_, bytes, status) => {
    const { url } = await start();
    const answer = await sendRaw(url, bytes);
    expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    expect(answer).toMatch(/^content-type: application\/json\b/im);
    expectErrorBody(answer.slice(answer.indexOf('\r\n\r\n')), 'BAD_REQUEST');
  });
});

describe('the router secret', () => {
  const SDL = JSON.stringify({ query: '{ _service { sdl } }' });

  it.each<[string, Headers]>([
    ['nothing', {}],
    ['an empty value', { 'router-authorization': '' }],
    ['another value', { 'router-authorization': 'r0uter-secret-012345678X' }],
    ['the beginning of it', { 'router-authorization': SECRET.slice(0, -1) }],
    ['more than it', { 'router-authorization': `${SECRET}${SECRET}` }],
    ['it in other letters', { 'router-authorization': SECRET.toUpperCase() }],
    ['it as a bearer token', { 'router-authorization': `Bearer ${SECRET}` }],
    ['it in another header', { authorization: SECRET }],
  ])('denies access to a request with %s', async (_, headers) => {
    const { url } = await start({ ROUTER_SECRET: SECRET, SANDBOX: 'true' });
    for (const body of [OPERATION, SDL]) {
      expectRefusal(await send(url, 'POST', { ...JSON_TYPE, ...headers }, body), 401, 'UNAUTHENTICATED');
    }
    expectRefusal(await send(url, 'GET', headers), 401, 'UNAUTHENTICATED');
  });

  it.each([OPERATION, SDL])('gives access to a request that carries it: %s', async (body) => {
    const { url } = await start({ ROUTER_SECRET: SECRET });
    const answer = await send(url, 'POST', { ...JSON_TYPE, 'router-authorization': SECRET }, body);
    expect(answer.status).toBe(200);
    expect(JSON.parse(answer.text)).toHaveProperty('data');
  });

  it.each<[string, Headers, string]>([
    ['malformed JSON', JSON_TYPE, '{'],
    ['an empty body', JSON_TYPE, ''],
    ['another media type', { 'content-type': 'text/plain' }, 'x'],
    ['bytes that are no gzip', { ...JSON_TYPE, 'content-encoding': 'gzip' }, 'x'],
  ])('is required before %s is examined', async (_, headers, body) => {
    const { url } = await start({ ROUTER_SECRET: SECRET });
    expectRefusal(await send(url, 'POST', headers, body), 401, 'UNAUTHENTICATED');
  });

  it('is required before the body has arrived', async () => {
    const { url } = await start({ ROUTER_SECRET: SECRET });
    const socket = connect(Number(new URL(url).port), '127.0.0.1');
    onTestFinished(() => void socket.destroy());
    socket.write(
      'POST /graphql HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n',
    );
    const [first] = (await once(socket, 'data')) as [Buffer];
    expect(first.toString()).toMatch(/^HTTP\/1\.1 401 /);
  });

  it.each(['/livez', '/readyz'])('is not required at %s', async (path) => {
    const service = await start({ ROUTER_SECRET: SECRET });
    expect(await send(pathOf(service, path), 'GET')).toMatchObject({ status: 200 });
  });

  it('appears in no answer and no log line', async () => {
    const { url, log } = await start({ ROUTER_SECRET: SECRET, LOG_LEVEL: 'trace' });
    const headers = { ...JSON_TYPE, 'router-authorization': SECRET };
    const answers = [
      await send(url, 'POST', headers, OPERATION),
      await send(url, 'POST', headers, SDL),
      await send(url, 'POST', headers, '{'),
      await send(url, 'PUT', headers, OPERATION),
      await send(`${url}?${SECRET}`, 'GET', headers),
    ];
    expect(log.length).toBeGreaterThan(0);
    expect(JSON.stringify({ answers, log })).not.toContain(SECRET);
  });
});

describe('the schema', () => {
  const REFERENCE = '_entities(representations: [])';

  it.each(['{ __schema { types { name } } }', '{ __type(name: "Device") { name } }'])(
    'can be introspected only if the sandbox is enabled: %s',
    async (query) => {
      const off = await start();
      const body = JSON.stringify({ query });
      const refused = await send(off.url, 'POST', JSON_TYPE, body);
      expectRefusal(refused, 400, 'GRAPHQL_VALIDATION_FAILED');
      const on = await start({ SANDBOX: 'true' });
      const answer = await post(on.url, query);
      expect(answer.status).toBe(200);
      expect(JSON.stringify(answer.body.data)).toContain('Device');
    },
  );

  it('is always available to a router', async () => {
    const { url } = await start();
    const answer = await post(url, '{ _service { sdl } }');
    expect(answer.status).toBe(200);
    expect(answer.body.data._service.sdl).toContain('type Device');
  });

  it.each<[string, string, Readonly<Record<string, unknown>>]>([
    ['field', '{ _servic { sdl } }', {}],
    ['type', `{ ${REFERENCE} { ... on Devic { id } } }`, {}],
    ['argument', `{ ${REFERENCE} { ... on Device { otaTask(typ: FOTA) { target } } } }`, {}],
    ['enum value', `{ ${REFERENCE} { ... on Device { otaTask(type: FOTAX) { target } } } }`, {}],
    [
      'enum value in a variable',
      `query ($type: OtaTaskType!) { ${REFERENCE} { ... on Device { otaTask(type: $type) { target } } } }`,
      { type: 'FOTAX' },
    ],
  ])('is not suggested for a misspelt %s, unless the sandbox is enabled', async (_, query, variables) => {
    const off = await start();
    const answer = await post(off.url, query, variables);
    expect(answer.status).toBe(400);
    expect(answer.text).not.toMatch(/did you mean/i);
    const on = await start({ SANDBOX: 'true' });
    expect((await post(on.url, query, variables)).text).toMatch(/did you mean/i);
  });
});

describe('operations', () => {
  it.each([
    ['a syntax error', '{', 'GRAPHQL_PARSE_FAILED'],
    ['a document of blanks', ' ', 'GRAPHQL_PARSE_FAILED'],
    ['a field that does not exist', '{ nothing }', 'GRAPHQL_VALIDATION_FAILED'],
    ['an unused fragment', '{ __typename } fragment f on Query { __typename }', 'GRAPHQL_VALIDATION_FAILED'],
    ['a fragment that spreads itself', '{ ...f } fragment f on Query { ...f }', 'GRAPHQL_VALIDATION_FAILED'],
    ['one field 10 000 times', `{ ${'__typename '.repeat(10_000)}}`, 'GRAPHQL_PARSE_FAILED'],
  ])('are refused with %s', async (_, query, code) => {
    const { url } = await start();
    expectRefusal(await send(url, 'POST', JSON_TYPE, JSON.stringify({ query })), 400, code);
  });

  it('may have at most 2000 tokens', async () => {
    const { url } = await start();
    // One token per element, and twelve for the rest.
    const operation = (elements: number): string =>
      `{ _entities(representations: [${'1 '.repeat(elements)}]) { __typename } }`;
    expect((await post(url, operation(1988))).status).toBe(200);
    const body = JSON.stringify({ query: operation(1989) });
    expectRefusal(await send(url, 'POST', JSON_TYPE, body), 400, 'GRAPHQL_PARSE_FAILED');
  });

  it('that are too large are refused and read to their end, not cut off while they are sent', async () => {
    const { hostname, port } = new URL((await start()).url);
    const socket = connect(Number(port), hostname);
    onTestFinished(() => void socket.destroy());
    let received = '';
    socket.on('data', (chunk: Buffer) => (received += chunk.toString()));
    socket.write(
      'POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 3000000\r\n\r\n',
    );
    await expect.poll(() => received).toMatch(/^HTTP\/1\.1 413 [^]*PAYLOAD_TOO_LARGE/);
    socket.write(' '.repeat(3_000_000));
    socket.write('GET /livez HTTP/1.1\r\nHost: x\r\n\r\n');
    await expect.poll(() => received).toMatch(/HTTP\/1\.1 200 OK/);
  });

  it('may arrive on a connection that has been idle for longer than routers keep one', async () => {
    const { url } = await start();
    const { headers } = await request(new URL('/livez', url));
    expect(headers['keep-alive']).toBe('timeout=95');
  });

  it('are refused with a message of bounded length', async () => {
    const { url } = await start();
    const answer = await post(url, `{ ${'x'.repeat(100_000)} }`);
    expect(answer.status).toBe(400);
    expect(answer.text.length).toBeLessThan(1000);
  });

  it.each<[string, object]>([
    ['a mutation', { query: 'mutation { anything }' }],
    ['a subscription', { query: 'subscription { anything }' }],
    ['an operation name that does not exist', { query: '{ __typename }', operationName: 'other' }],
  ])('are refused as a client error, not a server error: %s', async (_, body) => {
    const { url, log } = await start();
    const answer = await send(url, 'POST', JSON_TYPE, JSON.stringify(body));
    expect(answer.text).not.toContain('INTERNAL_SERVER_ERROR');
    expect(answer.status).toBe(400);
    expect(log.filter(({ level }) => Number(level) >= 50)).toEqual([]);
  });

  it.each([1, 2])(
    'are not stored by hash (version %i), and clients are told so in their protocol',
    async (version) => {
      const { url, log } = await start();
      const extensions = { persistedQuery: { version, sha256Hash: '0'.repeat(64) } };
      const answer = await send(
        url,
        'POST',
        JSON_TYPE,
        JSON.stringify({ query: '{ __typename }', extensions }),
      );
      expect(answer.status).toBe(200);
      expect(JSON.parse(answer.text).errors[0].extensions.code).toBe('PERSISTED_QUERY_NOT_SUPPORTED');
      expect(log.filter(({ level }) => Number(level) >= 50)).toEqual([]);
    },
  );

  it.each([
    ['no URL', '['],
    ['not ASCII', 'ünï'],
    ['empty', ''],
    ['percent', '%'],
  ])('do not fail for a Host header that is %s: %j', async (_, host) => {
    const { url, log } = await start();
    const head = `Host: ${host}\r\nContent-Type: application/json\r\nContent-Length: ${OPERATION.length}`;
    const answer = await sendRaw(
      url,
      `POST /graphql HTTP/1.1\r\n${head}\r\nConnection: close\r\n\r\n${OPERATION}`,
    );
    expect(answer).toMatch(/^HTTP\/1\.1 (?:200|400) /);
    expect(log.filter(({ level }) => Number(level) >= 50)).toEqual([]);
  });
});

describe('answers', () => {
  it('are JSON, with data and with errors', async () => {
    const service = await startBoth({
      fault: ({ deviceId }) => (deviceId === '2' ? { kind: 'body', body: '{"errno":4}' } : undefined),
    });
    const query =
      'query ($r: [_Any!]!) { _entities(representations: $r) { ... on Device { otaTask(type: FOTA) { target } } } }';
    const body = JSON.stringify({ query, variables: { r: devices('1', '2') } });
    const answer = await send(service.url, 'POST', JSON_TYPE, body);
    expect(answer.status).toBe(200);
    expect(answer.headers['content-type']).toMatch(/^application\/json\b/);
    expect(JSON.parse(answer.text)).toMatchObject({
      data: { _entities: [{ otaTask: { target: expect.any(String) } }, { otaTask: null }] },
      errors: [{ extensions: { code: 'OTA_TASK_NOT_FOUND' } }],
    });
  });

  it('are not logged while nothing is wrong', async () => {
    const service = await startBoth();
    const answer = await askEntities(service, 'otaTask(type: FOTA) { target }', devices('1', '2'));
    expect(answer.body.errors).toBeUndefined();
    expect(service.log).toEqual([]);
  });
});

describe('the federated trace', () => {
  const ASKED = { 'apollo-federation-include-trace': 'ftv1' };
  const GIVEN = { 'router-authorization': SECRET };

  it.each<[string, Environment, Headers]>([
    ['who asks while there is no secret', {}, ASKED],
    ['who gives a secret while there is none', {}, { ...ASKED, ...GIVEN }],
    ['who gives the secret but does not ask', { ROUTER_SECRET: SECRET }, GIVEN],
  ])('is not given to %s', async (_, environment, headers) => {
    const { url } = await start(environment);
    const answer = await post(url, '{ __typename }', {}, headers);
    expect(answer.body).toEqual({ data: { __typename: 'Query' } });
  });

  it('is given to a request that has the secret and asks for it', async () => {
    const { url } = await start({ ROUTER_SECRET: SECRET });
    const answer = await post(url, '{ __typename }', {}, { ...ASKED, ...GIVEN });
    expect(answer.body).toEqual({
      data: { __typename: 'Query' },
      extensions: { ftv1: expect.stringMatching(/^[A-Za-z0-9+/]+=*$/) },
    });
  });
});
