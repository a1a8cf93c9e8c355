import { createHmac } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { Exchange } from './exchange.ts';
import { startSimulator, tasking } from './exchange.ts';

const PRODUCT = { productId: '123123', accessKey: 'KuF3NT/jUBJ62LNBB/A8XZA9CqS3Cu79B/ABmfA1UCw=' };
const EXPIRY = 1537255523;
/** The signatures in OneNET's documentation for its sample key. */
const SIGNS = {
  sha1: 'lsaPSiiGvEFFjXu5WU7a6IkScqE%3D',
  md5: 'M3jB6jcSNUuGcvW3dFcrWA%3D%3D',
  sha256: 'tuFMd8Cc5krZO%2BRiNaW4mad5tauSFq2J89Gd70MXQPI%3D',
};

function token(fields: Partial<Record<'version' | 'res' | 'et' | 'method' | 'sign', string>> = {}): string {
  const all = {
    version: '2018-10-31',
    res: 'products%2F123123',
    et: String(EXPIRY),
    method: 'sha256',
    sign: SIGNS.sha256,
    ...fields,
  };
  return Object.entries(all)
    .map(([name, value]) => `${name}=${value}`)
    .join('&');
}

/** A token with a valid signature of the product's key, whatever it contains. */
function signed(res: string, et: string, version = '2018-10-31'): string {
  const hmac = createHmac('sha256', Buffer.from(PRODUCT.accessKey, 'base64'));
  const sign = hmac.update(`${et}\nsha256\n${res}\n${version}`).digest('base64');
  return token({ version, res: encodeURIComponent(res), et, sign: encodeURIComponent(sign) });
}

async function call(authorization: string, nowMs = EXPIRY * 1000 - 1): Promise<Exchange> {
  const simulator = await startSimulator({ credentials: PRODUCT, now: () => nowMs });
  const headers = { 'Content-Type': 'application/json', Authorization: authorization };
  return tasking(simulator, 'dev_id=6523&type=1', { headers });
}

describe('with a product and its key', () => {
  it.each(Object.entries(SIGNS))(
    'accepts the documented %s signature until it expires',
    async (method, sign) => {
      const { status, text } = await call(token({ method, sign }));
      expect(status).toBe(200);
      expect(JSON.parse(text).errno).toBe(0);
    },
  );

  it('accepts the fields in any order', async () => {
    expect((await call(token().split('&').reverse().join('&'))).status).toBe(200);
  });

  it.each([
    ['of another method', token({ method: 'md5' }), 'signature does not match'],
    ['with a forged signature', token({ sign: SIGNS.sha1 }), 'signature does not match'],
    ['with a longer life than was signed', token({ et: '1937255523' }), 'signature does not match'],
    ['with an unknown method', token({ method: 'sha512' }), 'signature method is not supported'],
    ['with a method in capitals', token({ method: 'SHA256' }), 'signature method is not supported'],
    ['of another product', signed('products/123124', String(EXPIRY)), 'token is for another resource'],
    ['of a device', signed('products/123123/devices/1', String(EXPIRY)), 'token is for another resource'],
    ['of another version', signed('products/123123', String(EXPIRY), '2020-05-29'), 'version'],
    ['with an expiry that is no number', signed('products/123123', 'never'), 'expiry is malformed'],
    ['with a signature that is not percent-encoded', token({ sign: 'a+b/c' }), 'token is malformed'],
    ['with a resource that is not percent-encoded', token({ res: 'products/123123' }), 'token is malformed'],
    ['with a broken percent-encoding', token({ res: '%ff' }), 'token is malformed'],
    ['without a signature', token().replace(/&sign=.*/, ''), 'token is malformed'],
    ['with a field twice', `${token()}&method=sha256`, 'token is malformed'],
    ['with an unknown field in the place of one', token().replace('et=', 'exp='), 'token is malformed'],
    ['that is none', 'Bearer 123', 'token is malformed'],
  ])('refuses a token %s', async (_, authorization, reason) => {
    const { status, headers, text } = await call(authorization);
    expect(status).toBe(401);
    expect(headers['content-type']).toBe('application/json;charset=UTF-8');
    expect(JSON.parse(text)).toEqual({ errno: 1, error: expect.stringContaining(reason) });
  });

  it('refuses a token from its expiry on', async () => {
    const { status, text } = await call(token(), EXPIRY * 1000);
    expect(status).toBe(401);
    expect(JSON.parse(text)).toEqual({ errno: 1, error: 'token has expired' });
  });
});

describe('with several products and their keys', () => {
  it.each([
    ['accepts what the key of its product signed', 'p2', 200],
    ['refuses what the key of another product signed', 'p1', 401],
    ['refuses a product that it does not know', 'p3', 401],
    ['refuses what is inherited by every object', 'constructor', 401],
  ])('%s', async (_, product, status) => {
    const simulator = await startSimulator({
      credentials: { products: { p1: 'b3RoZXI=', p2: PRODUCT.accessKey } },
      now: () => EXPIRY * 1000 - 1,
    });
    const authorization = signed(`products/${product}`, String(EXPIRY));
    const headers = { 'Content-Type': 'application/json', Authorization: authorization };
    expect((await tasking(simulator, 'dev_id=6523&type=1', { headers })).status).toBe(status);
  });
});

it.each([
  ['accepts the ready token', 'a ready token', 200],
  ['refuses any other token', 'another token', 401],
])('%s if that is its only credential', async (_, authorization, status) => {
  const simulator = await startSimulator({ credentials: { token: 'a ready token' } });
  const headers = { 'Content-Type': 'application/json', Authorization: authorization };
  expect((await tasking(simulator, 'dev_id=6523&type=1', { headers })).status).toBe(status);
});
