import { createHeap, type HeapItem } from './heap.ts';

export interface BulkheadOptions {
  /** The maximum number of calls in flight. */
  readonly maxConcurrent: number;
  /** The maximum number of queued calls. */
  readonly maxQueued: number;
}

/** The unit of fairness: one GraphQL request. */
export type Caller = object;

/** A call that is ready to be sent. */
export interface Waiter {
  readonly caller: Caller;
  /** Set by the bulkhead: where it is among the first attempts of its caller. */
  position: number;
  /** From 1; second attempts go ahead of their caller's first ones. */
  readonly attempt: number;
  /**
   * Starts the call, which must `release` its place when it ends.
   *
   * @returns Whether the call has started. If not, it stays at the head of its queue, and no call starts until `resume`
   * is called.
   */
  start(): boolean;
  /** Called instead of `start` if the call is dropped because the queue is full. */
  evict(): void;
}

export interface Bulkhead {
  readonly queued: number;
  /**
   * Starts a call as soon as there is a place, possibly at once. If the queue is full, the caller with the most queued
   * calls loses the one that would start next, which may be this call.
   */
  acquire(waiter: Waiter): void;
  /** Removes a queued call. */
  remove(waiter: Waiter): void;
  readonly release: () => void;
  /** Tries again to start calls after `start` has returned false. */
  readonly resume: () => void;
}

/** The queued calls of one caller. */
interface Queue extends HeapItem {
  readonly caller: Caller;
  /** First attempts, from `next` on; one that has started or was canceled leaves a hole. */
  readonly waiters: (Waiter | undefined)[];
  next: number;
  readonly retries: Waiter[];
  /** The number of queued calls. */
  length: number;
  /** Increases with each new queue, so the oldest of equally long queues comes first. */
  readonly ordinal: number;
}

/**
 * Limits the calls in flight and serves callers in turn (round robin), so that a request for a thousand devices neither
 * delays a request for one by more than a turn nor pushes it out of the queue.
 */
export function createBulkhead({ maxConcurrent, maxQueued }: BulkheadOptions): Bulkhead {
  let inFlight = 0;
  let queued = 0;
  let isStarting = false;
  let ordinal = 0;
  // A Map keeps insertion order, so the first entry is the caller whose turn it is.
  const queues = new Map<Caller, Queue>();
  const longestFirst = createHeap<Queue>(
    (a, b) => a.length > b.length || (a.length === b.length && a.ordinal < b.ordinal),
  );

  function add(waiter: Waiter): void {
    const { caller } = waiter;
    let queue = queues.get(caller);
    if (queue === undefined) {
      queue = { caller, waiters: [], next: 0, retries: [], length: 0, ordinal: ordinal++, position: 0 };
      queues.set(caller, queue);
      longestFirst.add(queue);
    }
    if (waiter.attempt > 1) queue.retries.push(waiter);
    else waiter.position = queue.waiters.push(waiter) - 1;
    changeLength(queue, 1);
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
    if (queue.retries.shift() === undefined) queue.waiters[queue.next++] = undefined;
    changeLength(queue, -1);
  }

  /**
   * Loops instead of recursing, because a call may end while it starts and the recursion would be as deep as the queue
   * is long.
   */
  function resume(): void {
    if (isStarting) return;
    isStarting = true;
    try {
      for (;;) {
        const [queue] = queues.values();
        if (queue === undefined || inFlight >= maxConcurrent) break;
        inFlight++;
        if (!firstOf(queue).start()) {
          inFlight--;
          break;
        }
        removeFirst(queue);
        // A caller with more calls goes to the end of the Map, so that the others have their turn.
        if (queues.size > 1 && queues.delete(queue.caller)) queues.set(queue.caller, queue);
      }
    } finally {
      isStarting = false;
    }
  }

  return {
    get queued() {
      return queued;
    },
    acquire(waiter) {
      if (queued === 0 && inFlight < maxConcurrent) {
        inFlight++;
        if (waiter.start()) return;
        inFlight--;
      }
      add(waiter);
      if (queued <= maxQueued) return;
      const longest = longestFirst.first as Queue;
      const evicted = firstOf(longest);
      removeFirst(longest);
      evicted.evict();
    },
    remove(waiter) {
      const queue = queues.get(waiter.caller) as Queue;
      if (waiter.attempt > 1) queue.retries.splice(queue.retries.indexOf(waiter), 1);
      else queue.waiters[waiter.position] = undefined;
      changeLength(queue, -1);
    },
    release() {
      inFlight--;
      resume();
    },
    resume,
  };
}
