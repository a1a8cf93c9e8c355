import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect, it, onTestFinished } from 'vitest';

import { SECRET, SUBGRAPHS } from '../company.ts';
import { expectToBeExplorable } from '../table.ts';
import { reportMissing } from './missing.ts';
import { EACH_ROUTER } from './routers.ts';

reportMissing();

it.each(EACH_ROUTER.filter(({ introspection }) => introspection !== 'open'))(
  '$name shows explorers the descriptions once introspection is on',
  async (router) => {
    const folder = mkdtempSync(join(tmpdir(), 'routers-'));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    const { url, close } = await router.start({
      subgraphs: SUBGRAPHS,
      secret: SECRET,
      folder,
      configure: (file) => `${file}\nsupergraph: { introspection: true }\n`,
    });
    onTestFinished(close);
    await expect(expectToBeExplorable(url)).resolves.toBeUndefined();
  },
);
