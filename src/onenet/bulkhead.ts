import { OneNetUnreachableError } from './errors.ts';

export interface BulkheadOptions {
  /** Most calls in flight at once. */
  readonly places: number;
  /** Most calls waiting for a place. */
  readonly queueCapacity: number;
}

/** Whoever waits for places in common: one GraphQL request. */
export type Caller = object;

export interface Bulkhead {
  readonly inFlight: number;
  readonly waiting: number;
  /**
   * Calls `start` once a place is free, at once if one is; whoever was started gives its place back with `leave`.
   *
   * @throws OneNetUnreachableError when the queue is full.
   */
  enter(caller: Caller, start: () => void): void;
  readonly leave: () => void;
  /** Forgets all that `caller` still has waiting. */
  abandon(caller: Caller): void;
}

/**
 * Limits the calls in flight and lets callers take turns: one that wants a thousand places does not keep one that
 * wants a single place waiting for more than its turn.
 */
export function createBulkhead({ places, queueCapacity }: BulkheadOptions): Bulkhead {
  let free = places;
  let waiting = 0;
  let starting = false;
  // A Map keeps insertion order, so the first entry is whose turn it is.
  const queues = new Map<Caller, { readonly starts: (() => void)[]; next: number }>();

  /** A loop, because whoever is started may leave at once: calls within calls would be as deep as the queue is long. */
  function startWaiting(): void {
    if (starting) return;
    starting = true;
    try {
      for (const [caller, queue] of queues) {
        if (free === 0) break;
        const start = queue.starts[queue.next++] as () => void;
        // Whoever has more is moved to the end, where this loop, too, will come by again.
        queues.delete(caller);
        if (queue.next < queue.starts.length) queues.set(caller, queue);
        waiting--;
        free--;
        start();
      }
    } finally {
      starting = false;
    }
  }

  return {
    get inFlight() {
      return places - free;
    },
    get waiting() {
      return waiting;
    },
    enter(caller, start) {
      if (free > 0) {
        free--;
        start();
        return;
      }
      if (waiting >= queueCapacity) throw new OneNetUnreachableError('queue-full');
      waiting++;
      const queue = queues.get(caller);
      if (queue === undefined) queues.set(caller, { starts: [start], next: 0 });
      else queue.starts.push(start);
    },
    leave() {
      free++;
      startWaiting();
    },
    abandon(caller) {
      const queue = queues.get(caller);
      if (queue === undefined) return;
      waiting -= queue.starts.length - queue.next;
      queues.delete(caller);
    },
  };
}
