import { OneNetUnreachableError } from './errors.ts';
import { createHeap, type HeapItem } from './heap.ts';

export interface BulkheadOptions {
  /** Most calls in flight at once. */
  readonly places: number;
  /** Most calls waiting for a place. */
  readonly queueCapacity: number;
}

/** Whoever waits for places in common: one GraphQL request. */
export type Caller = object;

/** Has a place, which is to be given back with `leave`; or is refused, with what to say of it. */
type Start = (refused?: OneNetUnreachableError) => void;

export interface Bulkhead {
  readonly inFlight: number;
  readonly waiting: number;
  /**
   * Calls `start` once a place is free, at once if one is. Where the queue is full, the call that waits longest in the
   * longest queue of a caller gives way, which may be this one: it is called with a OneNetUnreachableError.
   */
  enter(caller: Caller, start: Start): void;
  readonly leave: () => void;
  /** Forgets all that `caller` still has waiting. */
  abandon(caller: Caller): void;
}

/** The calls of one caller that wait, from `next` on. */
interface Queue extends HeapItem {
  readonly caller: Caller;
  readonly starts: Start[];
  next: number;
  /** Grows with each queue that is made. */
  readonly ordinal: number;
}

/**
 * Limits the calls in flight and lets callers take turns: one that wants a thousand places does not keep one that
 * wants a single place waiting for more than its turn, nor does it take that one's place in the queue.
 */
export function createBulkhead({ places, queueCapacity }: BulkheadOptions): Bulkhead {
  let free = places;
  let waiting = 0;
  let starting = false;
  let ordinal = 0;
  // A Map keeps insertion order, so the first entry is whose turn it is.
  const queues = new Map<Caller, Queue>();
  const longestFirst = createHeap<Queue>(
    (a, b) => lengthOf(a) > lengthOf(b) || (lengthOf(a) === lengthOf(b) && a.ordinal < b.ordinal),
  );

  function take(queue: Queue): Start {
    waiting--;
    const start = queue.starts[queue.next++] as Start;
    if (lengthOf(queue) > 0) longestFirst.update(queue);
    else forget(queue);
    return start;
  }

  function forget(queue: Queue): void {
    queues.delete(queue.caller);
    longestFirst.remove(queue);
  }

  /** A loop, because whoever is started may leave at once: calls within calls would be as deep as the queue is long. */
  function startWaiting(): void {
    if (starting) return;
    starting = true;
    try {
      for (const [caller, queue] of queues) {
        if (free === 0) break;
        const start = take(queue);
        // Whoever has more is moved to the end, where this loop, too, will come by again.
        if (queues.delete(caller)) queues.set(caller, queue);
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
      waiting++;
      let queue = queues.get(caller);
      if (queue === undefined) {
        queue = { caller, starts: [start], next: 0, ordinal: ordinal++, position: 0 };
        queues.set(caller, queue);
        longestFirst.add(queue);
      } else {
        queue.starts.push(start);
        longestFirst.update(queue);
      }
      if (waiting > queueCapacity)
        take(longestFirst.first as Queue)(new OneNetUnreachableError('queue-full'));
    },
    leave() {
      free++;
      startWaiting();
    },
    abandon(caller) {
      const queue = queues.get(caller);
      if (queue === undefined) return;
      waiting -= lengthOf(queue);
      forget(queue);
    },
  };
}

function lengthOf({ starts, next }: Queue): number {
  return starts.length - next;
}
