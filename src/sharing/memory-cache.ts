import { LRUCache } from 'lru-cache';

import type { AskOtaTasks, Origin } from '../ask-ota-tasks.ts';
import { type OtaTaskOutcome, type OtaTaskRequest, pairId } from '../ota-task.ts';
import { type BeginLife, servesAddress } from './lifetimes.ts';

export interface MemoryCacheOptions {
  readonly ask: AskOtaTasks;
  readonly beginLife: BeginLife;
  /** Beyond this, the least recently used entry is evicted. */
  readonly maxEntries: number;
  /** Milliseconds, from the same clock as the times in `Origin`. */
  readonly now: () => number;
}

interface Entry extends Origin {
  readonly outcome: OtaTaskOutcome;
  readonly servesAddress: boolean;
}

/** Answers recently fetched pairs from memory. */
export function createMemoryCache({ ask, beginLife, maxEntries, now }: MemoryCacheOptions): AskOtaTasks {
  const entries = new LRUCache<string, Entry>({ maxSize: maxEntries, sizeCalculation: () => 1 });

  function keep(request: OtaTaskRequest, outcome: OtaTaskOutcome, origin: Origin): void {
    const { answeredAtMs, expiresAtMs } = origin;
    const nowMs = now();
    if (expiresAtMs <= nowMs) return;
    const pair = pairId(request);
    const entry: Entry = {
      source: 'memory',
      answeredAtMs,
      expiresAtMs,
      outcome,
      servesAddress: servesAddress(request, outcome),
    };
    const old = entries.peek(pair);
    const oldStands =
      old !== undefined &&
      old.expiresAtMs > nowMs &&
      (old.answeredAtMs > answeredAtMs || (old.servesAddress && !entry.servesAddress));
    if (!oldStands) entries.set(pair, entry);
  }

  return (calls, onOutcome) => {
    const nowMs = now();
    const missing = calls.filter((call) => {
      const entry = entries.get(pairId(call));
      const isHit =
        entry !== undefined && entry.expiresAtMs > nowMs && (entry.servesAddress || !call.withAddress);
      if (isHit) onOutcome(call, entry.outcome, entry);
      return !isHit;
    });
    if (missing.length === 0) return;
    ask(missing, (call, outcome, below) => {
      if (outcome instanceof Error) {
        onOutcome(call, outcome);
        return;
      }
      const origin = below ?? beginLife(outcome);
      keep(call, outcome, origin);
      onOutcome(call, outcome, origin);
    });
  };
}
