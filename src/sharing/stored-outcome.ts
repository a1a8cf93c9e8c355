import { isAbsent, type OtaTask, type OtaTaskAbsent, type OtaTaskOutcome } from '../ota-task.ts';
import type { Seal } from './seal.ts';

/**
 * Whether the entry can answer requests for the address, and its lifetime in milliseconds. Both are in the clear,
 * because the `WRITE` script compares them.
 */
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
  return seal.seal(name, header, JSON.stringify(fieldsOf(outcome)));
}

/** @returns The outcome; undefined if the value was not encoded under this name, or has been altered. */
export function decode(seal: Seal, name: string, value: Buffer): StoredOutcome | undefined {
  const text = seal.open(name, HEADER_BYTES, value);
  if (text === undefined) return undefined;
  return {
    // Only a holder of the key can have written it, in this format, so it needs no validation.
    outcome: outcomeOf(JSON.parse(text) as Fields),
    servesAddress: value.readUInt8() === 1,
    lifeMs: value.readUInt32BE(1),
  };
}

type TaskFields = [
  OtaTask['target'],
  OtaTask['token'],
  OtaTask['size'],
  OtaTask['signal'],
  OtaTask['power'],
  OtaTask['retry'],
  OtaTask['interval'],
  OtaTask['md5'],
  OtaTask['ipPort'],
  OtaTask['type'],
];
type Fields = TaskFields | [OtaTaskAbsent['reason'], OtaTaskAbsent['errno']];

/** Fields without their names, which would be half of the stored bytes. */
function fieldsOf(outcome: OtaTaskOutcome): Fields {
  if (isAbsent(outcome)) return [outcome.reason, outcome.errno];
  const { target, token, size, signal, power, retry, interval, md5, ipPort, type } = outcome;
  return [target, token, size, signal, power, retry, interval, md5, ipPort, type];
}

function outcomeOf(fields: Fields): OtaTaskOutcome {
  if (fields.length === 2) return { reason: fields[0], errno: fields[1] };
  const [target, token, size, signal, power, retry, interval, md5, ipPort, type] = fields;
  return { target, token, size, signal, power, retry, interval, md5, ipPort, type };
}
