import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

import { onTestFinished } from 'vitest';

import type { Until } from '../service.ts';

/** A connection to the service that a test controls byte by byte; it is closed after the test. */
export async function connectTo(url: string | URL, until: Until = onTestFinished): Promise<Socket> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  // The service may drop the connection at any moment.
  socket.on('error', () => undefined);
  until(() => void socket.destroy());
  await new Promise((resolve) => socket.once('connect', resolve).once('close', resolve));
  return socket;
}

/** Serialises an HTTP request. */
export function requestBytes(method: string, path: string, body = '', ...headers: readonly string[]): Buffer {
  const head = [`${method} ${path} HTTP/1.1`, 'Host: h', 'Content-Type: application/json', ...headers];
  if (body !== '') head.push(`Content-Length: ${Buffer.byteLength(body)}`);
  return Buffer.from(`${head.join('\r\n')}\r\n\r\n${body}`);
}

/** Resolves when the service has closed the connection, or to `false` after this many milliseconds. */
export async function isClosed(socket: Socket, withinMs: number): Promise<boolean> {
  if (socket.destroyed) return true;
  socket.resume();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => (timer = setTimeout(resolve, withinMs, false)));
  const closed = once(socket, 'close').then(() => true);
  return Promise.race([closed, late]).finally(() => clearTimeout(timer));
}
