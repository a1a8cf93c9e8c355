import { isUtf8 } from 'node:buffer';

import { badResponse, OneNetError } from '../onenet-error.ts';
import type { OtaPackageType, OtaTask, OtaTaskOutcome } from '../ota-task.ts';

const PACKAGE_TYPES: Readonly<Record<number, OtaPackageType>> = { 1: 'FULL', 2: 'DELTA' };
/** GraphQL's Int has 32 bits, and none of OneNET's numbers can be negative. */
const INT_MAX = 2 ** 31 - 1;
/**
 * Far more than any string of a task needs. It is bounded because one operation may repeat a string thousands of times.
 */
const MAX_STRING_LENGTH = 1024;

/**
 * Decodes the body of an HTTP 200 answer to the tasking call: `{"errno": int, "error": string, "data": {…}}`. `error`
 * is never read, and fields that OneNET does not document are ignored.
 *
 * @throws OneNetError, and nothing else: for an errno other than 0, 4 and 12, and for anything but the documented
 * answer.
 */
export function decodeTaskingAnswer(body: Buffer): OtaTaskOutcome {
  const answer = parseJson(body);
  if (!isRecord(answer)) throw badResponse('not a JSON object');
  const { errno, data } = answer;
  if (!Number.isSafeInteger(errno)) throw badResponse('errno is not an integer');
  switch (errno as number) {
    case 0:
      return decodeTask(data);
    case 4:
      return { reason: 'NO_TASK', errno: 4 };
    case 12:
      return { reason: 'TOKEN_EXPIRED', errno: 12 };
    case 2:
      throw new OneNetError('invalid-type', { errno: 2 });
    case 7:
      throw new OneNetError('internal-error', { errno: 7 });
    default:
      throw new OneNetError('unknown-errno', { errno: errno as number });
  }
}

function parseJson(body: Buffer): unknown {
  if (!isUtf8(body)) throw badResponse('not UTF-8');
  try {
    return JSON.parse(body.toString('utf8'));
  } catch {
    // The parser's message quotes the body.
    throw badResponse('not JSON');
  }
}

function decodeTask(data: unknown): OtaTask {
  if (!isRecord(data)) throw badResponse('errno 0 without data');
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
  if (typeof value !== 'string') throw badResponse(`${field} is not a string`);
  if (value.length > MAX_STRING_LENGTH) {
    throw badResponse(`${field} is longer than ${MAX_STRING_LENGTH} characters`);
  }
  return value;
}

function requiredInt(data: JsonRecord, field: string): number {
  const value = data[field];
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value > INT_MAX) {
    throw badResponse(`${field} is not an integer from 0 to ${INT_MAX}`);
  }
  return value;
}

function optionalInt(data: JsonRecord, field: string): number | null {
  return isAbsentField(data[field]) ? null : requiredInt(data, field);
}

function packageType(value: unknown): OtaPackageType {
  const type = typeof value === 'number' ? PACKAGE_TYPES[value] : undefined;
  if (type === undefined) throw badResponse('type is neither 1 nor 2');
  return type;
}
