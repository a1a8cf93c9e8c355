import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { createDemoFleet, createUniformFleet, type Fleet } from '../../src/simulator/fleet.ts';
import { exchange, startSimulator, tasking } from './exchange.ts';

const NOON = Date.UTC(2026, 0, 15, 12);

/** The task and the URL of its package, as a client sees them. */
async function announced(fleet?: Fleet, deviceId = '586012401') {
  const simulator = await startSimulator({ now: () => NOON, ...(fleet && { fleet }) });
  const { text } = await tasking(simulator, `dev_id=${deviceId}&type=1&cdn=true`);
  const { data } = JSON.parse(text);
  return {
    size: data.size as number,
    md5: data.md5 as string,
    url: `http://${data.ipPort}/ota/download/${data.token}`,
  };
}

it.each([
  ['demo fleet', createDemoFleet({ seed: 'onenet' })],
  ['uniform fleet', createUniformFleet({ seed: 'onenet' })],
])('serves the package of the %s with the announced size and MD5', async (_, fleet) => {
  const { url, size, md5 } = await announced(fleet);
  const { status, headers, bytes } = await exchange(url);

  expect(status).toBe(200);
  expect(headers).toMatchObject({ 'content-length': String(size), 'accept-ranges': 'bytes' });
  expect(bytes).toHaveLength(size);
  expect(size).toBeGreaterThanOrEqual(2 * 1024);
  expect(size).toBeLessThanOrEqual(256 * 1024);
  expect(createHash('md5').update(bytes).digest('hex')).toBe(md5);
});

it('answers HEAD with only the size', async () => {
  const { url, size } = await announced();
  const { status, headers, bytes } = await exchange(url, { method: 'HEAD', headers: { Range: 'bytes=0-9' } });
  expect(status).toBe(200);
  expect(headers['content-length']).toBe(String(size));
  expect(bytes).toHaveLength(0);
});

describe('for a range of a package', () => {
  it.each<[string, (size: number) => [string, number, number]]>([
    ['the beginning', () => ['bytes=0-99', 0, 99]],
    ['one byte', () => ['bytes=100-100', 100, 100]],
    ['the rest', (size) => ['bytes=1000-', 1000, size - 1]],
    ['the end', (size) => ['bytes=-10', size - 10, size - 1]],
    ['more than there is', (size) => [`bytes=10-${size + 5}`, 10, size - 1]],
    ['more of the end than there is', (size) => [`bytes=-${size + 5}`, 0, size - 1]],
  ])('serves %s', async (_, ask) => {
    const { url, size } = await announced();
    const [range, first, last] = ask(size);
    const whole = (await exchange(url)).bytes;
    const { status, headers, bytes } = await exchange(url, { headers: { Range: range } });

    expect(status).toBe(206);
    expect(headers['content-range']).toBe(`bytes ${first}-${last}/${size}`);
    expect(headers['content-length']).toBe(String(last - first + 1));
    expect(bytes.equals(whole.subarray(first, last + 1))).toBe(true);
  });

  it.each(['bytes=300000-', 'bytes=300000-300001', 'bytes=-0'])('refuses %s', async (range) => {
    const { url, size } = await announced();
    const { status, headers, bytes } = await exchange(url, { headers: { Range: range } });
    expect(status).toBe(416);
    expect(headers['content-range']).toBe(`bytes */${size}`);
    expect(bytes).toHaveLength(0);
  });

  it.each(['bytes=-', 'bytes=9-3', 'bytes=a-b', 'bytes=0-1,4-5', 'lines=1-2', ''])(
    'serves the whole package for "%s"',
    async (range) => {
      const { url, size } = await announced();
      const { status, headers, bytes } = await exchange(url, { headers: { Range: range } });
      expect(status).toBe(200);
      expect(headers['content-range']).toBeUndefined();
      expect(bytes).toHaveLength(size);
    },
  );
});

it.each([
  ['unknown token', 'ota_AAAAAAAAAAAAAAAAAAAA', 'GET'],
  ["token of the document's example", 'ota_5hc95SFeo5xJEnaNrste', 'GET'],
  ['method that does not read', 'ota_5hc95SFeo5xJEnaNrste', 'DELETE'],
])('has nothing to download for a %s', async (_, token, method) => {
  const { url } = await startSimulator();
  const { status, text } = await exchange(`${url}/ota/download/${token}`, { method });
  expect(status).toBe(404);
  expect(JSON.parse(text)).toEqual({ errno: 4, error: 'no valid token found' });
});

it('serves a package only as long as its task lasts', async () => {
  let nowMs = NOON;
  const fleet = createDemoFleet({ seed: 'onenet' });
  const simulator = await startSimulator({ fleet, now: () => nowMs });
  const id = '904417730';
  while (fleet.answer(id, 1, nowMs).errno !== 0) nowMs += 1000;
  const { token } = JSON.parse((await tasking(simulator, `dev_id=${id}&type=1`)).text).data;
  const url = `${simulator.url}/ota/download/${token}`;
  expect((await exchange(url)).status).toBe(200);

  while (fleet.answer(id, 1, nowMs).errno === 0) nowMs += 1000;
  expect((await exchange(url)).status).toBe(404);
  while (fleet.answer(id, 1, nowMs).errno !== 0) nowMs += 1000;
  expect((await exchange(url)).status).toBe(404);
});
