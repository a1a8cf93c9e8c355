import { once } from 'node:events';
import type { Socket } from 'node:net';

import type { Service } from '../service.ts';
import { connectTo } from './raw-client.ts';

/** Opens connections that send this request, begin to receive the answer, and then stop reading. */
export async function openSilentReaders({ url }: Service, count: number, bytes: Buffer): Promise<Socket[]> {
  return Promise.all(
    Array.from({ length: count }, async () => {
      const socket = await connectTo(url);
      socket.write(bytes);
      // The service may also reset the connection.
      await Promise.race([once(socket, 'readable'), once(socket, 'close')]).catch(() => undefined);
      return socket;
    }),
  );
}
