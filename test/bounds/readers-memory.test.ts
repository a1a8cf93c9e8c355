import { setTimeout as delay } from 'node:timers/promises';

import { describe, expect, it } from 'vitest';

import { scrape, valueOf } from '../metrics-text.ts';
import { type Service, startProcess } from '../service.ts';
import { LARGE_OPERATION, startWordyOneNet } from './large-answer.ts';
import { requestBytes } from './raw-client.ts';
import { openSilentReaders } from './silent-readers.ts';

const MEGABYTE = 1_000_000;

const GRAPHIQL = requestBytes('GET', '/graphiql');
const LARGE = requestBytes('POST', '/graphql', LARGE_OPERATION);

/** The most bytes that the service takes until, for a second, it has had nothing to do. */
async function mostMemory(service: Service): Promise<number> {
  let most = 0;
  let cpuSeconds = NaN;
  let busyMs = performance.now();
  while (performance.now() - busyMs < 1000) {
    const samples = await scrape(service);
    most = Math.max(most, valueOf(samples, 'process_resident_memory_bytes') ?? Infinity);
    const total = valueOf(samples, 'process_cpu_seconds_total') ?? NaN;
    // Being scraped takes less.
    if (!(total - cpuSeconds < 0.02)) busyMs = performance.now();
    cpuSeconds = total;
    await delay(50);
  }
  return most;
}

describe('sixty clients that do not read their answers', () => {
  // Executing operations also takes memory, until the next garbage collection.
  it.each<[string, Buffer, number]>([
    ['the page of GraphiQL', GRAPHIQL, 250 * MEGABYTE],
    ['an answer to an operation', LARGE, 300 * MEGABYTE],
    ['twenty answers to operations each', Buffer.concat(Array<Buffer>(20).fill(LARGE)), 300 * MEGABYTE],
  ])('take little memory: %s', { timeout: 60_000 }, async (_, bytes, mostBytes) => {
    const onenet = await startWordyOneNet();
    const service = await startProcess({ ONENET_URL: onenet.url, SANDBOX: 'true' });
    void openSilentReaders(service, 60, bytes);
    const most = await mostMemory(service);
    expect(most).toBeLessThan(mostBytes);
  });
});
