import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

import { onTestFinished } from 'vitest';

import type { Until } from '../service.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

export interface DemoOptions {
  readonly args?: readonly string[];
  readonly environment?: NodeJS.ProcessEnv;
  readonly until?: Until;
}

/** What `npm run demo` runs; resolves once it has said all. */
export async function startDemo(options: DemoOptions = {}) {
  const { args = [], environment = process.env, until = onTestFinished } = options;
  const child = spawn(process.execPath, ['--import', 'tsx', 'demo/main.ts', ...args], {
    cwd: ROOT,
    env: environment,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const exited = once(child, 'close').then(([code]) => code as number | null);
  until(async () => {
    // Not by SIGKILL: it would leave its Redis behind.
    child.kill('SIGINT');
    await exited;
  });
  let output = '';
  child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
  await new Promise<void>((resolve, reject) => {
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString();
      if (output.includes('Ctrl-C')) resolve();
    });
    void exited.then(() => reject(new Error(`the demo ended: ${output}`)));
  });
  const address = (what: string): string => new RegExp(`${what}\\s+(http://\\S+)`).exec(output)?.[1] ?? '';
  return {
    child,
    exited,
    get output() {
      return output;
    },
    gateway: address('The supergraph'),
    subgraph: address('The OTA subgraph'),
  };
}
