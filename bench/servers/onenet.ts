import { type Dispatcher, Pool } from 'undici';

/** As many calls in flight as the subgraph allows itself by default. */
export const CONNECTIONS = 64;

export const HEADERS = {
  'content-type': 'application/json',
  authorization: 'version=2018-10-31&res=products%2Fbench&et=1893456000&method=sha256&sign=c2lnbg%3D%3D',
};

export type OtaTaskType = 'FOTA' | 'SOTA';

export interface OtaTask {
  readonly target: string;
  readonly token: string;
  readonly size: number;
  readonly signal: number | null;
  readonly power: number | null;
  readonly retry: number | null;
  readonly interval: number | null;
  readonly md5: string;
  readonly ipPort: string | null;
  readonly type: 'FULL' | 'DELTA';
}

export interface TaskingAnswer {
  readonly errno: number;
  readonly data: Readonly<Record<'target' | 'token' | 'md5', string>> &
    Readonly<Record<'size' | 'type', number>> &
    Readonly<Partial<Record<'signal' | 'power' | 'retry' | 'interval', number>>> & {
      readonly ipPort?: string;
    };
}

export type FetchOtaTask = (deviceId: string, type: OtaTaskType) => Promise<OtaTask>;

/** Where the stand-in for OneNET listens: scheme, host and port. */
export function upstreamOrigin(): string {
  const origin = process.env['UPSTREAM'];
  if (origin === undefined) throw new Error('UPSTREAM must be set');
  return origin;
}

export function taskingPath(deviceId: string, type: OtaTaskType): string {
  return `/ota/south/tasking?dev_id=${encodeURIComponent(deviceId)}&type=${type === 'FOTA' ? 1 : 2}&cdn=true`;
}

/** Field by field, and no more checks than most people write. */
export function toOtaTask({ errno, data }: TaskingAnswer): OtaTask {
  if (errno !== 0) throw new Error(`errno ${errno}`);
  return {
    target: data.target,
    token: data.token,
    size: data.size,
    signal: data.signal ?? null,
    power: data.power ?? null,
    retry: data.retry ?? null,
    interval: data.interval ?? null,
    md5: data.md5,
    ipPort: data.ipPort ?? null,
    type: data.type === 1 ? 'FULL' : 'DELTA',
  };
}

/** `dispatch`: undici's cheapest way, a handler without streams. `request`: what its documentation shows first. */
export type ClientKind = 'dispatch' | 'request';

export function createFetchOtaTask(kind: ClientKind): FetchOtaTask {
  const pool = new Pool(upstreamOrigin(), { connections: CONNECTIONS });
  return kind === 'dispatch' ? dispatching(pool) : requesting(pool);
}

/** The kind that the server was started with. */
export function clientKind(): ClientKind {
  const kind = process.argv[2];
  if (kind !== 'dispatch' && kind !== 'request') throw new Error('give dispatch or request');
  return kind;
}

function requesting(pool: Pool): FetchOtaTask {
  return async (deviceId, type) => {
    const path = taskingPath(deviceId, type);
    const { statusCode, body } = await pool.request({ method: 'GET', path, headers: HEADERS });
    if (statusCode !== 200) throw new Error(`HTTP status ${statusCode}`);
    return toOtaTask((await body.json()) as TaskingAnswer);
  };
}

function dispatching(pool: Pool): FetchOtaTask {
  return (deviceId, type) =>
    new Promise((resolve, reject) => {
      const path = taskingPath(deviceId, type);
      pool.dispatch({ method: 'GET', path, headers: HEADERS }, createCollector(resolve, reject));
    });
}

function createCollector(
  resolve: (task: OtaTask) => void,
  reject: (error: Error) => void,
): Dispatcher.DispatchHandler {
  let status = 0;
  const chunks: Buffer[] = [];
  return {
    onRequestStart: () => undefined,
    onResponseStart(_, statusCode) {
      status = statusCode;
    },
    onResponseData(_, chunk) {
      chunks.push(chunk);
    },
    onResponseEnd() {
      try {
        if (status !== 200) throw new Error(`HTTP status ${status}`);
        const body = chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks);
        resolve(toOtaTask(JSON.parse(body.toString()) as TaskingAnswer));
      } catch (error) {
        reject(error as Error);
      }
    },
    onResponseError(_, error) {
      reject(error);
    },
  };
}
