import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Says where the server listens, as ours does. */
export function announce(url: string): void {
  console.log(`listening at ${url}`);
}

/** Listens on a free port. */
export function listen(server: Server): void {
  server.listen(0, '127.0.0.1', () => {
    announce(`http://127.0.0.1:${(server.address() as AddressInfo).port}/graphql`);
  });
}

export async function readBody(request: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}
