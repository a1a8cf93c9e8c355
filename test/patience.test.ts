import { once } from 'node:events';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { setTimeout as deadline } from 'node:timers/promises';

import { request } from 'undici';
import { describe, it } from 'vitest';

import { LARGE_OPERATION, startWordyOneNet } from './bounds/large-answer.ts';
import { connectTo, requestBytes } from './bounds/raw-client.ts';
import { scrape } from './metrics-text.ts';
import { askEntities, devices, type Service, startProcess, startProgram, startService } from './service.ts';

// What takes seconds because nothing happens meanwhile. All of it waits at the same time.

const NO_ONENET = 'http://127.0.0.1:9';
const POST = 'POST /graphql HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n';

function bodyOf(answer: string): unknown {
  return JSON.parse(answer.slice(answer.indexOf('\r\n\r\n')));
}

describe.concurrent('a request that does not come to its end', { timeout: 40_000 }, () => {
  it('is cut off when headers take 10 s and when a body takes 15 s', async ({ expect, onTestFinished }) => {
    const { url } = await startService(NO_ONENET, {}, onTestFinished);
    const [headers, body] = await Promise.all([
      drip('GET /livez HTTP/1.1\r\nHost: h\r\nX: '),
      drip(`${POST}Content-Length: 1000\r\n\r\n`),
    ]);
    // Node checks once a second.
    expect(headers.seconds).toBeGreaterThanOrEqual(9.9);
    expect(headers.seconds).toBeLessThan(12.5);
    expect(body.seconds).toBeGreaterThanOrEqual(14.9);
    expect(body.seconds).toBeLessThan(17.5);
    for (const { answer } of [headers, body]) {
      expect(answer).toMatch(/^HTTP\/1\.1 408 /);
      expect(bodyOf(answer)).toEqual({
        errors: [{ message: expect.stringMatching(/\S/), extensions: { code: 'BAD_REQUEST' } }],
      });
      expect(answer).not.toMatch(/https?:|file:|node_modules|\bat .+:\d+:\d+|stack/i);
    }

    /** Sends a byte every quarter of a second while the server accepts it. */
    async function drip(start: string): Promise<{ answer: string; seconds: number }> {
      const socket = connect(Number(new URL(url).port), '127.0.0.1');
      onTestFinished(() => void socket.destroy());
      await once(socket, 'connect');
      const startedAt = performance.now();
      socket.write(start);
      const dripping = setInterval(() => socket.write('x'), 250);
      const answer = await text(socket);
      clearInterval(dripping);
      return { answer, seconds: (performance.now() - startedAt) / 1000 };
    }
  });

  it('is answered only once if it was refused at its start', async ({ expect, onTestFinished }) => {
    const service = await startProcess({ ONENET_URL: NO_ONENET }, onTestFinished);
    const socket = await connectTo(service.url, onTestFinished);
    socket.write(`${POST.replace('/graphql', '/x')}Content-Length: 9\r\n\r\n`);
    expect((await text(socket)).match(/HTTP\/1\.1 /g)).toHaveLength(1);
  });
});

describe.concurrent('a stop signal ends the process within 25 s', { timeout: 40_000 }, () => {
  const unfinished = {
    'a connection without a request': '',
    'half of a head': 'POST /graphql HTTP/1.1\r\nHo',
    'half of a body': `${POST}Content-Length: 100\r\n\r\n{"query":`,
  };

  it('whatever clients leave unfinished', async ({ expect, onTestFinished }) => {
    const endings = Object.entries(unfinished).map(async ([name, bytes]) => {
      const service = await startProcess({}, onTestFinished);
      const socket = await connectTo(service.url, onTestFinished);
      if (bytes !== '') socket.write(bytes);
      // Accepted after the connection above, so the process has accepted that one by now.
      await (await request(new URL('/livez', service.url))).body.dump();
      service.child.kill('SIGTERM');
      return [name, await Promise.race([service.exited, deadline(25_000, 'still running', { ref: false })])];
    });
    expect(Object.fromEntries(await Promise.all(endings))).toEqual({
      'a connection without a request': 0,
      'half of a head': 0,
      'half of a body': 0,
    });
  });

  it('even if a client reads nothing of its answer', async ({ expect, onTestFinished }) => {
    const onenet = await startWordyOneNet(onTestFinished);
    const service = await startProcess({ ONENET_URL: onenet.url }, onTestFinished);
    const socket = await connectTo(service.url, onTestFinished);
    const large = requestBytes('POST', '/graphql', LARGE_OPERATION);
    socket.write(Buffer.concat([large, large]));
    await once(socket, 'readable');
    service.child.kill('SIGTERM');
    const ended = await Promise.race([service.exited, deadline(25_000, 'still running', { ref: false })]);
    expect(ended).toBe(0);
  });
});

describe.concurrent('the circuit', { timeout: 40_000 }, () => {
  const ids = (count: number): string[] => Array.from({ length: count }, (_, i) => `d${i}`);

  /** The codes of an answer's errors; empty if there is only data. */
  async function codesOf(service: Service, ...deviceIds: readonly string[]): Promise<string[]> {
    const { body } = await askEntities(
      service,
      'otaTask(type: FOTA) { target token }',
      devices(...deviceIds),
    );
    return (body.errors ?? []).map(({ extensions }: { extensions: { code: string } }) => extensions.code);
  }

  async function circuitOf(service: Service): Promise<string | undefined> {
    const samples = await scrape(service);
    return samples.find(({ name, value }) => name === 'onenet_ota_upstream_circuit_state' && value === 1)
      ?.labels['state'];
  }

  it('opens when all calls fail, fails fast, admits three probes, and notices the recovery', async ({
    expect,
    onTestFinished,
  }) => {
    let ill = true;
    const { onenet, service } = await startProgram(
      { fault: () => (ill ? { kind: 'status', status: 503 } : undefined) },
      {},
      onTestFinished,
    );
    expect(new Set(await codesOf(service, ...ids(100)))).toEqual(new Set(['ONENET_UNAVAILABLE']));
    expect(onenet.calls.length).toBeLessThan(100 + 20);
    expect(await circuitOf(service)).toBe('open');

    onenet.resetCalls();
    const started = performance.now();
    expect(new Set(await codesOf(service, ...ids(100)))).toEqual(new Set(['ONENET_UNAVAILABLE']));
    expect(performance.now() - started).toBeLessThan(1000);
    expect(onenet.calls).toHaveLength(0);

    // Many clients ask continuously, and still only three probes are sent, five seconds apart.
    await expect
      .poll(async () => (await codesOf(service, ...ids(20)), onenet.calls.length), { timeout: 15_000 })
      .toBe(3);
    expect(new Set(await codesOf(service, ...ids(20)))).toEqual(new Set(['ONENET_UNAVAILABLE']));
    expect(onenet.calls).toHaveLength(3);

    ill = false;
    const cured = performance.now();
    await expect.poll(() => codesOf(service, 'd1', 'd2'), { timeout: 10_000 }).toEqual([]);
    expect(performance.now() - cured).toBeLessThan(10_000);
    expect(await codesOf(service, ...ids(100))).toEqual([]);
    expect(service.log.flatMap(({ circuit }) => circuit ?? [])).toEqual([
      'open',
      'half-open',
      'open',
      'half-open',
      'closed',
    ]);
  });

  it('lets three probes out while OneNET hangs, and closes within ten seconds of the recovery', async ({
    expect,
    onTestFinished,
  }) => {
    let ill = true;
    const { onenet, service } = await startProgram(
      { fault: () => (ill ? { kind: 'stall' } : undefined) },
      { ONENET_TIMEOUT_MS: '500' },
      onTestFinished,
    );
    expect(await codesOf(service, ...ids(30))).toEqual(Array(30).fill('ONENET_TIMEOUT'));
    onenet.resetCalls();
    await expect
      .poll(async () => (await codesOf(service, ...ids(20)), onenet.calls.length), { timeout: 15_000 })
      .toBe(3);
    ill = false;
    const cured = performance.now();
    await expect.poll(() => codesOf(service, 'd1', 'd2'), { timeout: 10_000 }).toEqual([]);
    expect(performance.now() - cured).toBeLessThan(10_000);
  });

  it('closes again even if only one device is asked for', async ({ expect, onTestFinished }) => {
    let ill = true;
    const { service } = await startProgram(
      { fault: () => (ill ? { kind: 'status', status: 503 } : undefined) },
      {},
      onTestFinished,
    );
    await codesOf(service, ...ids(30));
    ill = false;
    const cured = performance.now();
    await expect.poll(() => codesOf(service, 'only'), { timeout: 10_000 }).toEqual([]);
    expect(await circuitOf(service)).toBe('half-open');
    await expect
      .poll(async () => (await codesOf(service, 'only'), circuitOf(service)), { timeout: 5000 })
      .toBe('closed');
    expect(performance.now() - cured).toBeLessThan(10_000);
  });
});
