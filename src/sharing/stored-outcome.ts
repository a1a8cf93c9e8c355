import { isAbsent, type OtaTask, type OtaTaskAbsent, type OtaTaskOutcome } from '../ota-task.ts';
import type { Seal } from './seal.ts';

/** Without their names, which would be half of what is stored. */
const TASK_FIELDS = [
  'target',
  'token',
  'size',
  'signal',
  'power',
  'retry',
  'interval',
  'md5',
  'ipPort',
  'type',
] as const satisfies readonly (keyof OtaTask)[];

/** Whether it serves who wants the address, and its life in milliseconds: what the script that writes has to compare. */
const HEADER_BYTES = 5;

export interface StoredOutcome {
  readonly outcome: OtaTaskOutcome;
  readonly servesAddress: boolean;
  readonly lifeMs: number;
}

export function encode(seal: Seal, name: string, { outcome, servesAddress, lifeMs }: StoredOutcome): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt8(Number(servesAddress));
  header.writeUInt32BE(lifeMs, 1);
  const fields = isAbsent(outcome)
    ? [outcome.reason, outcome.errno]
    : TASK_FIELDS.map((field) => outcome[field]);
  return seal.seal(name, header, JSON.stringify(fields));
}

/** @returns Nothing where it is not as it was encoded under this name. */
export function decode(seal: Seal, name: string, value: Buffer): StoredOutcome | undefined {
  const text = seal.open(name, HEADER_BYTES, value);
  if (text === undefined) return undefined;
  // Who holds the key wrote it, in this very format.
  const fields = JSON.parse(text) as unknown[];
  const outcome =
    fields.length === 2
      ? ({ reason: fields[0], errno: fields[1] } as OtaTaskAbsent)
      : (Object.fromEntries(TASK_FIELDS.map((field, i) => [field, fields[i]])) as unknown as OtaTask);
  return { outcome, servesAddress: value.readUInt8() === 1, lifeMs: value.readUInt32BE(1) };
}
