import { generateKeyPairSync, sign } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { schemaText } from '../../src/graphql/schema.ts';
import { post } from '../../test/service.ts';
import { type Company, SECRET, startCompany } from '../company.ts';
import type { Program } from '../program.ts';
import { reportMissing } from './missing.ts';
import { EACH_ROUTER, type Router } from './routers.ts';

reportMissing();

const SCOPES = ['ota:read', 'ota:secrets'];
const SIZE = '{ devices { name otaTask(type: FOTA) { size } } }';
const ADDRESS = '{ devices { name otaTask(type: FOTA) { size ipPort downloadUrl } } }';
const TOKEN = '{ devices { name otaTask(type: FOTA) { size token } } }';

/** What a company adds to the router's file to know its users. */
const AUTHENTICATION: Readonly<Record<Router['kind'], (jwks: string) => string>> = {
  cosmo: (jwks) => `
authentication:
  jwt: { jwks: [{ url: '${jwks}' }] }
`,
  apollo: (jwks) => `
authentication:
  router:
    jwt: { jwks: [{ url: '${jwks}' }] }
`,
  hive: (jwks) => `
jwt:
  enabled: true
  jwks_providers: [{ source: remote, url: '${jwks}' }]
`,
};

const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });

/** The tokens' issuer. */
async function startIssuer() {
  const key = { ...publicKey.export({ format: 'jwk' }), kid: 'test', alg: 'RS256', use: 'sig' };
  const server = createServer((_, response) => {
    response.setHeader('content-type', 'application/json').end(JSON.stringify({ keys: [key] }));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks`,
    close: () => server.close(),
  };
}

function bearer(...scopes: readonly string[]): { authorization: string } {
  const encode = (part: object): string => Buffer.from(JSON.stringify(part)).toString('base64url');
  const exp = Math.trunc(Date.now() / 1000) + 600;
  const signed = `${encode({ alg: 'RS256', typ: 'JWT', kid: 'test' })}.${encode({ sub: 'somebody', exp, scope: scopes.join(' ') })}`;
  return {
    authorization: `Bearer ${signed}.${sign('sha256', Buffer.from(signed), privateKey).toString('base64url')}`,
  };
}

const CLIENTS: readonly [string, Readonly<Record<string, string>>][] = [
  ['a client without a token', {}],
  ['a client with one of the scopes', bearer('ota:read')],
  ['a client with other scopes', bearer('ota:write', 'ota:secret')],
];

function start(kind: Router, company: Company, folder: string, jwks: string): Promise<Program> {
  const sdl = schemaText({ productField: undefined, secretFieldScopes: SCOPES });
  return kind.start({
    subgraphs: company.subgraphs.map((each, index) => (index === 1 ? { ...each, sdl } : each)),
    secret: SECRET,
    folder,
    configure: (file) => file + AUTHENTICATION[kind.kind](jwks),
  });
}

const folder = mkdtempSync(join(tmpdir(), 'routers-'));
let company: Company;
let issuer: Awaited<ReturnType<typeof startIssuer>>;
beforeAll(async () => {
  company = await startCompany({ SECRET_FIELD_SCOPES: SCOPES.join(',') });
  issuer = await startIssuer();
});
afterAll(async () => {
  issuer.close();
  await company.close();
  rmSync(folder, { recursive: true, force: true });
});

describe.each(EACH_ROUTER.filter(({ kind }) => kind !== 'apollo'))('$name', (kind) => {
  let router: Program;
  beforeAll(async () => {
    router = await start(kind, company, folder, issuer.url);
  });
  afterAll(() => router.close());

  const ask = async (query: string, headers: Readonly<Record<string, string>>) => {
    company.own('a');
    const { body } = await post(router.url, query, {}, headers);
    const codes = body.errors?.map(({ extensions }: any) => extensions.code);
    return {
      task: body.data.devices[0].otaTask,
      codes: [...new Set(codes)],
      calls: company.onenet.calls.map(({ cdn }) => cdn),
    };
  };
  /** Cosmo Router asks for the fields all the same, and drops them from the answer. */
  const isAskedFor = kind.kind === 'cosmo';
  const refused = ['UNAUTHORIZED_FIELD_OR_TYPE'];

  it('gives a client with all scopes the secret fields', async () => {
    const { token, size } = company.task('a', 'FOTA');
    const ipPort = new URL(company.onenet.url).host;
    const client = bearer('ota:secrets', 'ota:read', 'other');
    expect(await ask(TOKEN, client)).toEqual({ task: { size, token }, codes: [], calls: [null] });
    expect(await ask(ADDRESS, client)).toEqual({
      task: { size, ipPort, downloadUrl: `http://${ipPort}/ota/download/${token}` },
      codes: [],
      calls: ['true'],
    });
  });

  describe.each(CLIENTS)('gives %s', (_, headers) => {
    const size = expect.any(Number);

    it('the other fields', async () => {
      expect(await ask(SIZE, headers)).toEqual({ task: { size }, codes: [], calls: [null] });
    });

    it('null for the address', async () => {
      const task = { size, ipPort: null, downloadUrl: null };
      expect(await ask(ADDRESS, headers)).toEqual({
        task,
        codes: refused,
        calls: [isAskedFor ? 'true' : null],
      });
    });

    it('no task together with the token, which cannot be null', async () => {
      expect(await ask(TOKEN, headers)).toEqual({
        ...{ task: null, codes: refused },
        calls: isAskedFor ? [null] : [],
      });
    });
  });
});

describe.each(EACH_ROUTER.filter(({ kind }) => kind === 'apollo'))('$name without a licence', (kind) => {
  it('does not start with scopes', async () => {
    await expect(start(kind, company, folder, issuer.url)).rejects.toThrow(
      /license violation.*requiresScopes/,
    );
  });
});
