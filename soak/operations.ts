import type { Fleet } from '../src/simulator/fleet.ts';

/** One request, and what an honest answer to it looks like. */
export interface Operation {
  readonly kind: 'entities' | 'too-large' | 'malformed';
  readonly body: string;
  /** Device ids in the order of the representations; undefined for one that is no device. */
  readonly devices: readonly (string | undefined)[];
  /** Upstream calls that it costs. */
  readonly weight: number;
}

const CODES: ReadonlySet<string> = new Set([
  'ONENET_UNAVAILABLE',
  'ONENET_TIMEOUT',
  'ONENET_INTERNAL_ERROR',
  'ONENET_BAD_RESPONSE',
  'ONENET_RATE_LIMITED',
  'OTA_TASK_NOT_FOUND',
]);

/** A small generator (mulberry32): the mix is the same in every run. */
export function createRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const SELECTION =
  'fota: otaTask(type: FOTA) { token size downloadUrl } sota: otaTaskResult(type: SOTA) { __typename ... on OtaTask { token } }';
const QUERY = `query ($r: [_Any!]!) { _entities(representations: $r) { ... on Device { id ${SELECTION} } } }`;

export function nextOperation(random: () => number): Operation {
  const dice = random();
  if (dice < 0.02) return { kind: 'malformed', body: '{"query": "{ __typename', devices: [], weight: 0 };
  if (dice < 0.03) {
    const devices = Array.from({ length: 1001 }, (_, i) => `large-${i}`);
    return { kind: 'too-large', body: bodyOf(devices), devices, weight: 0 };
  }
  const size = dice < 0.6 ? 1 : dice < 0.9 ? 10 : dice < 0.99 ? 100 : 500;
  // A quarter are duplicates, and some are no devices at all.
  const devices = Array.from({ length: size }, () =>
    random() < 0.02
      ? undefined
      : `d${Math.floor(random() * size * 0.75 + random() * 1e6 * Number(size === 1))}`,
  );
  return { kind: 'entities', body: bodyOf(devices), devices, weight: new Set(devices).size * 2 };
}

function bodyOf(devices: readonly (string | undefined)[]): string {
  const r = devices.map((id) => ({ __typename: 'Device', id: id ?? null }));
  return JSON.stringify({ query: QUERY, variables: { r } });
}

interface Verification {
  /** What is wrong with the answer, where something is. */
  readonly problem: string | undefined;
  readonly codes: readonly string[];
}

interface AnswerError {
  readonly path: readonly [string, number, string];
  readonly extensions: { readonly code: string; readonly deviceId?: string };
}

type Entity = {
  readonly id: string;
  readonly fota: { readonly token: string } | null;
  readonly sota: { readonly token?: string } | null;
} | null;

/** Checks that an answer is whole, and that each device has its own data or its own error. */
export function verify(operation: Operation, status: number, text: string, fleet: Fleet): Verification {
  const { data, errors = [] } = JSON.parse(text) as {
    readonly data?: { readonly _entities: readonly Entity[] };
    readonly errors?: readonly AnswerError[];
  };
  const codes = errors.map(({ extensions }) => extensions.code);
  const fail = (problem: string): Verification => ({ problem, codes });
  const done: Verification = { problem: undefined, codes };

  // A service that cannot keep up may say so, but nothing else than 503.
  if (status === 503 && codes[0] === 'SERVICE_UNAVAILABLE') return done;
  if (operation.kind === 'malformed') return status === 400 ? done : fail(`malformed gave ${status}`);
  if (status !== 200 || data === undefined) return fail(`status ${status}`);
  if (data._entities.length !== operation.devices.length) return fail('entities are missing');
  if (operation.kind === 'too-large') {
    return codes.every((code) => code === 'OPERATION_TOO_LARGE') &&
      data._entities.every((entity) => entity === null)
      ? done
      : fail('not refused');
  }

  const failed = new Map(
    errors.map((error) => [`${error.path[1]}/${error.path.slice(2).join()}`, error.extensions]),
  );
  for (const [index, id] of operation.devices.entries()) {
    const entity = data._entities[index] ?? null;
    if (id === undefined) {
      if (entity !== null || failed.get(`${index}/`)?.code !== 'BAD_USER_INPUT')
        return fail('bad reference accepted');
      continue;
    }
    if (entity?.id !== id) return fail(`${id} has the id of another device`);
    for (const [field, type] of [
      ['fota', 1],
      ['sota', 2],
    ] as const) {
      const token = entity[field]?.token;
      const error = failed.get(`${index}/${field}`);
      const expected = fleet.answer(id, type, 0);
      if (token !== undefined && !('task' in expected && token === expected.task.token))
        return fail(`${id}: foreign data`);
      if (entity[field] === null && (error?.deviceId !== id || !CODES.has(error.code)))
        return fail(`${id}: foreign error`);
    }
  }
  return done;
}
