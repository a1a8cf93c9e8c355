import type { Origin } from '../ask-ota-tasks.ts';
import { isAbsent, type OtaTaskOutcome, type OtaTaskRequest } from '../ota-task.ts';

/** Lives are shortened by up to this share, so that what was asked for together is not asked for together again. */
const JITTER = 0.1;

export interface LifetimeOptions {
  /** How long a task may be kept, in milliseconds; 0 is not at all. */
  readonly taskMs: number;
  /** The same for the absence of a task. */
  readonly absentMs: number;
  /** Milliseconds, from the clock of `Origin`. */
  readonly now: () => number;
  /** From 0 to 1. */
  readonly random: () => number;
}

/** Gives what OneNET has answered just now its life. */
export type BeginLife = (outcome: OtaTaskOutcome) => Origin;

export function createLifetimes({ taskMs, absentMs, now, random }: LifetimeOptions): BeginLife {
  return (outcome) => {
    const answeredAtMs = now();
    const lifeMs = Math.ceil((isAbsent(outcome) ? absentMs : taskMs) * (1 - random() * JITTER));
    return { source: 'onenet', answeredAtMs, expiresAtMs: answeredAtMs + lifeMs };
  };
}

/** Whether an outcome also serves who wants the address: it was asked for, or it is there, or there can be none. */
export function servesAddress({ withAddress }: OtaTaskRequest, outcome: OtaTaskOutcome): boolean {
  return withAddress || isAbsent(outcome) || outcome.ipPort !== null;
}
