import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';

import { GOALS } from '../../fuzz/fuzz.ts';
import { startTarget, type Target } from '../../fuzz/target.ts';

// Requests that `npm run fuzz` found, each reduced to its smallest form, with what it cost before the fix.

const ENOUGH = 8;

/** The lowest cost of several requests with different texts, because other load on the machine can only add to it. */
async function cheapest(
  target: Target,
  query: string,
  { representations = [] as unknown[], headers = {} } = {},
): Promise<{
  readonly status: number;
  readonly code: string;
  readonly cpuMs: number;
  readonly answerBytes: number;
}> {
  const all = [];
  for (let i = 0; i < ENOUGH; i++) {
    const body = JSON.stringify({ query: `#${i}\n${query}`, variables: { r: representations } });
    all.push(
      await target.measure({
        headers: { 'content-type': 'application/json', ...headers },
        body: Buffer.from(body),
      }),
    );
  }
  return all.reduce((least, each) => (each.cpuMs < least.cpuMs ? each : least));
}

const repeat = (count: number, text: (i: number) => string): string =>
  Array.from({ length: count }, (_, i) => text(i)).join(' ');
const device = (id: string): unknown => ({ __typename: 'Device', id });
const entities = (selection: string): string =>
  `query ($r: [_Any!]!) { _entities(representations: $r) { ... on Device { ${selection} } } }`;

describe('a request under 10 KB that multiplies its work', { timeout: 30_000 }, () => {
  let target: Target;
  beforeAll(async () => {
    target = await startTarget();
    return () => target.stop();
  });

  it.each([
    [
      'the schema as text, 155 ms',
      `{ ${repeat(100, (i) => `a${i}: _service { ...F }`)} } fragment F on _Service { ${repeat(100, (i) => `b${i}: sdl`)} }`,
    ],
    [
      'the schema by introspection, 490 ms',
      `{ __schema { ${repeat(60, (i) => `a${i}: types { ...T }`)} } }
       fragment T on __Type { name ${repeat(40, (i) => `f${i}: fields { name description args { name } }`)} }`,
    ],
    [
      'all of introspection, 600 ms',
      `{ ${repeat(99, (i) => `a${i}: __schema { ...S }`)} }
       fragment S on __Schema { types { ...T fields { args { type { ...T } } type { ...T ofType { ...T ofType { ...T } } } } } }
       fragment T on __Type { kind name description specifiedByURL enumValues { name description } inputFields { name } }`,
    ],
  ])('is refused: %s', async (_, query) => {
    const { status, code, cpuMs } = await cheapest(target, query);
    expect([status, code]).toEqual([400, 'GRAPHQL_VALIDATION_FAILED']);
    expect(cpuMs).toBeLessThan(GOALS.cpuMsPer10KB);
  });

  it('may ask for the schema without aliases', async () => {
    const { status, code } = await cheapest(
      target,
      '{ _service { sdl } __schema { types { name } } a: __typename }',
    );
    expect([status, code]).toEqual([200, '']);
  });

  it('costs no more than the largest allowed answer when its own would be far larger: 60 MB of one device, 128 ms', async () => {
    const query = `${entities(repeat(100, (i) => `t${i}: otaTask(type: FOTA) { ...T }`))}
      fragment T on OtaTask { ${repeat(97, (i) => `s${i}: target`)} }`;
    const { status, code, cpuMs } = await cheapest(target, query, { representations: [device('fat-1')] });
    expect([status, code]).toEqual([200, 'OPERATION_TOO_LARGE']);
    expect(cpuMs).toBeLessThan(GOALS.cpuMsPer10KB);
  });

  it('adds one location per error to a trace, however often the field is repeated: 157 ms', async () => {
    const query = `query ($r: [_Any!]!) { ${'_entities(representations: $r) { __typename } '.repeat(120)} }`;
    const headers = { 'apollo-federation-include-trace': 'ftv1' };
    const { status, cpuMs, answerBytes } = await cheapest(target, query, {
      representations: Array(890).fill(7),
      headers,
    });
    expect(status).toBe(200);
    expect(cpuMs).toBeLessThan(GOALS.cpuMsPer10KB);
    expect(answerBytes).toBeLessThan(2_000_000);
  });

  it.each([
    ['2400 errors of tasks, 125 ms', 150, Array(16).fill(device('errno-4-1'))],
    ['of entities', 1, Array(2000).fill(7)],
  ])('is traced only while tracing its errors stays cheap: %s', async (_, aliases, representations) => {
    const query = entities(repeat(aliases, (i) => `t${i}: otaTask(type: FOTA) { size }`));
    const headers = { 'apollo-federation-include-trace': 'ftv1' };
    const { status, cpuMs } = await cheapest(target, query, { representations, headers });
    expect(status).toBe(200);
    expect(cpuMs).toBeLessThan(GOALS.cpuMsPer10KB);
  });
});

describe('cached plans', () => {
  it.each([
    [
      'in one operation, 180 MB a plan',
      (
        n: number,
      ) => `query ($r: [_Any!]!) { ${repeat(60, (i) => `a${n}x${i}: _entities(representations: $r) { ...F }`)} }
        fragment F on Device { ${repeat(60, (i) => `t${i}: otaTask(type: FOTA) { ...T }`)} }
        fragment T on OtaTask { ${'k'.repeat(50_000)}: size }`,
    ],
    [
      'in many plans of one operation, 6 MB a plan',
      () => `query ($r: [_Any!]!, ${repeat(5, (i) => `$v${i}: Boolean!`)}) {
        ${repeat(110, (i) => `a${i}: _entities(representations: $r) { ...F }`)} }
        fragment F on Device { ${'k'.repeat(55_000)}: id ${repeat(5, (i) => `id @skip(if: $v${i})`)} }`,
    ],
  ])(
    'never exhaust the heap, however long their aliases are: %s',
    async (_, query) => {
      const target = await startTarget({ NODE_OPTIONS: '--max-old-space-size=96' });
      onTestFinished(() => target.stop());
      for (let n = 0; n < 32; n++) {
        const flags = Object.fromEntries(
          Array.from({ length: 5 }, (_unused, i) => [`v${i}`, ((n >> i) & 1) === 1]),
        );
        const body = Buffer.from(
          JSON.stringify({ query: query(n), variables: { r: [device('d1')], ...flags } }),
        );
        const { status } = await target.measure({ headers: { 'content-type': 'application/json' }, body });
        expect(status).toBe(200);
      }
    },
    60_000,
  );
});
