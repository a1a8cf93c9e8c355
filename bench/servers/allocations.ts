// Imported before a server's own program, it counts what the server allocates on V8's heap, while the bench says so.
import type { HeapProfiler } from 'node:inspector';
import { Session } from 'node:inspector/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Starts a count, or ends it; answered with `Counted`. */
export type Order = 'start' | 'start-survivors' | 'stop';

export interface Counted {
  /** Bytes, estimated from samples; at a start, 0. */
  readonly bytes: number;
}

/** Bytes between two samples on average: a hundred megabytes are counted to within one percent. */
const INTERVAL = 4096;

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as (options: { readonly type: 'minor' }) => void;
const session = new Session();
session.connect();

async function obey(order: Order): Promise<number> {
  // Nothing is in the young generation at the start, and what is still there at the end has lived through a scavenge.
  collect({ type: 'minor' });
  if (order !== 'stop') {
    await session.post('HeapProfiler.startSampling', {
      samplingInterval: INTERVAL,
      includeObjectsCollectedByMajorGC: true,
      includeObjectsCollectedByMinorGC: order === 'start',
    });
    return 0;
  }
  const { profile } = await session.post('HeapProfiler.stopSampling');
  return bytesOf(profile.head);
}

function bytesOf({ selfSize, children }: HeapProfiler.SamplingHeapProfileNode): number {
  return children.reduce((sum, child) => sum + bytesOf(child), selfSize);
}

process.on('message', (order: Order) => {
  void obey(order).then((bytes) => process.send?.({ bytes } satisfies Counted));
});
