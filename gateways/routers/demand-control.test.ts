import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { post } from '../../test/service.ts';
import { type Company, SECRET, startCompany } from '../company.ts';
import type { Program } from '../program.ts';
import { reportMissing } from './missing.ts';
import { EACH_ROUTER, type Router } from './routers.ts';

reportMissing();

const DOCS = readFileSync(new URL('../../docs/schema-checks.md', import.meta.url), 'utf8');
const HEADINGS: Readonly<Record<Router['kind'], string>> = {
  apollo: 'Apollo Router',
  cosmo: 'Cosmo Router',
  hive: 'Hive Router',
};

/** What the documentation adds to the router's file. */
function documented(kind: Router['kind']): string {
  const [, settings] = new RegExp(`^# ${HEADINGS[kind]}\n([^]*?)^\`\`\``, 'm').exec(DOCS) ?? [];
  return settings as string;
}

const folder = mkdtempSync(join(tmpdir(), 'routers-'));
let company: Company;
beforeAll(async () => {
  company = await startCompany();
});
afterAll(async () => {
  await company.close();
  rmSync(folder, { recursive: true, force: true });
});

/** @param maximum of an operation, in place of the documented one. */
function start({ kind, start }: Router, maximum = 1000): Promise<Program> {
  return start({
    subgraphs: company.subgraphs,
    secret: SECRET,
    folder: mkdtempSync(join(folder, 'router-')),
    configure: (file) => `${file}\n${documented(kind).replace('1000', String(maximum))}`,
  });
}

const NAME = '{ device(id: "a") { name } }';
const TASK = '{ device(id: "a") { otaTask(type: FOTA) { size } } }';
const RESULT = '{ device(id: "a") { otaTaskResult(type: FOTA) { ... on OtaTask { size } } } }';
const TASKS = '{ devices { otaTask(type: FOTA) { size } } }';
const BOTH = '{ devices { f: otaTask(type: FOTA) { size } s: otaTask(type: SOTA) { size } } }';

/** By operation, what the documentation says. */
const ESTIMATES: Readonly<Record<string, readonly [string, number][]>> = {
  cosmo: [
    [NAME, 1],
    [TASK, 12],
    [RESULT, 12],
    [TASKS, 600],
    [BOTH, 1100],
  ],
  hive: [
    [NAME, 1],
    [TASK, 601],
    [RESULT, 601],
    [TASKS, 650],
    [BOTH, 1200],
  ],
};

describe.each(EACH_ROUTER.filter(({ kind }) => kind !== 'apollo'))('$name', (router) => {
  const calls = async ({ url }: Program, query: string): Promise<[boolean, number]> => {
    company.own('a');
    const { body } = await post(url, query);
    return ['data' in body, company.onenet.calls.length];
  };

  it.each(ESTIMATES[router.kind] ?? [])(
    '%s costs %d, and asks nobody where that is too much',
    async (query, cost) => {
      const enough = await start(router, cost);
      const expected = query === NAME ? 0 : query === BOTH ? 2 : 1;
      expect(await calls(enough, query)).toEqual([true, expected]);
      await enough.close();
      if (cost === 1) return;
      const tooLittle = await start(router, cost - 1);
      expect(await calls(tooLittle, query)).toEqual([false, 0]);
      await tooLittle.close();
    },
  );
});

describe.each(EACH_ROUTER.filter(({ kind }) => kind === 'apollo'))('$name without a licence', (router) => {
  it('accepts the settings, and does not start with them', async () => {
    await expect(start(router)).rejects.toThrow(/license violation.*"Demand control plugin"/);
  });
});
