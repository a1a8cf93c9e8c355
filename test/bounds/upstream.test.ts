import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

import { describe, expect, it, onTestFinished } from 'vitest';

import { scrape, valueOf } from '../metrics-text.ts';
import { httpAnswer, type RawConnection, startRawUpstream, taskAnswer } from '../onenet/raw-upstream.ts';
import {
  askEntities,
  devices,
  type Environment,
  type Service,
  type ServiceProcess,
  startProcess,
  startProgram,
  startService,
} from '../service.ts';
import type { SimulatorOptions } from '../../src/simulator/simulator.ts';

const SELECTION = 'otaTask(type: FOTA) { target token }';
const ids = (count: number, prefix = 'd'): string[] =>
  Array.from({ length: count }, (_, i) => `${prefix}${i}`);

/** The codes of an answer's errors; empty if there is only data. */
async function codesOf(service: Service, ...deviceIds: readonly string[]): Promise<string[]> {
  const { body } = await askEntities(service, SELECTION, devices(...deviceIds));
  return (body.errors ?? []).map(({ extensions }: { extensions: { code: string } }) => extensions.code);
}

/** The state of the circuit. */
async function circuitOf(service: Service): Promise<string | undefined> {
  const samples = await scrape(service);
  return samples.find(({ name, value }) => name === 'onenet_ota_upstream_circuit_state' && value === 1)
    ?.labels['state'];
}

/** The circuit states in the log. */
function circuitChanges(service: ServiceProcess): unknown[] {
  return service.log.flatMap(({ circuit }) => circuit ?? []);
}

describe('malformed framing', () => {
  const body = taskAnswer('1.2');
  const head = (...headers: readonly string[]): string =>
    ['HTTP/1.1 200 OK', ...headers, '', ''].join('\r\n');

  it.each([
    ['two equal lengths', head(`Content-Length: ${body.length}`, `Content-Length: ${body.length}`) + body],
    ['two lengths', head(`Content-Length: ${body.length}`, 'Content-Length: 7') + body],
    ['a length too long', head(`Content-Length: ${body.length + 1}`) + body],
    ['a length too short', head(`Content-Length: ${body.length - 1}`) + body],
    [
      'a length and chunks',
      head(`Content-Length: ${body.length}`, 'Transfer-Encoding: chunked') +
        `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`,
    ],
  ])('is a bad response, is not retried, and does not open the circuit: %s', async (_, bytes) => {
    const upstream = await startRawUpstream(async (connection) => {
      await connection.request();
      connection.socket.end(bytes);
    });
    const service = await startService(upstream.origin);
    expect(await codesOf(service, ...ids(40))).toEqual(Array(40).fill('ONENET_BAD_RESPONSE'));
    expect(upstream.connections).toHaveLength(40);
    expect(await circuitOf(service)).toBe('closed');
  });

  it('does not include an unrequested 100 before the answer', async () => {
    const upstream = await startRawUpstream(async (connection) => {
      for (;;) {
        await connection.request();
        connection.socket.write(`HTTP/1.1 100 Continue\r\n\r\n${httpAnswer(body).toString()}`);
      }
    });
    const service = await startService(upstream.origin);
    for (let round = 0; round < 3; round++) expect(await codesOf(service, ...ids(40))).toEqual([]);
    expect(valueOf(await scrape(service), 'onenet_ota_upstream_retries_total')).toBe(0);
  });
});

describe('a client that hammers a bad device', () => {
  const fault: SimulatorOptions['fault'] = ({ deviceId }) =>
    deviceId?.startsWith('bad') === true ? { kind: 'body', body: '{"errno":7}' } : undefined;

  /** Asks for one device hundreds of times a second, five requests at a time, until the test is over, and counts. */
  function hammer(service: ServiceProcess): { asked: number } {
    const attack = { asked: 0, over: false };
    onTestFinished(() => void (attack.over = true));
    const ask = async (): Promise<void> => {
      for (; !attack.over; attack.asked++) {
        await codesOf(service, 'bad0').catch(() => (attack.over = true));
        await delay(10);
      }
    };
    for (let i = 0; i < 5; i++) void ask();
    return attack;
  }

  it('does not open the circuit', async () => {
    const { service } = await startProgram({ fault });
    const attack = hammer(service);
    await expect.poll(() => attack.asked, { timeout: 15_000 }).toBeGreaterThan(200);
    expect(await codesOf(service, ...ids(30))).toEqual([]);
    expect(await circuitOf(service)).toBe('closed');
  }, 20_000);

  it('does not keep it open', async () => {
    const { service } = await startProgram({ fault });
    expect(await codesOf(service, ...ids(600, 'bad'))).toHaveLength(600);
    expect(await circuitOf(service)).toBe('open');
    const attack = hammer(service);
    const opened = performance.now();
    await expect
      .poll(() => codesOf(service, 'user1', 'user2'), { timeout: 12_000, interval: 100 })
      .toEqual([]);
    expect(performance.now() - opened).toBeLessThan(10_000);
    const before = attack.asked;
    while (attack.asked < before + 200) expect(await codesOf(service, 'user1')).toEqual([]);
    expect(circuitChanges(service)).toEqual(['open', 'half-open', 'closed']);
  }, 30_000);
});

describe('clients that ask for more than fits in the queue', () => {
  it('do not affect requests for one device', async () => {
    const { service } = await startProgram(
      { latencyMs: 50 },
      { ONENET_CONNECTIONS: '8', MAX_DEVICE_TASKS: '50' },
    );
    let over = false;
    onTestFinished(() => void (over = true));
    const ask = async (client: number): Promise<void> => {
      for (let round = 0; !over; round++)
        await codesOf(service, ...ids(50, `c${client}-${round}-`)).catch(() => undefined);
    };
    for (let client = 0; client < 20; client++) void ask(client);
    await expect
      .poll(async () => valueOf(await scrape(service), 'onenet_ota_upstream_waiting'), { timeout: 5000 })
      .toBeGreaterThan(450);
    for (let user = 0; user < 20; user++) expect(await codesOf(service, `user${user}`)).toEqual([]);
  }, 30_000);
});

describe('a service that was frozen for longer than its timeout', () => {
  const DEVICES = 64;
  const TIMEOUT_MS = 1000;

  /** Freezes the service while all devices are requested and runs `meanwhile`; resolves to the codes in the answer. */
  async function freeze(
    environment: Environment,
    meanwhile: (connection: RawConnection) => void,
  ): Promise<{ codes: readonly string[]; service: ServiceProcess }> {
    const upstream = await startRawUpstream();
    const service = await startProcess({
      ONENET_URL: upstream.origin,
      ONENET_TIMEOUT_MS: `${TIMEOUT_MS}`,
      ...environment,
    });
    const codes = codesOf(service, ...ids(DEVICES));
    const asking = ids(DEVICES).map(async (_, i) => {
      const connection = await upstream.connection(i + 1);
      await connection.request();
      return connection;
    });
    const connections = await Promise.all(asking);
    const frozen = performance.now();
    service.child.kill('SIGSTOP');
    await expect
      .poll(() => readFileSync(`/proc/${service.child.pid}/stat`, 'latin1').split(') ')[1]?.[0])
      .toBe('T');
    connections.forEach(meanwhile);
    await expect
      .poll(() => performance.now() - frozen, { timeout: 10_000 })
      .toBeGreaterThan(1.3 * TIMEOUT_MS);
    service.child.kill('SIGCONT');
    return { codes: await codes, service };
  }

  it.each([
    ['for a call', {}],
    ['for a request', { REQUEST_TIMEOUT_MS: `${TIMEOUT_MS}` }],
  ])('reads the answers that arrived meanwhile before it gives up: %s', async (_, environment) => {
    const { codes, service } = await freeze(environment, ({ socket }) =>
      socket.write(httpAnswer(taskAnswer('1.2'))),
    );
    expect(codes).toEqual([]);
    expect(await circuitOf(service)).toBe('closed');
  });

  it.each([
    ['of a call', {}],
    ['of a request', { REQUEST_TIMEOUT_MS: `${TIMEOUT_MS}` }],
  ])('does not count the timeout %s against OneNET', async (_, environment) => {
    const { codes, service } = await freeze(environment, () => undefined);
    expect(codes).toEqual(Array(DEVICES).fill('ONENET_TIMEOUT'));
    expect(await circuitOf(service)).toBe('closed');
  });
});
