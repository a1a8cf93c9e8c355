import { type Bulkhead, type Caller, createBulkhead, type Waiter } from '../../src/onenet/bulkhead.ts';

export interface TestBulkhead extends Pick<Bulkhead, 'release' | 'resume'> {
  readonly bulkhead: Bulkhead;
  /** The calls that were started, in order. */
  readonly started: string[];
  readonly evicted: string[];
  readonly acquire: (caller: Caller, ...names: readonly string[]) => void;
  /** Queues a retry. */
  readonly retry: (caller: Caller, name: string) => void;
  /** Removes all queued calls of this caller. */
  readonly cancel: (caller: Caller) => void;
}

/** @param isAllowed Whether a call may start when a place is free. */
export function startBulkhead(maxConcurrent: number, maxQueued = 100, isAllowed = () => true): TestBulkhead {
  const bulkhead = createBulkhead({ maxConcurrent, maxQueued });
  const started: string[] = [];
  const evicted: string[] = [];
  const waiting = new Map<Caller, Map<string, Waiter>>();

  function acquire(caller: Caller, name: string, attempt: number): void {
    const ofCaller = waiting.get(caller) ?? new Map<string, Waiter>();
    waiting.set(caller, ofCaller);
    const waiter: Waiter = {
      caller,
      position: 0,
      attempt,
      start() {
        if (!isAllowed()) return false;
        ofCaller.delete(name);
        started.push(name);
        return true;
      },
      evict() {
        ofCaller.delete(name);
        evicted.push(name);
      },
    };
    ofCaller.set(name, waiter);
    bulkhead.acquire(waiter);
  }

  return {
    bulkhead,
    started,
    evicted,
    release: bulkhead.release,
    resume: bulkhead.resume,
    acquire(caller, ...names) {
      for (const name of names) acquire(caller, name, 1);
    },
    retry: (caller, name) => acquire(caller, name, 2),
    cancel(caller) {
      for (const waiter of waiting.get(caller)?.values() ?? []) bulkhead.remove(waiter);
      waiting.delete(caller);
    },
  };
}
