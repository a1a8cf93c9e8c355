import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';

import { post } from './service.ts';

const REPOSITORY = fileURLToPath(new URL('..', import.meta.url));
const SOURCES = ['package.json', 'tsconfig.json', 'build.ts', 'schema.graphql', 'src'];

const folder = mkdtempSync(join(tmpdir(), 'start-'));
const fresh = join(folder, 'fresh');
const production = join(folder, 'production');
afterAll(() => rmSync(folder, { recursive: true }));

/** Runs `npm start` in a directory; resolves when the service listens. */
async function npmStart(
  cwd: string,
): Promise<{ child: ChildProcess; exited: Promise<unknown>; url: string }> {
  const { PATH = '' } = process.env;
  const child = spawn('npm', ['start'], {
    cwd,
    env: { PATH, PORT: '0', ONENET_AUTHORIZATION: 'token' },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  const exited = once(child, 'close').then(([code]) => code as unknown);
  // Along with any processes that npm left behind.
  onTestFinished(() => {
    try {
      process.kill(-(child.pid as number), 'SIGKILL');
    } catch {
      // No process was left behind.
    }
  });
  let output = '';
  child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
  for await (const line of createInterface(child.stdout)) {
    output += `${line}\n`;
    const url = /listening at (http:\S+\/graphql)/.exec(line)?.[1];
    if (url !== undefined) return { child, exited, url };
  }
  throw new Error(`npm start ended: ${output}`);
}

async function expectToAnswerAndDrain(cwd: string): Promise<void> {
  const { child, exited, url } = await npmStart(cwd);
  expect((await post(url, '{ __typename }')).body).toEqual({ data: { __typename: 'Query' } });
  child.kill('SIGTERM');
  expect(await exited).toBe(0);
}

describe('npm start', () => {
  beforeAll(() => {
    for (const source of SOURCES) {
      cpSync(join(REPOSITORY, source), join(fresh, source), { recursive: true });
    }
    symlinkSync(join(REPOSITORY, 'node_modules'), join(fresh, 'node_modules'));
  });

  it('builds a fresh checkout, starts it, and drains on SIGTERM', async () => {
    await expectToAnswerAndDrain(fresh);
  }, 120_000);

  it('needs no packages once it is built', async () => {
    for (const file of ['package.json', 'schema.graphql', 'dist']) {
      cpSync(join(fresh, file), join(production, file), { recursive: true });
    }
    await expectToAnswerAndDrain(production);
  }, 60_000);
});
