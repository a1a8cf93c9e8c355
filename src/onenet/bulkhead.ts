import { createHeap, type HeapItem } from './heap.ts';

export interface BulkheadOptions {
  /** Most calls in flight at once. */
  readonly maxConcurrent: number;
  /** Most calls that wait. */
  readonly maxQueued: number;
}

/** Whoever takes turns with others: one GraphQL request. */
export type Caller = object;

/** A call that wants to go out. */
interface Waiter {
  readonly caller: Caller;
  /** Whether it goes before those of its caller that have not begun. */
  readonly isRetry: boolean;
  /**
   * The call may go out. It must `release` its place once it has ended.
   *
   * @returns Whether it does. If not, it stays the first in its queue, and all wait until `resume` is called.
   */
  start(): boolean;
  /** The queue is full, and this call gives way. */
  evict(): void;
}

export interface Bulkhead {
  readonly inFlight: number;
  readonly queued: number;
  /** Whether no more calls may be in flight. */
  readonly isFull: boolean;
  /**
   * Starts a call as soon as it may go out, possibly at once. When the queue is full, the call that has waited longest in
   * the longest queue of any caller is evicted, which may be this one.
   *
   * @returns Removes the call from the queue; undefined where it does not wait there.
   */
  acquire(waiter: Waiter): (() => void) | undefined;
  readonly release: () => void;
  /** Tries again to start calls that could not. */
  readonly resume: () => void;
}

/** The calls of one caller that wait. */
interface Queue extends HeapItem {
  readonly caller: Caller;
  /** From `next` on; those that were canceled are holes. */
  readonly waiters: (Waiter | undefined)[];
  next: number;
  readonly retries: Waiter[];
  /** How many wait. */
  length: number;
  /** Grows with each queue that is made. */
  readonly ordinal: number;
}

/**
 * Limits the calls in flight and lets callers take turns: one with a thousand calls does not make one with a single call
 * wait for more than its turn, nor does it take that one's place in the queue.
 */
export function createBulkhead({ maxConcurrent, maxQueued }: BulkheadOptions): Bulkhead {
  let inFlight = 0;
  let queued = 0;
  let isStarting = false;
  let ordinal = 0;
  // A Map keeps insertion order, so the first entry is whose turn it is.
  const queues = new Map<Caller, Queue>();
  const longestFirst = createHeap<Queue>(
    (a, b) => a.length > b.length || (a.length === b.length && a.ordinal < b.ordinal),
  );

  function add(waiter: Waiter): Queue {
    const { caller } = waiter;
    let queue = queues.get(caller);
    if (queue === undefined) {
      queue = { caller, waiters: [], next: 0, retries: [], length: 0, ordinal: ordinal++, position: 0 };
      queues.set(caller, queue);
      longestFirst.add(queue);
    }
    (waiter.isRetry ? queue.retries : queue.waiters).push(waiter);
    changeLength(queue, 1);
    return queue;
  }

  function changeLength(queue: Queue, change: 1 | -1): void {
    queued += change;
    queue.length += change;
    if (queue.length > 0) {
      longestFirst.update(queue);
    } else {
      queues.delete(queue.caller);
      longestFirst.remove(queue);
    }
  }

  function firstOf(queue: Queue): Waiter {
    const [retry] = queue.retries;
    if (retry !== undefined) return retry;
    while (queue.waiters[queue.next] === undefined) queue.next++;
    return queue.waiters[queue.next] as Waiter;
  }

  function removeFirst(queue: Queue): void {
    if (queue.retries.shift() === undefined) queue.next++;
    changeLength(queue, -1);
  }

  function remove(queue: Queue, waiter: Waiter, index: number): void {
    if (waiter.isRetry) queue.retries.splice(queue.retries.indexOf(waiter), 1);
    else queue.waiters[index] = undefined;
    changeLength(queue, -1);
  }

  /** A loop, since a call may end as it starts: calls within calls would be as deep as the queue is long. */
  function resume(): void {
    if (isStarting) return;
    isStarting = true;
    try {
      for (const [caller, queue] of queues) {
        if (inFlight >= maxConcurrent) break;
        inFlight++;
        if (!firstOf(queue).start()) {
          inFlight--;
          break;
        }
        removeFirst(queue);
        // A caller that has more goes to the end, where this loop, too, comes by again.
        if (queues.delete(caller)) queues.set(caller, queue);
      }
    } finally {
      isStarting = false;
    }
  }

  return {
    get inFlight() {
      return inFlight;
    },
    get queued() {
      return queued;
    },
    get isFull() {
      return inFlight >= maxConcurrent;
    },
    acquire(waiter) {
      if (queued === 0 && inFlight < maxConcurrent) {
        inFlight++;
        if (waiter.start()) return undefined;
        inFlight--;
      }
      const queue = add(waiter);
      const index = queue.waiters.length - 1;
      if (queued > maxQueued) {
        const longest = longestFirst.first as Queue;
        const evicted = firstOf(longest);
        removeFirst(longest);
        evicted.evict();
        if (evicted === waiter) return undefined;
      }
      return () => remove(queue, waiter, index);
    },
    release() {
      inFlight--;
      resume();
    },
    resume,
  };
}
