import fc from 'fast-check';
import { describe, expect, it, onTestFinished } from 'vitest';

import {
  createStaticToken,
  createTokenMint,
  type SignMethod,
  signToken,
} from '../../src/onenet/authorization.ts';
import { createUniformFleet } from '../../src/simulator/fleet.ts';
import { createSimulator, type Simulator } from '../../src/simulator/simulator.ts';
import { CREDENTIALS } from '../service.ts';
import { type Ask, startClient } from './start-client.ts';

const METHODS: readonly SignMethod[] = ['md5', 'sha1', 'sha256'];

describe('a security token', () => {
  it.each([
    ['sha1', 'lsaPSiiGvEFFjXu5WU7a6IkScqE%3D'],
    ['md5', 'M3jB6jcSNUuGcvW3dFcrWA%3D%3D'],
    ['sha256', 'tuFMd8Cc5krZO%2BRiNaW4mad5tauSFq2J89Gd70MXQPI%3D'],
  ] as const)('signed with %s equals the documented one exactly', (method, sign) => {
    expect(signToken({ ...CREDENTIALS, method }, 1_537_255_523)).toBe(
      `version=2018-10-31&res=products%2F123123&et=1537255523&method=${method}&sign=${sign}`,
    );
  });

  it('names its product, and a different product gets a different signature', () => {
    const token = new URLSearchParams(
      signToken({ ...CREDENTIALS, productId: 'k9Zx', method: 'sha256' }, 1_537_255_523),
    );
    expect(token.get('res')).toBe('products/k9Zx');
    expect(token.get('sign')).not.toBe('tuFMd8Cc5krZO+RiNaW4mad5tauSFq2J89Gd70MXQPI=');
  });

  it('is a valid header value and never contains the key', () => {
    const anyKey = fc.uint8Array({ minLength: 1, maxLength: 64 }).map((key) => Buffer.from(key));
    fc.assert(
      fc.property(anyKey, fc.constantFrom(...METHODS), fc.nat(), (key, method, expiry) => {
        const accessKey = key.toString('base64');
        const token = signToken({ productId: '123123', accessKey, method }, expiry);
        expect(token).toMatch(/^[\w=&%.~-]+$/);
        expect(token.split('&')).toHaveLength(5);
        // A short key may appear in anything by chance.
        if (key.length >= 8) expect(decodeURIComponent(token)).not.toContain(accessKey);
      }),
    );
  });
});

describe('the token mint', () => {
  const TTL_SECONDS = 1000;
  const START_MS = 1_700_000_000_000;

  /** A mint and its clock. */
  function startMint(ttlSeconds = TTL_SECONDS, startMs = START_MS) {
    const clock = { ms: startMs };
    const mint = createTokenMint({ ...CREDENTIALS, method: 'sha256', ttlSeconds, now: () => clock.ms });
    return { ...mint, clock };
  }

  function expiryOf(token: string): number {
    return Number(new URLSearchParams(token).get('et'));
  }

  it('mints a token that expires after its full lifetime', () => {
    const { authorize } = startMint();
    expect(expiryOf(authorize())).toBe(1_700_000_000 + TTL_SECONDS);
  });

  it('gives the same signature as signing by hand', () => {
    const { authorize } = startMint();
    expect(authorize()).toBe(signToken({ ...CREDENTIALS, method: 'sha256' }, 1_700_000_000 + TTL_SECONDS));
  });

  it('counts the lifetime from the first call, not from its own start', () => {
    const { authorize, clock } = startMint();
    clock.ms += 5_000_000;
    expect(expiryOf(authorize())).toBe(1_700_005_000 + TTL_SECONDS);
  });

  it.each([0, 1, 1000, 400_000, 799_000, 799_999])(
    'reuses the token %i ms later, while more than a fifth of its lifetime is left',
    (elapsedMs) => {
      const { authorize, clock } = startMint();
      const first = authorize();
      clock.ms += elapsedMs;
      expect(authorize()).toBe(first);
    },
  );

  it.each([800_000, 800_001, 999_999, 1_000_000, 86_400_000])(
    'renews the token %i ms later, when a fifth of its lifetime or less is left',
    (elapsedMs) => {
      const { authorize, clock } = startMint();
      authorize();
      clock.ms += elapsedMs;
      expect(expiryOf(authorize())).toBe(Math.floor(clock.ms / 1000) + TTL_SECONDS);
    },
  );

  it('reports when its token expires, once there is one', () => {
    const { authorize, expiry, clock } = startMint();
    expect(expiry()).toBeUndefined();
    const first = authorize();
    expect(expiry()).toBe(expiryOf(first));
    clock.ms += 800_000;
    expect(expiryOf(authorize())).toBe(1_700_000_800 + TTL_SECONDS);
    expect(expiry()).toBe(1_700_000_800 + TTL_SECONDS);
  });

  it('keeps the renewed token for as long as the first', () => {
    const { authorize, clock } = startMint();
    const first = authorize();
    clock.ms += 800_000;
    const second = authorize();
    clock.ms += 799_999;
    expect(authorize()).toBe(second);
    clock.ms += 1;
    expect(new Set([first, second, authorize()]).size).toBe(3);
  });

  it('never returns a token with less than a fifth of its lifetime left, whatever the clock says', () => {
    const steps = fc.array(fc.nat({ max: 7000 }), { minLength: 1, maxLength: 30 });
    fc.assert(
      fc.property(
        fc.integer({ min: 5, max: 20 }),
        fc.nat({ max: 5000 }),
        steps,
        (ttlSeconds, offset, waits) => {
          const { authorize, clock } = startMint(ttlSeconds, START_MS + offset);
          for (const wait of waits) {
            clock.ms += wait;
            const leftMs = expiryOf(authorize()) * 1000 - clock.ms;
            expect(leftMs).toBeGreaterThanOrEqual(ttlSeconds * 200);
          }
        },
      ),
    );
  });
});

describe('a static token', () => {
  it('is used unchanged, and its expiry is reported', () => {
    const token = signToken({ ...CREDENTIALS, method: 'sha256' }, 1_537_255_523);
    const { authorize, expiry } = createStaticToken(token);
    expect([authorize(), expiry()]).toEqual([token, 1_537_255_523]);
  });

  it.each(['token', 'et', 'et=', 'et=soon', 'et=-1', 'et=1e9', 'et=15372555230000', 'met=1537255523'])(
    'has no known expiry if it does not state one as documented: %s',
    (token) => {
      const { authorize, expiry } = createStaticToken(token);
      expect([authorize(), expiry()]).toEqual([token, undefined]);
    },
  );
});

describe('a OneNET that checks signatures', () => {
  async function startOneNet(now: () => number = Date.now): Promise<Simulator> {
    const onenet = await createSimulator({
      credentials: CREDENTIALS,
      fleet: createUniformFleet({ seed: 'test' }),
      now,
    });
    onTestFinished(() => onenet.close());
    return onenet;
  }

  const startClientOf = (onenet: Simulator, authorize: () => string): Ask =>
    startClient(onenet.url, { authorize });

  const REQUEST = { deviceId: '6523', type: 'FOTA', withAddress: false } as const;
  const signal = new AbortController().signal;

  it.each(METHODS)('accepts a token that was minted with %s', async (method) => {
    const onenet = await startOneNet();
    const { authorize } = createTokenMint({ ...CREDENTIALS, method, ttlSeconds: 60, now: Date.now });
    const [outcome] = await startClientOf(onenet, authorize)([REQUEST], signal);
    expect(outcome).toMatchObject({ token: expect.stringMatching(/^ota_\w{20}$/) });
    expect(onenet.calls[0]?.headers.authorization).toBe(authorize());
  });

  it.each([
    ['another key', { accessKey: Buffer.from('another key').toString('base64') }],
    ['another product', { productId: '321321' }],
  ])('refuses a token of %s', async (_, wrong) => {
    const onenet = await startOneNet();
    const { authorize } = createTokenMint({
      ...CREDENTIALS,
      ...wrong,
      method: 'sha256',
      ttlSeconds: 60,
      now: Date.now,
    });
    const [outcome] = await startClientOf(onenet, authorize)([REQUEST], signal);
    expect(outcome).toMatchObject({
      name: 'OneNetError',
      reason: 'unauthorized',
      errno: undefined,
    });
  });

  it('refuses an expired token, and accepts the one that the mint returns at that time', async () => {
    let nowMs = 1_700_000_000_000;
    const onenet = await startOneNet(() => nowMs);
    const { authorize } = createTokenMint({
      ...CREDENTIALS,
      method: 'sha256',
      ttlSeconds: 60,
      now: () => nowMs,
    });
    const old = authorize();
    nowMs += 60_000;
    const [withOld] = await startClientOf(onenet, () => old)([REQUEST], signal);
    expect(withOld).toMatchObject({ name: 'OneNetError', reason: 'unauthorized' });
    const [withNew] = await startClientOf(onenet, authorize)([REQUEST], signal);
    expect(withNew).toHaveProperty('token');
  });
});
