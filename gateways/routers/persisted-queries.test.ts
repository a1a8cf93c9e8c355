import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect, it, onTestFinished } from 'vitest';

import { post } from '../../test/service.ts';
import { SECRET, startCompany } from '../company.ts';
import { startFront } from '../front.ts';
import { GATEWAYS } from '../gateways.ts';
import type { Program } from '../program.ts';
import { reportMissing } from './missing.ts';
import { EACH_ROUTER, type RouterSurroundings } from './routers.ts';

reportMissing();

/** Asks three times, through a gateway that sends the service hashes in place of queries. */
async function askThrice(start: (told: RouterSurroundings) => Promise<Program>) {
  const folder = mkdtempSync(join(tmpdir(), 'routers-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const company = await startCompany();
  onTestFinished(() => company.close());
  const front = await startFront(company);
  onTestFinished(() => front.close());
  const gateway = await start({ subgraphs: front.subgraphs, secret: SECRET, folder });
  onTestFinished(() => gateway.close());
  company.own('a');
  const answers = [];
  for (let time = 0; time < 3; time++) {
    const { body } = await post(gateway.url, '{ devices { otaTask(type: FOTA) { size } } }');
    answers.push({ requests: front.answers.length, body });
  }
  const { size } = company.task('a', 'FOTA');
  return { answers, task: { data: { devices: [{ otaTask: { size } }] } } };
}

it.each(EACH_ROUTER.filter(({ kind }) => kind === 'apollo'))(
  '$name sends the query where the service takes no hash, and no hash from then on',
  async ({ start }) => {
    const settings = 'apq: { subgraph: { subgraphs: { onenet-ota-subgraph: { enabled: true } } } }';
    const { answers, task } = await askThrice((told) =>
      start({ ...told, configure: (file) => `${file}\n${settings}\n` }),
    );
    expect(answers).toEqual([2, 3, 4].map((requests) => ({ requests, body: task })));
  },
);

const [gateway] = GATEWAYS.filter(({ name }) => name.startsWith('@apollo/gateway'));

it('@apollo/gateway with its default sends no hash', async () => {
  const { answers, task } = await askThrice((told) => gateway!.start(told));
  expect(answers).toEqual([1, 2, 3].map((requests) => ({ requests, body: task })));
});

it('@apollo/gateway with `apq` passes on that the service takes no hash', async () => {
  const { answers } = await askThrice((told) =>
    gateway!.start({ ...told, environment: { PERSISTED_QUERIES: 'true' } }),
  );
  for (const { body } of answers) {
    expect(body.errors[0].extensions.code).toBe('PERSISTED_QUERY_NOT_SUPPORTED');
  }
});
