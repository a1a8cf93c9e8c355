import { describe, expect, it } from 'vitest';

import { createTokenMint } from '../../src/onenet/authorization.ts';
import { decodeTaskingAnswer } from '../../src/onenet/decode.ts';
import { downloadUrl, type OtaTask } from '../../src/ota-task.ts';
import { CREDENTIALS } from '../service.ts';
import { httpAnswer, startRawUpstream, taskAnswer } from './raw-upstream.ts';
import { startClient } from './start-client.ts';

const TASK = decodeTaskingAnswer(Buffer.from(taskAnswer('1.2'))) as OtaTask;

describe('a string of a task', () => {
  const answer = (field: string, value: string): Buffer => {
    const { data } = JSON.parse(taskAnswer('1.2')) as { data: object };
    return Buffer.from(JSON.stringify({ errno: 0, data: { ...data, [field]: value } }));
  };

  it.each(['target', 'token', 'md5', 'ipPort'])('is read up to 1024 characters: %s', (field) => {
    for (const value of ['x'.repeat(1024), '设'.repeat(1024)])
      expect(decodeTaskingAnswer(answer(field, value))).toHaveProperty(field, value);
  });

  it.each(['target', 'token', 'md5', 'ipPort'])('is a bad response beyond 1024 characters: %s', (field) => {
    for (const length of [1025, 60_000])
      expect(() => decodeTaskingAnswer(answer(field, 'x'.repeat(length)))).toThrow(
        expect.objectContaining({ name: 'OneNetError', reason: 'bad-response' }),
      );
  });

  it('is limited only in documented fields', () => {
    expect(decodeTaskingAnswer(answer('note', 'x'.repeat(5000)))).toMatchObject({ target: '1.2' });
  });
});

describe('the download URL', () => {
  // The last two are steps in a path, and no encoding changes that.
  it.each(['', '.', '..'])('is null if the token cannot name a file: %j', (token) => {
    expect(downloadUrl({ ...TASK, ipPort: '172.19.3.3:8002', token })).toBeNull();
  });
});

describe('a minted token', () => {
  const expiryOf = (token: string): number => Number(new URLSearchParams(token).get('et'));

  it.each([
    ['a year', 365 * 24 * 3600],
    ['an hour', 3600],
    ['a second', 1],
  ])('is renewed when the clock goes back by %s', (_, seconds) => {
    const clock = { ms: Date.UTC(2030, 0, 1) };
    const { authorize, expiry } = createTokenMint({
      ...CREDENTIALS,
      method: 'sha256',
      ttlSeconds: 3600,
      now: () => clock.ms,
    });
    authorize();
    clock.ms -= seconds * 1000;
    const due = clock.ms / 1000 + 3600;
    expect([expiryOf(authorize()), expiry()]).toEqual([due, due]);
    clock.ms += 1000;
    expect(expiryOf(authorize())).toBe(due);
  });
});

describe('a connection', () => {
  it('is reused after a 200', async () => {
    expect(await connectionsFor('200 OK')).toBe(1);
  });

  it.each([
    '201 Created',
    '204 No Content',
    '206 Partial Content',
    '304 Not Modified',
    '302 Found',
    '400 Bad Request',
    '401 Unauthorized',
    '404 Not Found',
    '429 Too Many Requests',
    '500 Internal Server Error',
    '503 Service Unavailable',
  ])('is not reused after a %s', async (status) => {
    expect(await connectionsFor(status)).toBe(2);
  });

  /** The number of connections used by two consecutive calls. */
  async function connectionsFor(status: string): Promise<number> {
    const upstream = await startRawUpstream(async (connection) => {
      for (;;) {
        await connection.request();
        const bodiless = status.startsWith('204') || status.startsWith('304');
        connection.socket.write(
          bodiless ? `HTTP/1.1 ${status}\r\n\r\n` : httpAnswer(taskAnswer('1.2'), status),
        );
      }
    });
    const ask = startClient(upstream.origin, { connections: 1 });
    for (const deviceId of ['1', '2'])
      await ask([{ deviceId, type: 'FOTA', withAddress: false }], new AbortController().signal);
    return upstream.connections.length;
  }
});
