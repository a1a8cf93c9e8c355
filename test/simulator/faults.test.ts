import { expect, it } from 'vitest';
import type { Fault } from '../../src/simulator/simulator.ts';
import { createSignal, exchange, keepAliveAgent, startSimulator, tasking } from './exchange.ts';

const QUERY = 'dev_id=6523&type=1';

it.each<[string, Fault, { status: number; type: string; text: string }]>([
  [
    'a status with headers and body',
    {
      kind: 'status',
      status: 503,
      headers: { 'content-type': 'text/html', 'Retry-After': '1' },
      body: '<p>no',
    },
    { status: 503, type: 'text/html', text: '<p>no' },
  ],
  [
    'a bare status',
    { kind: 'status', status: 302 },
    { status: 302, type: 'application/json;charset=UTF-8', text: '' },
  ],
  [
    'a body that is no JSON',
    { kind: 'body', body: '{"errno":' },
    { status: 200, type: 'application/json;charset=UTF-8', text: '{"errno":' },
  ],
  [
    'a body with headers',
    { kind: 'body', body: 'ünï', headers: { 'Content-Type': 'text/plain', 'Content-Length': '5' } },
    { status: 200, type: 'text/plain', text: 'ünï' },
  ],
])('answers with %s, verbatim', async (_, fault, { status, type, text }) => {
  const answer = await tasking(await startSimulator({ fault: () => fault }), QUERY);
  expect(answer).toMatchObject({ status, text, headers: { 'content-type': type } });
  if (fault.kind === 'status' && fault.headers) expect(answer.headers['retry-after']).toBe('1');
});

it('resets the connection after reading the request', async () => {
  const simulator = await startSimulator({ fault: () => ({ kind: 'reset' }) });
  await expect(tasking(simulator, QUERY)).rejects.toMatchObject({ code: 'ECONNRESET' });
  expect(simulator.calls).toHaveLength(1);
});

it('closes the connection in the middle of the body', async () => {
  const simulator = await startSimulator({ fault: () => ({ kind: 'cut' }) });
  await expect(tasking(simulator, QUERY)).rejects.toMatchObject({ message: 'aborted', code: 'ECONNRESET' });
});

it('never answers a call', async () => {
  const client = new AbortController();
  const arrived = createSignal();
  const simulator = await startSimulator({
    fault: (call) => {
      if (call.deviceId !== '1') return undefined;
      arrived.give();
      return { kind: 'stall' };
    },
  });
  const waiting = tasking(simulator, 'dev_id=1&type=1', { signal: client.signal });
  await arrived.given;
  // Other calls are answered in the meantime.
  expect((await tasking(simulator, QUERY)).status).toBe(200);
  expect(simulator.inFlight).toBe(1);
  client.abort();
  await expect(waiting).rejects.toMatchObject({ name: 'AbortError' });
});

it('asks for a fault on every tasking call, before any check, and on no other request', async () => {
  const asked: (string | null)[] = [];
  const simulator = await startSimulator({
    credentials: { token: 'secret' },
    fault: ({ deviceId }) => {
      asked.push(deviceId);
      return deviceId === '1' ? { kind: 'status', status: 500 } : undefined;
    },
  });
  const agent = keepAliveAgent();
  expect((await tasking(simulator, 'dev_id=1', { agent })).status).toBe(500);
  expect((await tasking(simulator, 'dev_id=2', { agent })).status).toBe(401);
  await exchange(`${simulator.url}/ota/download/x`, { agent });
  expect(asked).toEqual(['1', '2']);
});
