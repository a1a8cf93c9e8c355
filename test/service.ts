import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import { request } from 'undici';
import { beforeAll, onTestFinished } from 'vitest';

import { createApp } from '../src/app.ts';
import { readConfig } from '../src/config/config.ts';
import { createLogger } from '../src/observability/logger.ts';
import { createUniformFleet } from '../src/simulator/fleet.ts';
import { createSimulator, type Simulator, type SimulatorOptions } from '../src/simulator/simulator.ts';

/** What is undefined is not set, whatever else sets it. */
export type Environment = Readonly<Record<string, string | undefined>>;

export const CREDENTIALS = {
  productId: '123123',
  accessKey: 'KuF3NT/jUBJ62LNBB/A8XZA9CqS3Cu79B/ABmfA1UCw=',
};

const ENVIRONMENT: Environment = {
  PORT: '0',
  ONENET_PRODUCT_ID: CREDENTIALS.productId,
  ONENET_ACCESS_KEY: CREDENTIALS.accessKey,
};

/** One line of the service's log. */
export type LogLine = Readonly<Record<string, unknown>>;

export interface Service {
  /** The GraphQL endpoint. */
  readonly url: string;
  readonly log: readonly LogLine[];
}

/** Decides when to stop what was started; by default, at the end of the test that started it. */
export type Until = (stop: () => Promise<void> | void) => void;

/** Starts something before the tests of a file or suite, and stops it after them. */
export function startOnce<T>(start: (until: Until) => Promise<T>): () => T {
  let started: T;
  beforeAll(async () => {
    const stops: (() => Promise<void> | void)[] = [];
    started = await start((stop) => void stops.unshift(stop));
    return async () => {
      for (const stop of stops) await stop();
    };
  });
  return () => started;
}

/** Starts the service in this process, behind real HTTP; stops it after the test. */
export async function startService(
  onenetUrl: string,
  environment: Environment = {},
  until: Until = onTestFinished,
): Promise<Service> {
  const log: LogLine[] = [];
  const config = readConfig({ ...ENVIRONMENT, ONENET_URL: onenetUrl, ...environment });
  const logger = createLogger(config, { write: (line) => log.push(JSON.parse(line) as LogLine) });
  const app = await createApp(config, logger);
  const url = await app.listen();
  until(() => app.close());
  return { url, log };
}

/** A simulator in which, by default, every device has a FOTA and a SOTA task. */
async function startOneNet(options: SimulatorOptions, until: Until): Promise<Simulator> {
  const onenet = await createSimulator({
    credentials: CREDENTIALS,
    fleet: createUniformFleet({ seed: 'test' }),
    ...options,
  });
  until(() => onenet.close());
  return onenet;
}

/** The service in this process, in front of a simulator. */
export async function startBoth(
  options: SimulatorOptions = {},
  environment: Environment = {},
  until: Until = onTestFinished,
): Promise<Service & { readonly onenet: Simulator }> {
  const onenet = await startOneNet(options, until);
  return { ...(await startService(onenet.url, environment, until)), onenet };
}

export interface ServiceProcess extends Service {
  readonly child: ChildProcess;
  /** Resolves to the exit code when the process has exited. */
  readonly exited: Promise<number | null>;
}

/** Starts the built program in a process of its own; resolves when it listens. */
export async function startProcess(
  environment: Environment,
  until: Until = onTestFinished,
): Promise<ServiceProcess> {
  const { child, exited, log, listening } = launch({ ...ENVIRONMENT, ...environment }, until);
  return { child, exited, log, url: await listening };
}

/** The built program in a process of its own, in front of a simulator in this process. */
export async function startProgram(
  options: SimulatorOptions = {},
  environment: Environment = {},
  until: Until = onTestFinished,
): Promise<{ readonly onenet: Simulator; readonly service: ServiceProcess }> {
  const onenet = await startOneNet(options, until);
  return { onenet, service: await startProcess({ ONENET_URL: onenet.url, ...environment }, until) };
}

/** Starts the built program with only this environment. */
export function launch(
  environment: Environment,
  until: Until = onTestFinished,
): Omit<ServiceProcess, 'url'> & {
  readonly listening: Promise<string>;
  /** Everything on standard output, line by line. */
  readonly lines: readonly string[];
} {
  const main = fileURLToPath(new URL('../dist/main.js', import.meta.url));
  const child = spawn(process.execPath, [main], { env: environment, stdio: ['ignore', 'pipe', 'inherit'] });
  until(() => void child.kill('SIGKILL'));
  const lines: string[] = [];
  const log: LogLine[] = [];
  const listening = new Promise<string>((resolve, reject) => {
    createInterface(child.stdout).on('line', (line) => {
      lines.push(line);
      log.push(JSON.parse(line) as LogLine);
      const url = /http:\/\/\S+\/graphql/.exec(line)?.[0];
      if (url !== undefined) resolve(url);
    });
    child.once('close', () => reject(new Error(`the service ended before it listened: ${lines.join('\n')}`)));
  });
  listening.catch(() => undefined);
  const exited = once(child, 'close').then(([code]) => code as number | null);
  return { child, exited, log, lines, listening };
}

/** A GraphQL answer as tests read it. */
export interface Answer {
  readonly status: number;
  readonly text: string;
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- tests read answers as they come
  readonly body: any;
}

/** Posts an operation as a router does. */
export async function post(
  url: string,
  query: string,
  variables: Readonly<Record<string, unknown>> = {},
  headers: Readonly<Record<string, string>> = {},
): Promise<Answer> {
  const { statusCode, body } = await request(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ query, variables }),
  });
  const text = await body.text();
  return { status: statusCode, text, body: JSON.parse(text) };
}

/** A router's query for entities; `selection` is what it selects on each device. */
export function entitiesQuery(selection: string): string {
  return `query ($representations: [_Any!]!) { _entities(representations: $representations) { ... on Device { ${selection} } } }`;
}

export function devices(...ids: readonly string[]): { readonly __typename: 'Device'; readonly id: string }[] {
  return ids.map((id) => ({ __typename: 'Device', id }));
}

/** Requests entities as a router does. */
export function askEntities(
  { url }: Service,
  selection: string,
  representations: readonly unknown[],
  headers: Readonly<Record<string, string>> = {},
): Promise<Answer> {
  return post(url, entitiesQuery(selection), { representations }, headers);
}
