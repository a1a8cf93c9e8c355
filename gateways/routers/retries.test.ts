import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';

import { scrape } from '../../test/metrics-text.ts';
import { post } from '../../test/service.ts';
import { until } from '../../test/until.ts';
import { type Company, SECRET, startCompany } from '../company.ts';
import { type Front, startFront } from '../front.ts';
import type { Program } from '../program.ts';
import { reportMissing } from './missing.ts';
import { EACH_ROUTER, type Router, type RouterSurroundings } from './routers.ts';

reportMissing();

const root = mkdtempSync(join(tmpdir(), 'routers-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

interface Chain {
  readonly company: Company;
  readonly front: Front;
  readonly router: Program;
  stop(): Promise<void>;
}

async function startChain(
  { start }: Router,
  environment: Readonly<Record<string, string>> = {},
  configure?: RouterSurroundings['configure'],
): Promise<Chain> {
  const company = await startCompany(environment);
  const front = await startFront(company);
  const folder = mkdtempSync(join(root, 'router-'));
  const router = await start({
    subgraphs: front.subgraphs,
    secret: SECRET,
    folder,
    ...(configure && { configure }),
  });
  return {
    ...{ company, front, router },
    async stop() {
      await router.close();
      front.close();
      await company.close();
    },
  };
}

/** What a router tells the client of a service that does not answer within the router's deadline. */
const DEADLINE_CODES: Readonly<Record<Router['kind'], readonly (string | undefined)[]>> = {
  apollo: ['GATEWAY_TIMEOUT'],
  cosmo: [undefined],
  hive: ['SUBGRAPH_REQUEST_TIMEOUT'],
};

/**
 * What one query of a client becomes: requests to the service, their statuses, attempts to reach OneNET, and the codes that
 * the client gets, each once.
 */
async function ask({ company, front, router }: Chain) {
  const [requestsBefore, attemptsBefore] = [front.answers.length, await attemptsOf(company)];
  const { body } = await post(router.url, '{ devices { name otaTask(type: FOTA) { size } } }');
  expect(body.data.devices[0]).toEqual({ name: expect.any(String), otaTask: null });
  const statuses = front.answers.slice(requestsBefore);
  const codes = body.errors.map(({ extensions }: { extensions?: { code: string } }) => extensions?.code);
  return {
    requests: statuses.length,
    statuses,
    attempts: (await attemptsOf(company)) - attemptsBefore,
    codes: [...new Set(codes)].sort(),
  };
}

async function attemptsOf({ subgraphs }: Company): Promise<number> {
  const samples = await scrape({ url: subgraphs[1]?.url ?? '' });
  return samples
    .filter(({ name }) => name === 'onenet_ota_upstream_attempt_duration_seconds_count')
    .reduce((sum, { value }) => sum + value, 0);
}

/** From now on the service refuses all requests larger than 1 KiB with 503, until what this returns is called. */
async function overload({ company }: Chain): Promise<() => void> {
  // So that the request of the router is larger.
  company.own(...Array.from({ length: 15 }, (_, index) => String(index).padEnd(64, '-')));
  company.fail({ held: { kind: 'stall' } });
  const query = `{ _entities(representations: [{ __typename: "Device", id: "held" }]) {
    ... on Device { otaTask(type: FOTA) { size } }
  } }`;
  const held = new AbortController();
  const hold = async (): Promise<void> => {
    // Where the machine is busy the service may refuse this one, too.
    while (!held.signal.aborted) {
      const response = await fetch(company.subgraphs[1]?.url ?? '', {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'router-authorization': SECRET },
        // All the bytes that the service takes at once.
        body: JSON.stringify({ query }).padEnd(2 * 1024 * 1024),
        signal: held.signal,
      });
      await response.text();
    }
  };
  hold().catch(() => undefined);
  await until(() => company.onenet.calls.length > 0);
  return () => held.abort();
}

describe.each(EACH_ROUTER)('a query through $name', (router) => {
  let chain: Chain;
  beforeAll(async () => {
    chain = await startChain(router);
  });
  afterAll(() => chain.stop());

  it.each([
    ['answers 503', { kind: 'status', status: 503 }, 2, 'ONENET_UNAVAILABLE'],
    ['breaks connections', { kind: 'reset' }, 2, 'ONENET_UNAVAILABLE'],
    ['does not answer', { kind: 'stall' }, 1, 'ONENET_TIMEOUT'],
  ] as const)('is one request where OneNET %s', async (_, fault, attempts, code) => {
    chain.company.own('a');
    chain.company.fail({ a: fault });
    expect(await ask(chain)).toEqual({ requests: 1, statuses: [200], attempts, codes: [code] });
  });

  it('is one request where OneNET refuses connections', async () => {
    const unreachable = await startChain(router, { ONENET_URL: 'http://127.0.0.1:1' });
    onTestFinished(() => unreachable.stop());
    unreachable.company.own('a');
    expect(await ask(unreachable)).toEqual({
      ...{ requests: 1, statuses: [200], attempts: 2 },
      codes: ['ONENET_UNAVAILABLE'],
    });
  });

  it('is one request where the service is overloaded', async () => {
    onTestFinished(await overload(chain));
    expect(await ask(chain)).toMatchObject({
      ...{ requests: 1, statuses: [503] },
      codes: router.refusalCodes.map((code) => code.replace('UNAUTHENTICATED', 'SERVICE_UNAVAILABLE')).sort(),
    });
  });

  it('is at most two requests where connections to the service break', async () => {
    const { company, front } = chain;
    company.own('a');
    front.mode = 'reset';
    onTestFinished(() => void (front.mode = 'forward'));
    expect((await ask(chain)).requests).toBe(router.kind === 'cosmo' ? 2 : 1);
  });

  it('is one request where the service does not answer for 12 s', async () => {
    const { company, front } = chain;
    company.own('a');
    front.mode = 'hang';
    onTestFinished(() => void (front.mode = 'forward'));
    const began = performance.now();
    expect(await ask(chain)).toMatchObject({ requests: 1, codes: DEADLINE_CODES[router.kind] });
    expect(performance.now() - began).toBeGreaterThan(11_900);
  });
});

describe.each(EACH_ROUTER.filter(({ kind }) => kind === 'cosmo'))(
  'a query through $name with its own retries',
  (router) => {
    let chain: Chain;
    beforeAll(async () => {
      // The overload has to outlast them.
      const patience = { ONENET_TIMEOUT_MS: '60000', REQUEST_TIMEOUT_MS: '60000' };
      chain = await startChain(router, patience, (file) =>
        file.replace(/^traffic_shaping:\n(?:[ #].*\n)+/m, ''),
      );
    });
    afterAll(() => chain.stop());

    it('is six requests where the service is overloaded', async () => {
      onTestFinished(await overload(chain));
      const { requests, statuses } = await ask(chain);
      expect({ requests, statuses }).toEqual({ requests: 6, statuses: Array(6).fill(503) });
    });

    it('is five requests or six where connections to the service break', async () => {
      chain.company.own('a');
      chain.front.mode = 'reset';
      // One of the six finds a connection that has been idle for too long, and does not get as far as the front.
      expect([5, 6]).toContain((await ask(chain)).requests);
    });
  },
  60_000,
);
