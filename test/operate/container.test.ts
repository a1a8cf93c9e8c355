import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { validate } from 'dockerfile-utils';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';

import { createSimulator } from '../../src/simulator/simulator.ts';
import { createUniformFleet } from '../../src/simulator/fleet.ts';
import { askEntities, CREDENTIALS, devices, type Environment } from '../service.ts';
import { build, type Build, DOCKERFILE, isInContext } from './dockerfile.ts';

interface Package {
  readonly engines: { readonly node: string };
}

const readJson = (name: string): unknown =>
  JSON.parse(readFileSync(new URL(`../../${name}`, import.meta.url), 'utf8'));

/** Lets a process read everything and write nothing, as on a read-only file system. */
const WRITES_NOTHING = [
  process.allowedNodeEnvironmentFlags.has('--permission') ? '--permission' : '--experimental-permission',
  '--allow-fs-read=*',
  ...(process.allowedNodeEnvironmentFlags.has('--allow-net') ? ['--allow-net'] : []),
];

const folder = mkdtempSync(join(tmpdir(), 'container-'));
let built: Build;

// This may run `npm ci`, and builds.
beforeAll(() => void (built = build(folder)), 300_000);
afterAll(() => rmSync(folder, { recursive: true }), 300_000);

/** Runs a command as in a container of the image, with this machine's `node`. */
function start(
  command: readonly string[],
  environment: Environment,
  flags: readonly string[] = [],
): ChildProcess {
  const { root, workdir, environment: own } = built.final;
  const [program, ...parameters] = command as [string, ...string[]];
  expect(program).toBe('node');
  const child = spawn(process.execPath, [...flags, ...parameters], {
    cwd: join(root, workdir),
    env: { ...own, ...environment },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  return child;
}

/** Starts the image's command on a free port; resolves when it listens. */
async function startContainer(
  environment: Environment = {},
  flags: readonly string[] = [],
): Promise<{ child: ChildProcess; exited: Promise<unknown>; port: string; url: string }> {
  const port = await freePort();
  const defaults = { PORT: port, ONENET_AUTHORIZATION: 'token' };
  const child = start(
    built.final.command as string[],
    'ONENET_ACCESS_KEY' in environment ? { PORT: port, ...environment } : { ...defaults, ...environment },
    flags,
  );
  const exited = once(child, 'close').then(([code]) => code as unknown);
  for await (const line of createInterface(child.stdout as NodeJS.ReadableStream)) {
    if (line.includes('listening at')) {
      return { child, exited, port, url: `http://127.0.0.1:${port}/graphql` };
    }
  }
  throw new Error('the service ended before it listened');
}

async function freePort(): Promise<string> {
  const server = createServer().listen(0);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return String(port);
}

/** The exit code of the image's health check. */
async function healthcheck(environment: Environment): Promise<unknown> {
  const [code] = await once(start(built.final.healthcheck as string[], environment), 'close');
  return code;
}

describe('the Dockerfile', () => {
  it('passes the linter', () => {
    expect(validate(DOCKERFILE)).toEqual([]);
  });

  it('builds and runs on one image, whose Node version is supported', () => {
    const [image, ...others] = new Set(built.stages.map((stage) => stage.image));
    expect(others).toEqual([]);
    const oldest = /^>=(\d+)\./.exec((readJson('package.json') as Package).engines.node)?.[1];
    expect(Number(/^node:(\d+)-/.exec(image as string)?.[1])).toBeGreaterThanOrEqual(Number(oldest));
  });

  it('reinstalls packages only when they change', () => {
    const installs = built.stages
      .flatMap(({ inputs }) => [...inputs])
      .filter(([command]) => command.startsWith('npm ci'));
    expect(installs.map(([, files]) => files.toSorted())).toEqual([['package-lock.json', 'package.json']]);
  });

  it('runs as a non-root user, given by number', () => {
    expect(built.final.user).toMatch(/^[1-9]\d*(?::[1-9]\d*)?$/);
  });

  it('exposes the port on which it listens', () => {
    expect(built.final.ports).toEqual([built.final.environment['PORT']]);
  });
});

describe('the build context', () => {
  it('contains only the files that are copied', () => {
    const tracked = execFileSync('git', ['ls-files'], { encoding: 'utf8' }).trim().split('\n');
    expect(tracked.filter(isInContext).toSorted()).toEqual([...built.context].toSorted());
  });

  it.each([
    '.env',
    '.env.production',
    '.git/config',
    '.npmrc',
    'coverage/index.html',
    'dist/main.js',
    'gateways/node_modules/graphql/package.json',
    'node_modules/graphql/package.json',
    'onenet-ota.env',
  ])('does not contain other files: %s', (path) => {
    expect(isInContext(path)).toBe(false);
  });
});

describe('the image', () => {
  const files = (...path: string[]): string[] =>
    readdirSync(join(built.final.root, built.final.workdir, ...path));

  it('contains only what the program needs', () => {
    expect(files().toSorted()).toEqual(['dist', 'package.json', 'schema.graphql']);
    expect(files('dist')).toContain('licences.txt');
    const main = readFileSync(join(built.final.root, built.final.workdir, 'dist/main.js'), 'utf8');
    expect(main).toContain('// src/app.ts');
    expect(main).not.toContain('// src/simulator/');
  });

  it('answers from OneNET on a read-only file system', async () => {
    const onenet = await createSimulator({
      credentials: CREDENTIALS,
      fleet: createUniformFleet({ seed: 'test' }),
    });
    onTestFinished(() => onenet.close());
    const { url } = await startContainer(
      {
        ONENET_URL: onenet.url,
        ONENET_PRODUCT_ID: CREDENTIALS.productId,
        ONENET_ACCESS_KEY: CREDENTIALS.accessKey,
      },
      WRITES_NOTHING,
    );
    const { body } = await askEntities({ url, log: [] }, 'otaTask(type: FOTA) { target }', devices('1'));
    expect(body).toEqual({ data: { _entities: [{ otaTask: { target: expect.any(String) } }] } });
  });

  it('contains the page of the explorer', async () => {
    const { url } = await startContainer({ SANDBOX: 'true' });
    const page = await fetch(new URL('/graphiql', url), { headers: { accept: 'text/html' } });
    expect(page.status).toBe(200);
    expect(await page.text()).toContain('<html');
  });

  it('listens on all interfaces', () => {
    expect(built.final.environment['HOST']).toBe('0.0.0.0');
  });

  it('drains and exits with code 0 on SIGTERM', async () => {
    const { child, exited } = await startContainer();
    child.kill('SIGTERM');
    expect(await exited).toBe(0);
  });

  it('is healthy while it runs on its configured port, and not once it has stopped', async () => {
    const { child, exited, port } = await startContainer();
    expect(await healthcheck({ PORT: port })).toBe(0);
    expect(await healthcheck({ PORT: await freePort() })).toBe(1);
    child.kill('SIGTERM');
    await exited;
    expect(await healthcheck({ PORT: port })).toBe(1);
  });

  it('is not healthy if something else answers', async () => {
    const other = createServer((_, response) => response.writeHead(404).end()).listen(0, '127.0.0.1');
    onTestFinished(() => void other.close());
    await once(other, 'listening');
    expect(await healthcheck({ PORT: String((other.address() as AddressInfo).port) })).toBe(1);
  });
});
