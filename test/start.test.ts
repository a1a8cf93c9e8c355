import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';

import { post } from './service.ts';

const REPOSITORY = fileURLToPath(new URL('..', import.meta.url));
const SOURCES = [
  'package.json',
  'tsconfig.json',
  'tsconfig.build.json',
  'build-graphiql.ts',
  'schema.graphql',
  'src',
];

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

  it('starts a built checkout without packages for development', async () => {
    for (const source of [...SOURCES, 'dist']) {
      cpSync(join(fresh, source), join(production, source), { recursive: true });
    }
    for (const path of productionPackages()) {
      mkdirSync(dirname(join(production, path)), { recursive: true });
      symlinkSync(join(REPOSITORY, path), join(production, path));
    }
    await expectToAnswerAndDrain(production);
  }, 60_000);
});

/** The packages at the top level after `npm ci --omit=dev`; packages nested in others come with them. */
function productionPackages(): string[] {
  const { packages } = JSON.parse(readFileSync(join(REPOSITORY, 'package-lock.json'), 'utf8')) as {
    readonly packages: Readonly<Record<string, { readonly dev?: boolean; readonly optional?: boolean }>>;
  };
  return Object.entries(packages)
    .filter(
      ([path, { dev, optional }]) => /^node_modules\/(?:@[^/]+\/)?[^/]+$/.test(path) && !dev && !optional,
    )
    .map(([path]) => path);
}
