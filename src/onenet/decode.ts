import { isUtf8 } from 'node:buffer';

import type { OtaPackageType, OtaTask, OtaTaskOutcome } from '../ota-task.ts';
import { ERRNO_NO_TASK, ERRNO_TOKEN_EXPIRED, OneNetRefusedError, OneNetUnreadableError } from './errors.ts';

const PACKAGE_TYPES: Readonly<Record<number, OtaPackageType>> = { 1: 'FULL', 2: 'DELTA' };
/** GraphQL's Int is 32 bits wide, and none of OneNET's numbers can be negative. */
const INT_MAX = 2 ** 31 - 1;
/** Far more than any string of a task needs; one may be asked for thousands of times in one operation. */
const MAX_STRING_LENGTH = 1024;

/**
 * Reads the body of an HTTP 200 answer to the tasking call: `{"errno": int, "error": string, "data": {…}}`.
 * `error` is never looked at, and fields that the document does not name are ignored.
 *
 * @throws OneNetRefusedError for an errno other than 0, 4 and 12.
 * @throws OneNetUnreadableError for anything that is not the documented answer; it throws nothing else.
 */
export function decodeTaskingAnswer(body: Buffer): OtaTaskOutcome {
  const answer = parseJson(body);
  if (!isRecord(answer)) throw new OneNetUnreadableError('not a JSON object');
  const { errno, data } = answer;
  if (!Number.isSafeInteger(errno)) throw new OneNetUnreadableError('errno is not an integer');
  switch (errno as number) {
    case 0:
      return decodeTask(data);
    case ERRNO_NO_TASK:
      return { reason: 'NO_TASK', errno: ERRNO_NO_TASK };
    case ERRNO_TOKEN_EXPIRED:
      return { reason: 'TOKEN_EXPIRED', errno: ERRNO_TOKEN_EXPIRED };
    default:
      throw new OneNetRefusedError({ errno: errno as number });
  }
}

function parseJson(body: Buffer): unknown {
  if (!isUtf8(body)) throw new OneNetUnreadableError('not UTF-8');
  try {
    return JSON.parse(body.toString('utf8'));
  } catch {
    // What the parser says quotes the body.
    throw new OneNetUnreadableError('not JSON');
  }
}

function decodeTask(data: unknown): OtaTask {
  if (!isRecord(data)) throw new OneNetUnreadableError('errno 0 without data');
  return {
    target: requiredString(data, 'target'),
    token: requiredString(data, 'token'),
    size: requiredInt(data, 'size'),
    signal: optionalInt(data, 'signal'),
    power: optionalInt(data, 'power'),
    retry: optionalInt(data, 'retry'),
    interval: optionalInt(data, 'interval'),
    md5: requiredString(data, 'md5'),
    ipPort: isAbsentField(data['ipPort']) ? null : requiredString(data, 'ipPort'),
    type: packageType(data['type']),
  };
}

type JsonRecord = Readonly<Record<string, unknown>>;

function isRecord(value: unknown): value is JsonRecord {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isAbsentField(value: unknown): boolean {
  return value === undefined || value === null;
}

function requiredString(data: JsonRecord, field: string): string {
  const value = data[field];
  if (typeof value !== 'string') throw new OneNetUnreadableError(`${field} is not a string`);
  if (value.length > MAX_STRING_LENGTH) {
    throw new OneNetUnreadableError(`${field} is longer than ${MAX_STRING_LENGTH} characters`);
  }
  return value;
}

function requiredInt(data: JsonRecord, field: string): number {
  const value = data[field];
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value > INT_MAX) {
    throw new OneNetUnreadableError(`${field} is not an integer from 0 to ${INT_MAX}`);
  }
  return value;
}

function optionalInt(data: JsonRecord, field: string): number | null {
  return isAbsentField(data[field]) ? null : requiredInt(data, field);
}

function packageType(value: unknown): OtaPackageType {
  const type = typeof value === 'number' ? PACKAGE_TYPES[value] : undefined;
  if (type === undefined) throw new OneNetUnreadableError('type is neither 1 nor 2');
  return type;
}
