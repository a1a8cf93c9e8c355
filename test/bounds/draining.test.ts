import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';

import { request } from 'undici';
import { describe, expect, it } from 'vitest';

import { type Environment, type ServiceProcess, startProcess } from '../service.ts';
import { LARGE_OPERATION, startWordyOneNet } from './large-answer.ts';
import { connectTo, isClosed, requestBytes } from './raw-client.ts';

const LARGE = requestBytes('POST', '/graphql', LARGE_OPERATION);
const GRAPHIQL = requestBytes('GET', '/graphiql');

async function start(environment: Environment = {}): Promise<ServiceProcess> {
  const onenet = await startWordyOneNet();
  return startProcess({ ONENET_URL: onenet.url, SANDBOX: 'true', ...environment });
}

describe('a stop signal while an answer is being sent', () => {
  it.each([
    ['an answer to an operation', LARGE],
    ['the page of GraphiQL', GRAPHIQL],
  ])('lets a slow reader receive all of %s', { timeout: 40_000 }, async (_, bytes) => {
    const service = await start();
    const idle = await connectTo(service.url);
    idle.write(requestBytes('GET', '/livez'));
    await once(idle, 'data');
    const socket = await connectTo(service.url);
    socket.write(bytes);
    let head = '';
    let received = 0;
    for await (const chunk of socket as AsyncIterable<Buffer>) {
      if (received === 0) {
        head = chunk.toString('latin1', 0, chunk.indexOf('\r\n\r\n') + 4);
        service.child.kill('SIGTERM');
      }
      received += chunk.length;
      await delay(10);
    }
    expect(received - head.length).toBe(Number(/content-length: (\d+)/i.exec(head)?.[1]));
    expect(received).toBeGreaterThan(5_000_000);
    // Neither this client nor the process waits for a connection that nothing is sent over.
    expect(await service.exited).toBe(0);
    expect(await isClosed(idle, 1000)).toBe(true);
  });

  it('closes an idle connection at once when no answer is being sent', async () => {
    const service = await start();
    const { body } = await request(new URL('/livez', service.url));
    await body.dump();
    const startedAt = performance.now();
    service.child.kill('SIGTERM');
    expect(await service.exited).toBe(0);
    expect(performance.now() - startedAt).toBeLessThan(2000);
  });
});
