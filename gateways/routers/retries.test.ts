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
import { EACH_ROUTER, type RouterSurroundings } from './routers.ts';

const root = mkdtempSync(join(tmpdir(), 'routers-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** A service that asks a OneNET that nobody can reach. */
const UNREACHABLE = { ONENET_URL: 'http://127.0.0.1:1' };
const QUERY = '{ devices { name otaTask(type: FOTA) { size } } }';

interface Setup {
  readonly company: Company;
  readonly front: Front;
  readonly router: Program;
}

async function start(
  kind: (typeof EACH_ROUTER)[number],
  environment: Record<string, string> = {},
  told: Partial<RouterSurroundings> = {},
): Promise<Setup> {
  const company = await startCompany(environment);
  const front = await startFront(company.subgraphs[1]?.url ?? '');
  const subgraphs = company.subgraphs.map((each, index) => (index === 1 ? { ...each, url: front.url } : each));
  const router = await kind.start({ subgraphs, secret: SECRET, folder: mkdtempSync(join(root, 'r-')), ...told });
  return { company, front, router };
}

async function stop({ company, front, router }: Setup): Promise<void> {
  await router.close();
  front.close();
  await company.close();
}

/** What one query of a client becomes. */
async function ask({ company, front, router }: Setup, deviceId = 'a') {
  front.answers.length = 0;
  const attemptsBefore = await attempts(company);
  company.own(deviceId);
  return async () => {
    const began = performance.now();
    const { body } = await post(router.url, QUERY);
    return {
      requests: front.answers.length,
      statuses: [...new Set(front.answers)],
      calls: (await attempts(company)) - attemptsBefore,
      task: body.data?.devices[0].otaTask,
      codes: [...new Set<string>(body.errors?.map((error: any) => error.extensions?.code))].sort(),
      ms: performance.now() - began,
      text: JSON.stringify(body),
    };
  };
}

/** Of the service, to reach OneNET. */
async function attempts({ subgraphs }: Company): Promise<number> {
  const samples = await scrape({ url: subgraphs[1]?.url ?? '' });
  return samples
    .filter(({ name }) => name === 'onenet_ota_upstream_attempt_duration_seconds_count')
    .reduce((sum, { value }) => sum + value, 0);
}

describe.each(EACH_ROUTER)('one query through $name', (kind) => {
  let setup: Setup;
  beforeAll(async () => {
    setup = await start(kind);
  });
  afterAll(() => stop(setup));

  it.each([
    ['answers 503', { kind: 'status', status: 503 }, 2],
    ['breaks connections', { kind: 'reset' }, 2],
    ['hangs', { kind: 'stall' }, 1],
  ] as const)('asks the service once where OneNET %s', async (_, fault, calls) => {
    const query = await ask(setup);
    setup.company.fail({ a: fault });
    const r = await query();
    console.log(kind.name, 'onenet', _, r);
    expect(r).toMatchObject({ requests: 1, calls, task: null });
  });

  it('asks the service once where OneNET cannot be reached', async () => {
    const unreachable = await start(kind, UNREACHABLE);
    onTestFinished(() => stop(unreachable));
    const r = await (await ask(unreachable))();
    console.log(kind.name, 'unreachable', r);
    expect(r).toMatchObject({ requests: 1, calls: 2, task: null });
  });

  it('asks an overloaded service once', async () => {
    const query = await overload(setup);
    const r = await query();
    console.log(kind.name, 'overload', r);
    expect(r).toMatchObject({ requests: 1, statuses: [503], calls: 0 });
  });

  it('asks at most twice where connections to the service break', async () => {
    const query = await ask(setup);
    setup.front.mode = 'reset';
    onTestFinished(() => void (setup.front.mode = 'forward'));
    const r = await query();
    console.log(kind.name, 'reset', r);
    expect(r.requests).toBeLessThanOrEqual(2);
  });

  it('asks a service that hangs once, and gives up after 12 s', async () => {
    const query = await ask(setup);
    setup.front.mode = 'hang';
    onTestFinished(() => void (setup.front.mode = 'forward'));
    const r = await query();
    console.log(kind.name, 'hang', r);
    expect(r).toMatchObject({ requests: 1, calls: 0, task: null });
    expect(r.ms).toBeGreaterThan(11_000);
  });
});

/** Requests that wait for OneNET hold all the bytes that the service takes; it refuses what is not small. */
async function overload(setup: Setup) {
  const { company } = setup;
  const query = await ask(setup, 'x'.repeat(64));
  company.own(...Array.from({ length: 15 }, (_, index) => `${index}`.padEnd(64, '-')));
  company.fail({ held: { kind: 'stall' } });
  const body = JSON.stringify({
    query: '{ _entities(representations: [{ __typename: "Device", id: "held" }]) { ... on Device { otaTask(type: FOTA) { size } } } }',
  });
  void fetch(company.subgraphs[1]?.url ?? '', {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'router-authorization': SECRET },
    body: body.padEnd(2 * 1024 * 1024),
  });
  await until(() => company.onenet.calls.length > 0);
  return query;
}
