import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

import { onTestFinished } from 'vitest';

export interface TcpProxy {
  readonly port: number;
  /** Sets what it does with the bytes of either side from now on. */
  behave(how: { readonly delayMs: number } | 'pass' | 'swallow' | 'garbage'): void;
}

/** A proxy between a client and a server on this machine; it is closed after the test. */
export async function startTcpProxy(to: number): Promise<TcpProxy> {
  let how: Parameters<TcpProxy['behave']>[0] = 'pass';
  const sockets = new Set<Socket>();

  function forward(from: Socket, into: Socket): void {
    sockets.add(from);
    from.on('error', () => into.destroy());
    from.on('close', () => {
      sockets.delete(from);
      into.destroy();
    });
    from.on('data', (bytes: Buffer) => {
      if (how === 'pass') into.write(bytes);
      else if (how === 'garbage') from.write('$3\r\nHTTP/1.1 200 OK\r\n\r\n');
      else if (how !== 'swallow') setTimeout(() => into.write(bytes), how.delayMs);
    });
  }

  const server = createServer((client) => {
    const upstream = connect(to, '127.0.0.1');
    forward(client, upstream);
    forward(upstream, client);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return {
    port: (server.address() as AddressInfo).port,
    behave(as) {
      how = as;
    },
  };
}
