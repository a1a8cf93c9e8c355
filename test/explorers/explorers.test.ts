import { request } from 'undici';
import { describe, expect, it } from 'vitest';

import { createDemoFleet } from '../../src/simulator/fleet.ts';
import { post, type Service, startBoth, startService } from '../service.ts';

const SECRET = 'r0uter-secret-0123456789';
const STUDIO = 'https://studio.apollographql.com';
const ON = { SANDBOX: 'true' };
const HTML = { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' };

type Headers = Readonly<Record<string, string>>;

// Nothing listens there, because the page of an explorer and its CORS headers need no OneNET.
const start = (environment: Headers): Promise<Service> => startService('http://127.0.0.1:9', environment);

async function send({ url }: Service, method: string, path: string, headers: Headers = {}, body?: string) {
  const options = { method: method as 'GET', headers, body: body ?? null };
  const answer = await request(new URL(path, url), options);
  return { status: answer.statusCode, headers: answer.headers, text: await answer.body.text() };
}

/** The operation with which a page is prefilled. */
type ReadOperation = (page: string) => {
  readonly document: string;
  readonly variables: Record<string, unknown>;
};

function readSandbox(page: string): ReturnType<ReadOperation> {
  return JSON.parse(/embeddedSandboxConfig = (.+);\n/.exec(page)?.[1] ?? '').initialState;
}

function readGraphiQL(page: string): ReturnType<ReadOperation> {
  const options = JSON.parse(/\{"title":.+?\}(?=,?\s*\);\s*<\/script>)/.exec(page)?.[0] ?? '');
  return { document: options.defaultQuery, variables: JSON.parse(options.variables) };
}

describe.each<[string, ReadOperation]>([
  ['/graphql', readSandbox],
  ['/graphiql', readGraphiQL],
])('the page at %s', (path, readOperation) => {
  it('exists only if the sandbox is enabled', async () => {
    for (const environment of [{}, { SANDBOX: 'false' }]) {
      const page = await send(await start(environment), 'GET', path, HTML);
      expect(page.status).toBe(404);
      expect(JSON.parse(page.text).errors[0].extensions.code).toBe('NOT_FOUND');
    }
    const page = await send(await start(ON), 'GET', path, HTML);
    expect(page.status).toBe(200);
    expect(page.headers['content-type']).toMatch(/^text\/html\b/);
    expect(page.text).toMatch(/^\s*<!doctype html>/i);
  });

  it('needs no secret, does not contain it, and names its header', async () => {
    const service = await start({ ...ON, ROUTER_SECRET: SECRET });
    for (const headers of [HTML, { ...HTML, 'router-authorization': SECRET }]) {
      const page = await send(service, 'GET', path, headers);
      expect(page.status).toBe(200);
      // Avoids a diff of nine megabytes when the test fails, here and below.
      expect(page.text.includes(SECRET)).toBe(false);
      expect(page.text.includes('router-authorization')).toBe(true);
    }
  });

  it('names no header if there is no secret', async () => {
    const page = await send(await start(ON), 'GET', path, HTML);
    expect(page.text.includes('router-authorization')).toBe(false);
  });

  it('cannot be framed by another site and is treated only as HTML', async () => {
    const { headers } = await send(await start(ON), 'GET', path, HTML);
    expect(headers['content-security-policy']).toContain("frame-ancestors 'none'");
    expect(headers['x-content-type-options']).toBe('nosniff');
  });

  it('is prefilled with an operation that shows a task, an absence and an error', async () => {
    const fleet = createDemoFleet({ seed: 'demo' });
    const service = await startBoth({ fleet }, ON);
    const { text } = await send(service, 'GET', path, HTML);
    const { document, variables } = readOperation(text);
    const { body } = await post(service.url, document, variables);
    expect(body).toMatchObject({
      data: {
        _entities: [
          { id: '6523', otaTask: { target: '1.2' }, otaTaskResult: { reason: 'NO_TASK' } },
          { otaTask: null },
        ],
      },
      errors: [{ extensions: { code: 'OTA_TASK_NOT_FOUND' } }],
    });
  });
});

describe('GraphiQL', () => {
  it('is the same page when compressed', async () => {
    const service = await start(ON);
    const plain = await send(service, 'GET', '/graphiql');
    expect(plain.headers['content-encoding']).toBeUndefined();
    const compressed = await fetch(new URL('/graphiql', service.url));
    expect(compressed.headers.get('content-encoding')).toBe('gzip');
    expect((await compressed.text()) === plain.text).toBe(true);
    expect(plain.headers['vary']).toBe('accept-encoding');
  });

  it('can connect only to the service', async () => {
    const { headers } = await send(await start(ON), 'GET', '/graphiql');
    expect(headers['content-security-policy']).toMatch(/^default-src 'none'; .*connect-src 'self'/);
    expect(headers['content-security-policy']).not.toMatch(/https?:|\*/);
    expect(headers['referrer-policy']).toBe('no-referrer');
  });

  it.each(['POST', 'PUT', 'OPTIONS'])('does not allow %s', async (method) => {
    const answer = await send(await start(ON), method, '/graphiql');
    expect([answer.status, answer.headers['allow']]).toEqual([405, 'GET']);
  });
});

describe('other origins', () => {
  const OPERATION = '{"query":"{ __typename }"}';
  const JSON_TYPE = { 'content-type': 'application/json' };
  const ASKED = {
    'access-control-request-method': 'POST',
    'access-control-request-headers': 'content-type,router-authorization,apollographql-client-name',
  };

  const granted = ({ headers }: { readonly headers: object }): string[] =>
    Object.keys(headers).filter((name) => name.startsWith('access-control-'));

  it('get no CORS access while the sandbox is disabled', async () => {
    const service = await start({});
    for (const origin of [STUDIO, 'http://evil.example']) {
      const preflight = await send(service, 'OPTIONS', '/graphql', { origin, ...ASKED });
      expect([preflight.status, granted(preflight)]).toEqual([405, []]);
      const answer = await send(service, 'POST', '/graphql', { ...JSON_TYPE, origin }, OPERATION);
      expect([answer.status, granted(answer)]).toEqual([200, []]);
      expect(answer.headers['vary']).toBeUndefined();
    }
  });

  it.each([
    'http://evil.example',
    'null',
    'http://studio.apollographql.com',
    `${STUDIO}:8443`,
    `${STUDIO}.evil.example`,
    'https://x.studio.apollographql.com',
    'https://sandbox.embed.apollographql.com',
    STUDIO.toUpperCase(),
  ])('get no CORS access while the sandbox is enabled: %s', async (origin) => {
    const service = await start(ON);
    const answers = [
      await send(service, 'POST', '/graphql', { ...JSON_TYPE, origin }, OPERATION),
      await send(service, 'OPTIONS', '/graphql', { origin, ...ASKED }),
      await send(service, 'GET', '/graphql', { origin, ...HTML }),
      await send(service, 'GET', '/graphiql', { origin }),
      await send(service, 'GET', '/livez', { origin }),
    ];
    expect(answers.map(({ status }) => status)).toEqual([200, 405, 200, 200, 200]);
    expect(answers.flatMap(granted)).toEqual([]);
    // Otherwise a cache would serve the answer for one origin to another.
    expect(answers.slice(0, 3).map(({ headers }) => headers['vary'])).toEqual(['origin', 'origin', 'origin']);
  });

  it.each<Headers>([{}, { ROUTER_SECRET: SECRET }])(
    'may post if they are Apollo Studio: %o',
    async (secret) => {
      const service = await start({ ...ON, ...secret });
      const preflight = await send(service, 'OPTIONS', '/graphql', { origin: STUDIO, ...ASKED });
      expect([preflight.status, preflight.text]).toEqual([204, '']);
      expect(preflight.headers).toMatchObject({
        'access-control-allow-origin': STUDIO,
        'access-control-allow-methods': 'POST',
        'access-control-allow-headers': ASKED['access-control-request-headers'],
        vary: expect.stringMatching(/\borigin\b/),
      });
      expect(preflight.headers).not.toHaveProperty('access-control-allow-credentials');
      const headers = { ...JSON_TYPE, origin: STUDIO, 'router-authorization': SECRET };
      const answer = await send(service, 'POST', '/graphql', headers, OPERATION);
      expect([answer.status, JSON.parse(answer.text)]).toEqual([200, { data: { __typename: 'Query' } }]);
      expect(answer.headers).toMatchObject({ 'access-control-allow-origin': STUDIO, vary: 'origin' });
      expect(answer.headers).not.toHaveProperty('access-control-allow-credentials');
    },
  );

  it.each<[number, Headers, string]>([
    [401, {}, OPERATION],
    [400, { 'router-authorization': SECRET }, '{'],
    [400, { 'router-authorization': SECRET }, '{"query":"{ nothing }"}'],
    [415, { 'router-authorization': SECRET, 'content-type': 'text/plain' }, OPERATION],
  ])('may read the reason of a refusal if they are Apollo Studio: %i', async (status, headers, body) => {
    const service = await start({ ...ON, ROUTER_SECRET: SECRET });
    const answer = await send(
      service,
      'POST',
      '/graphql',
      { ...JSON_TYPE, origin: STUDIO, ...headers },
      body,
    );
    expect(answer.status).toBe(status);
    expect(answer.headers['access-control-allow-origin']).toBe(STUDIO);
  });

  it.each<[string, Headers]>([
    ['of nobody', {}],
    ['that asks for nothing', { origin: STUDIO }],
  ])('may not send any other OPTIONS request: one %s', async (_, headers) => {
    const answer = await send(await start(ON), 'OPTIONS', '/graphql', headers);
    expect([answer.status, answer.headers['allow']]).toEqual([405, 'GET, POST']);
  });
});
