import type { Origin } from '../ask-ota-tasks.ts';
import { isAbsent, type OtaTaskOutcome, type OtaTaskRequest } from '../ota-task.ts';

/** Lifetimes are shortened at random by up to this share, so that entries fetched together do not expire together. */
const JITTER = 0.1;

export interface LifetimeOptions {
  /** Milliseconds that a task may be kept; 0 disables caching. */
  readonly taskMs: number;
  /** Milliseconds that an absence may be kept; 0 disables caching. */
  readonly absentMs: number;
  /** Milliseconds, from the same clock as the times in `Origin`. */
  readonly now: () => number;
  /** A number from 0 to 1. */
  readonly random: () => number;
}

/** Assigns a lifetime to an outcome that OneNET has just sent. */
export type BeginLife = (outcome: OtaTaskOutcome) => Origin;

export function createLifetimes({ taskMs, absentMs, now, random }: LifetimeOptions): BeginLife {
  return (outcome) => {
    const answeredAtMs = now();
    const lifeMs = Math.ceil((isAbsent(outcome) ? absentMs : taskMs) * (1 - random() * JITTER));
    return { source: 'onenet', answeredAtMs, expiresAtMs: answeredAtMs + lifeMs };
  };
}

/**
 * Whether an outcome can also answer a request for the address: the address was asked for, is present, or cannot exist.
 */
export function servesAddress({ withAddress }: OtaTaskRequest, outcome: OtaTaskOutcome): boolean {
  return withAddress || isAbsent(outcome) || outcome.ipPort !== null;
}
