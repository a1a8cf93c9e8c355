import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import process from 'node:process';

export interface Program {
  /** Its GraphQL endpoint. */
  readonly url: string;
  close(): Promise<void>;
}

/**
 * Starts a program and waits until it says where it listens.
 *
 * @param environment all that it gets of an environment, but for what programs need to be found.
 * @param announcement matches the line that it prints once it listens; the first group, if any, is its origin.
 * @param endpoint its GraphQL endpoint: a path, or a whole URL where it does not print its origin.
 */
export async function startProgram(
  command: readonly [string, ...string[]],
  environment: Readonly<Record<string, string>>,
  announcement: RegExp,
  endpoint = '/graphql',
): Promise<Program> {
  const [file, ...args] = command;
  const child = spawn(file, args, {
    cwd: import.meta.dirname,
    env: { PATH: process.env['PATH'], NO_COLOR: '1', ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const closed = once(child, 'close');
  const origin = await new Promise<string | undefined>((resolve, reject) => {
    let output = '';
    const read = (chunk: Buffer): void => {
      output += chunk.toString();
      const found = announcement.exec(output);
      if (found !== null) resolve(found[1]);
    };
    child.stdout.on('data', read);
    child.stderr.on('data', read);
    closed.then(() => reject(new Error(`${command.join(' ')} ended: ${output}`)), reject);
  });
  return {
    url: new URL(endpoint, origin).href,
    async close() {
      child.kill('SIGKILL');
      await closed;
    },
  };
}

/** For programs that do not say which port they got when they were to choose. */
export async function freePort(): Promise<string> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return String(port);
}
