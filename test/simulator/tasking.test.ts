import { once } from 'node:events';
import { createServer } from 'node:net';
import { expect, it, vi } from 'vitest';
import { createUniformFleet } from '../../src/simulator/fleet.ts';
import { createSimulator } from '../../src/simulator/simulator.ts';
import {
  createSignal,
  exchange,
  keepAliveAgent,
  startSimulator,
  tasking,
  TASKING_HEADERS,
} from './exchange.ts';

it('answers the documented request with the documented example, byte for byte', async () => {
  const { status, headers, text } = await tasking(await startSimulator(), 'dev_id=6523&type=1&cdn=true');

  expect(status).toBe(200);
  expect(headers['content-type']).toBe('application/json;charset=UTF-8');
  expect(headers['transfer-encoding']).toBe('chunked');
  expect(headers['content-length']).toBeUndefined();
  expect(text).toBe(
    '{"errno":0,"error":"succ","data":{"target":"1.2","token":"ota_5hc95SFeo5xJEnaNrste","size":123,"signal":12,' +
      '"power":90,"retry":10,"interval":90,"md5":"dfkdajkfd","ipPort":"172.19.3.3:8002","type":1}}',
  );
});

it.each(['dev_id=6523&type=1', 'dev_id=6523&type=1&cdn=false', 'dev_id=6523&type=1&cdn='])(
  'omits ipPort in the answer to %s',
  async (query) => {
    const { text } = await tasking(await startSimulator(), query);
    expect(text).toContain('"md5":"dfkdajkfd","type":1}}');
  },
);

it('uses its own address as ipPort if the task has none', async () => {
  const simulator = await startSimulator();
  const { text } = await tasking(simulator, 'dev_id=586012401&type=1&cdn=true');
  expect(`http://${JSON.parse(text).data.ipPort}`).toBe(simulator.url);
});

it.each([
  ['type is missing', 'dev_id=6523', 2],
  ['type is neither 1 nor 2', 'dev_id=6523&type=3', 2],
  ['type is not a plain number', 'dev_id=6523&type=01', 2],
  ['type is not supported by the product', 'dev_id=73250134&type=2', 2],
  ['dev_id is missing', 'type=1', 4],
  ['the device is unknown', 'dev_id=1&type=1', 4],
  ['the device has no task', 'dev_id=6523&type=2', 4],
  ['something broke inside OneNET', 'dev_id=73250126&type=1', 7],
  ['the token expired', 'dev_id=73250118&type=1', 12],
  ['OneNET has something undocumented to say', 'dev_id=73250142&type=1', 26],
])('answers HTTP 200 without data when %s', async (_, query, errno) => {
  const { status, headers, text } = await tasking(await startSimulator(), query);
  expect(status).toBe(200);
  expect(headers['transfer-encoding']).toBe('chunked');
  expect(JSON.parse(text)).toEqual({ errno, error: expect.stringMatching(/^[a-z ,]+$/) });
});

it.each([
  ['a tasking call without Content-Type', { headers: { Authorization: 'anything' } }, 415],
  ['a tasking call with a form', { headers: { ...TASKING_HEADERS, 'Content-Type': 'text/plain' } }, 415],
  ['a tasking call without Authorization', { headers: { 'Content-Type': 'application/json' } }, 401],
  ['a tasking call that is not a GET', { method: 'POST' }, 405],
])('refuses %s', async (_, options, status) => {
  const answer = await tasking(await startSimulator(), 'dev_id=6523&type=1', options);
  expect(answer.status).toBe(status);
  expect(JSON.parse(answer.text)).toEqual({ errno: 1, error: expect.any(String) });
});

it.each(['/', '/ota/south/check?dev_id=6523', '/ota/south/tasking/', '//', '/ota/download/'])(
  'answers 404 at %s',
  async (path) => {
    const simulator = await startSimulator();
    const { status, text } = await exchange(simulator.url + path);
    expect(status).toBe(404);
    expect(JSON.parse(text).errno).toBe(4);
    expect(simulator.calls).toEqual([]);
  },
);

it('records the tasking calls in order of arrival', async () => {
  const simulator = await startSimulator();
  const agent = keepAliveAgent();
  await tasking(simulator, 'type=1&dev_id=00%37', { agent });
  await tasking(simulator, 'cdn=true', { agent });
  await tasking(simulator, 'dev_id=8');

  expect(simulator.calls).toMatchObject([
    { deviceId: '007', type: '1', cdn: null, method: 'GET', connection: 1 },
    { deviceId: null, type: null, cdn: 'true', path: '/ota/south/tasking?cdn=true', connection: 1 },
    { deviceId: '8', connection: 2, headers: { authorization: 'anything' } },
  ]);
  expect(simulator.calls[0]?.path).toBe('/ota/south/tasking?type=1&dev_id=00%37');

  simulator.resetCalls();
  expect(simulator.calls).toEqual([]);
  expect(simulator.mostInFlight).toBe(0);
});

it('counts concurrently waiting calls until their clients disconnect', async () => {
  const simulator = await startSimulator({
    fault: (call) => (call.deviceId === '0' ? undefined : { kind: 'stall' }),
  });
  await tasking(simulator, 'dev_id=0&type=1');
  expect(simulator.inFlight).toBe(0);
  expect(simulator.mostInFlight).toBe(1);

  const clients = new AbortController();
  const send = (id: string) => tasking(simulator, `dev_id=${id}&type=1`, { signal: clients.signal });
  const waiting = Promise.allSettled(['1', '2', '3'].map(send));
  await vi.waitFor(() => expect(simulator.inFlight).toBe(3));
  expect(simulator.mostInFlight).toBe(3);

  clients.abort();
  await waiting;
  await vi.waitFor(() => expect(simulator.inFlight).toBe(0));
  expect(simulator.mostInFlight).toBe(3);
});

it('delays the calls that are meant to be slow, without delaying others', async () => {
  const slowArrived = createSignal();
  const simulator = await startSimulator({
    latencyMs: ({ deviceId }) => {
      if (deviceId === 'slow') slowArrived.give();
      return deviceId === 'slow' ? 100 : 0;
    },
  });
  const answered: string[] = [];
  const slow = tasking(simulator, 'dev_id=slow&type=1').then(() => answered.push('slow'));
  await slowArrived.given;
  const quick = tasking(simulator, 'dev_id=quick&type=1').then(() => answered.push('quick'));
  await Promise.all([slow, quick]);
  expect(answered).toEqual(['quick', 'slow']);
});

it('announces the end of a connection with its last request, and accepts the next request on a new one', async () => {
  const simulator = await startSimulator({
    requestsPerConnection: 3,
    fleet: createUniformFleet({ seed: 'a' }),
  });
  const agent = keepAliveAgent();
  const endings: (string | undefined)[] = [];
  for (const id of ['1', '2', '3', '4']) {
    endings.push((await tasking(simulator, `dev_id=${id}&type=1`, { agent })).headers.connection);
  }
  expect(endings).toEqual(['keep-alive', 'keep-alive', 'close', 'keep-alive']);
  expect(simulator.calls.map((call) => call.connection)).toEqual([1, 1, 1, 2]);
});

it('closes a connection after 1000 requests by default', async () => {
  const simulator = await startSimulator();
  const agent = keepAliveAgent();
  for (let count = 0; count < 1001; count++) await tasking(simulator, 'dev_id=1&type=1', { agent });
  expect(simulator.calls.filter((call) => call.connection === 1)).toHaveLength(1000);
});

it('rejects when its port is taken', async () => {
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  const { port } = taken.address() as { port: number };
  await expect(createSimulator({ port })).rejects.toMatchObject({ code: 'EADDRINUSE' });
  taken.close();
});

it('stops at once when closed, even while calls are waiting', async () => {
  const arrived = createSignal();
  const simulator = await startSimulator({
    fault: () => {
      arrived.give();
      return { kind: 'stall' };
    },
  });
  const waiting = expect(tasking(simulator, 'dev_id=1&type=1')).rejects.toMatchObject({ code: 'ECONNRESET' });
  await arrived.given;
  await simulator.close();
  await waiting;
  await expect(exchange(simulator.url)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
});
