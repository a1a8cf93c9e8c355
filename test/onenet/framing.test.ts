import { describe, expect, it } from 'vitest';

import type { OtaTaskOutcome } from '../../src/ota-task.ts';
import { httpAnswer, type RawConnection, startRawUpstream, taskAnswer } from './raw-upstream.ts';
import { startClient } from './start-client.ts';

const BODY = taskAnswer('1.2');
const LENGTH = BODY.length;
const ANSWER = httpAnswer(BODY).toString();
const CHUNKED = `${LENGTH.toString(16)}\r\n${BODY}\r\n0\r\n\r\n`;

const unreadable = { name: 'OneNetError', reason: 'bad-response' };
const connectionFailed = { name: 'OneNetError', reason: 'connection' };

/** The outcome of a call that is answered with these bytes, piece by piece. */
async function ask(
  pieces: readonly string[],
  behave: (connection: RawConnection) => void = () => undefined,
): Promise<OtaTaskOutcome | Error | undefined> {
  const upstream = await startRawUpstream(async (connection) => {
    await connection.request();
    connection.socket.setNoDelay();
    for (const piece of pieces)
      await new Promise((resolve) => connection.socket.write(piece, () => setImmediate(resolve)));
    behave(connection);
  });
  const fetch = startClient(upstream.origin, { timeoutMs: 1000 });
  const [outcome] = await fetch(
    [{ deviceId: '6523', type: 'FOTA', withAddress: false }],
    new AbortController().signal,
  );
  return outcome;
}

const head = (...headers: readonly string[]): string => ['HTTP/1.1 200 OK', ...headers, '', ''].join('\r\n');

describe('an answer with malformed framing', () => {
  it.each([
    ['two equal lengths', [`Content-Length: ${LENGTH}`, `Content-Length: ${LENGTH}`], BODY],
    ['two lengths', [`Content-Length: ${LENGTH}`, 'Content-Length: 4'], BODY],
    ['a list of equal lengths', [`Content-Length: ${LENGTH}, ${LENGTH}`], BODY],
    ['a negative length', [`Content-Length: -${LENGTH}`], BODY],
    ['a length with a sign', [`Content-Length: +${LENGTH}`], BODY],
    ['a length with a unit', [`Content-Length: ${LENGTH}B`], BODY],
    ['a fractional length', [`Content-Length: ${LENGTH}.0`], BODY],
    ['a length that is empty', ['Content-Length:'], BODY],
    ['a length beyond measure', ['Content-Length: 99999999999999999999999'], BODY],
    ['an encoding that is empty', ['Transfer-Encoding:'], BODY],
    ['a length, then chunks', [`Content-Length: ${LENGTH}`, 'Transfer-Encoding: chunked'], CHUNKED],
    ['chunks, then a length', ['Transfer-Encoding: chunked', `Content-Length: ${LENGTH}`], CHUNKED],
    ['a length and no encoding', [`Content-Length: ${LENGTH}`, 'Transfer-Encoding: identity'], BODY],
    ['chunks in chunks', ['Transfer-Encoding: chunked', 'Transfer-Encoding: chunked'], CHUNKED],
    ['compressed chunks', ['Transfer-Encoding: gzip, chunked'], CHUNKED],
    ['compression of chunks', ['Transfer-Encoding: chunked, gzip'], CHUNKED],
    ['an unknown encoding', ['Transfer-Encoding: xchunked'], CHUNKED],
    ['a space before the colon', [`Content-Length : ${LENGTH}`], BODY],
    ['a folded header', ['X: a', ' b', `Content-Length: ${LENGTH}`], BODY],
    ['a chunk of negative length', ['Transfer-Encoding: chunked'], `-${CHUNKED}`],
    ['a chunk beyond measure', ['Transfer-Encoding: chunked'], `ffffffffffffffffff\r\n${BODY}`],
    ['a chunk shorter than its data', ['Transfer-Encoding: chunked'], `5\r\n${BODY}\r\n0\r\n\r\n`],
    ['a length shorter than the body', [`Content-Length: ${LENGTH - 1}`], BODY],
    ['a length of nothing', ['Content-Length: 0'], BODY],
    ['a length longer than the body', [`Content-Length: ${LENGTH + 1}`], BODY],
  ])('is a bad response, whether or not the connection is closed: %s', async (_, headers, body) => {
    const bytes = head(...headers) + body;
    expect(await ask([bytes])).toMatchObject(unreadable);
    expect(await ask([bytes], ({ socket }) => socket.end())).toMatchObject(unreadable);
    const last = head('Connection: close', ...headers) + body;
    expect(await ask([last], ({ socket }) => socket.end())).toMatchObject(unreadable);
  });

  it.each([
    ['', [`Content-Length: ${LENGTH}`]],
    [", the connection's last", ['Connection: close', `Content-Length: ${LENGTH}`]],
  ])('is not assumed when the connection closes in the middle of a body%s', async (_, headers) => {
    for (const length of [0, 1, 60, LENGTH - 1]) {
      const bytes = head(...headers) + BODY.slice(0, length);
      expect(await ask([bytes], ({ socket }) => socket.end())).toMatchObject(connectionFailed);
    }
    const reset = ask([head(...headers) + BODY.slice(0, 60)], ({ socket }) => socket.resetAndDestroy());
    expect(await reset).toMatchObject(connectionFailed);
  });
});

describe('an interim answer', () => {
  const CONTINUE = 'HTTP/1.1 100 Continue\r\n\r\n';
  const HINTS = 'HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n';
  const task = { target: '1.2' };

  it.each([
    ['100', CONTINUE],
    ['100 without a reason', 'HTTP/1.1 100 \r\n\r\n'],
    ['100 with headers', 'HTTP/1.1 100 Continue\r\nContent-Length: 5\r\nX: y\r\n\r\n'],
    ['100 twice', CONTINUE + CONTINUE],
    ['103', HINTS],
    ['100, then 103', CONTINUE + HINTS],
    ['103, then 100', HINTS + CONTINUE],
    ['102, 100, 199', `HTTP/1.1 102 Processing\r\n\r\n${CONTINUE}HTTP/1.1 199 Whatever\r\n\r\n`],
  ])('that was not requested is accepted: %s', async (_, interim) => {
    const bytes = interim + ANSWER;
    expect(await ask([bytes])).toMatchObject(task);
    expect(await ask([interim, ANSWER])).toMatchObject(task);
    expect(
      await ask(Array.from(bytes.slice(0, interim.length + 20)).concat(bytes.slice(interim.length + 20))),
    ).toMatchObject(task);
  });

  it('leaves the connection usable for the next call', async () => {
    const upstream = await startRawUpstream(async (connection) => {
      for (;;) {
        await connection.request();
        connection.socket.write(CONTINUE + ANSWER);
      }
    });
    const fetch = startClient(upstream.origin, { connections: 1 });
    for (const deviceId of ['1', '2', '3']) {
      const outcomes = await fetch(
        [{ deviceId, type: 'FOTA', withAddress: false }],
        new AbortController().signal,
      );
      expect(outcomes).toMatchObject([task]);
    }
    expect(upstream.connections).toHaveLength(1);
  });

  it.each([
    ['the connection closes', connectionFailed, [CONTINUE], ({ socket }: RawConnection) => void socket.end()],
    [
      'the connection closes in it',
      connectionFailed,
      ['HTTP/1.1 100 Con'],
      ({ socket }: RawConnection) => void socket.end(),
    ],
    ['nothing', { reason: 'timeout' }, [CONTINUE], () => undefined],
    ['garbage', unreadable, [CONTINUE, 'SSH-2.0\r\n'], () => undefined],
    [
      'another protocol',
      unreadable,
      [`${CONTINUE}HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n`],
      () => undefined,
    ],
    [
      'a malformed answer',
      unreadable,
      [CONTINUE + head('Content-Length: 2', 'Content-Length: 2')],
      () => undefined,
    ],
    [
      'HTTP 503',
      { reason: 'server-error' },
      [CONTINUE, httpAnswer('', '503 Busy').toString()],
      () => undefined,
    ],
  ])('does not hide what follows it: %s', async (_, expected, pieces, behave) => {
    expect(await ask(pieces, behave)).toMatchObject(expected);
  });

  it('without an end is a bad response', async () => {
    expect(await ask([`HTTP/1.1 100 Continue\r\nX: ${'x'.repeat(100_000)}`])).toMatchObject(unreadable);
  });
});
