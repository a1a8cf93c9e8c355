import { badResponse, OneNetError } from '../onenet-error.ts';
import type { OtaTaskOutcome, OtaTaskRequest, OtaTaskType } from '../ota-task.ts';
import type { HttpResponse } from './connection.ts';
import { decodeTaskingAnswer } from './decode.ts';
import { parseRetryAfter } from './retry-after.ts';

const TYPE_PARAMETER: Readonly<Record<OtaTaskType, string>> = { FOTA: '1', SOTA: '2' };

/** Path and query of the tasking call. The device id is percent-encoded, so it cannot change host or path. */
export function taskingPath({ deviceId, type, withAddress }: OtaTaskRequest): string {
  const query = `dev_id=${encodeURIComponent(deviceId)}&type=${TYPE_PARAMETER[type]}`;
  return `/ota/south/tasking?${query}${withAddress ? '&cdn=true' : ''}`;
}

/** Interprets a response. The status is judged before the body, and errno is read from a 200 only. */
export function readTaskingResponse({
  status,
  body,
  retryAfter,
}: HttpResponse): OtaTaskOutcome | OneNetError {
  if (status === 200) return decode(body);
  if (status === 401 || status === 403) return new OneNetError('unauthorized');
  if (status === 429) {
    return new OneNetError('rate-limited', { retryAfterMs: parseRetryAfter(retryAfter, Date.now()) });
  }
  if (status === 408) return new OneNetError('request-timeout');
  if (status >= 500) return new OneNetError('server-error');
  return badResponse(`HTTP status ${status}`);
}

function decode(body: Buffer): OtaTaskOutcome | OneNetError {
  try {
    return decodeTaskingAnswer(body);
  } catch (error) {
    return error as OneNetError;
  }
}
