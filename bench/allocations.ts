import { allowing, requestsInFlight } from './comparison.ts';
import { load } from './load.ts';
import { createOperations } from './operation.ts';
import { BEFORE, FLOOR, MERCURIUS, OURS, type Peer } from './peers.ts';
import { startServer, type Upstream } from './processes.ts';
import type { Counted, Order } from './servers/allocations.ts';

/** What one server allocates on V8's heap at one size; unlike times, it repeats on a busy machine. */
export interface Allocations {
  readonly server: string;
  readonly size: number;
  /** Bytes for an entity. */
  readonly bytes: number;
  /** Those of them that live through a scavenge. */
  readonly surviving: number;
}

const SERVERS: readonly string[] = [FLOOR, OURS, MERCURIUS, BEFORE];
/** In each count, and before the first one. */
const ENTITIES = 20_000;
const WARM_UP_ENTITIES = 30_000;

/** Starts servers for this alone, one after the other: counting slows them down. */
export async function countAllocations(
  peers: readonly Peer[],
  upstream: Upstream,
  sizes: readonly number[],
  log: (line: string) => void,
): Promise<Allocations[]> {
  await upstream.set({ latencyMs: 0 });
  const counted: Allocations[] = [];
  for (const size of sizes) {
    for (const peer of peers.filter(({ name }) => SERVERS.includes(name))) {
      counted.push(await count(peer, upstream, size));
    }
  }
  for (const { server, size, bytes, surviving } of counted) {
    log(`${size}  ${server.padEnd(24)} ${bytes.toFixed(0)} bytes allocated, ${surviving.toFixed(0)} survive`);
  }
  return counted;
}

async function count(peer: Peer, upstream: Upstream, size: number): Promise<Allocations> {
  const server = await startServer(peer, upstream, {
    ...allowing(size),
    imports: 'bench/dist/allocations.js',
  });
  const operations = createOperations(size);
  const send = async (entities: number): Promise<number> => {
    let left = entities;
    const enough = (): boolean => (left -= size) <= 0;
    return (await load({ url: server.url, operations, inFlight: requestsInFlight(size, 0), enough }))
      .entities;
  };
  const countFrom = async (start: Order): Promise<number> => {
    await server.ask(start);
    const entities = await send(ENTITIES);
    const { bytes } = (await server.ask('stop' satisfies Order)) as Counted;
    return bytes / entities;
  };
  try {
    await send(WARM_UP_ENTITIES);
    return {
      server: peer.name,
      size,
      bytes: await countFrom('start'),
      surviving: await countFrom('start-survivors'),
    };
  } finally {
    await server.stop();
  }
}
