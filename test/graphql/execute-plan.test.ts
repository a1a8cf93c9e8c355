import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { type Answer, post, type Service, startBoth } from '../service.ts';

const SECRET = 'a-secret-of-the-router';
/** Errnos that are neither retried nor open the circuit. */
const ERRNOS = [0, 2, 4, 5, 12, 26];

/** Every device has its own outcome: the last digit of its id selects the errno. */
function start(): Promise<Service> {
  return startBoth(
    {
      fault: ({ deviceId }) => {
        const errno = ERRNOS[Number(deviceId?.at(-1) ?? 0)] ?? 0;
        return errno === 0 ? undefined : { kind: 'body', body: JSON.stringify({ errno }) };
      },
    },
    { ROUTER_SECRET: SECRET, MAX_DEVICE_TASKS: '20' },
  );
}

/** The content of an answer, without traces and regardless of the order of errors. */
function content({ status, body }: Answer): unknown {
  const errors = (body.errors ?? []).map((error: unknown) => JSON.stringify(error)) as string[];
  return { status, data: JSON.stringify(body.data), errors: errors.sort() };
}

/** graphql-js executes a request for Apollo's federated trace, field by field. */
async function expectEqual(
  service: Service,
  query: string,
  variables: Record<string, unknown>,
): Promise<Answer> {
  const secret = { 'router-authorization': SECRET };
  const batch = await post(service.url, query, variables, secret);
  const again = await post(service.url, query, variables, secret);
  const plain = await post(service.url, query, variables, {
    ...secret,
    'apollo-federation-include-trace': 'ftv1',
  });
  if (plain.status === 200) expect(plain.body.extensions.ftv1).toBeTypeOf('string');
  expect(batch.body.extensions).toBeUndefined();
  expect(content(batch)).toEqual(content(plain));
  expect(again).toEqual(batch);
  return batch;
}

const REPRESENTATIONS = [
  ...['d0', 'd1', 'd2', 'd3', 'd4', 'd5', 'd0', 'd2'].map((id) => ({ __typename: 'Device', id })),
  { __typename: 'Device', id: 'not an id' },
  { __typename: 'Other', id: 'd0' },
  { __typename: 'Device' },
  7,
  [],
  { __typename: 'Device', id: 'd0', more: { of: 'it' } },
];

const TASK = ['target', 'a: token', 'size', 'signal', 'type', 'ipPort', 'downloadUrl', '__typename', 'size'];
const ABSENT = ['reason', 'errno', '__typename', 'b: reason'];
const directive = fc.constantFrom(
  '',
  '',
  '',
  ' @skip(if: $yes)',
  ' @include(if: $yes)',
  ' @include(if: false)',
);
const some = (fields: readonly string[]) =>
  fc
    .array(fc.tuple(fc.constantFrom(...fields), directive), { minLength: 1, maxLength: 6 })
    .map((chosen) => ['size0: __typename', ...chosen.map((parts) => parts.join(''))].join(' '));
const argument = fc.constantFrom('FOTA', 'SOTA', '$type', 'FOTA');

const deviceField = fc.oneof(
  fc.constantFrom(
    'id',
    '__typename',
    'again: id',
    '... on Device { id }',
    '...Id',
    '... { name: __typename }',
  ),
  fc.tuple(fc.nat(9), argument, some(TASK), directive).map(([n, type, fields, when]) => {
    return `t${n}: otaTask(type: ${type})${when} { ${fields} }`;
  }),
  fc.tuple(fc.nat(9), argument, some(TASK), some(ABSENT)).map(([n, type, task, absent]) => {
    return `r${n}: otaTaskResult(type: ${type}) { __typename ... on OtaTask { ${task} } ... on OtaTaskAbsent { ${absent} } }`;
  }),
);

describe('the answer to a batch', () => {
  it('equals the answer of graphql-js, whatever the operation selects', async () => {
    const service = await start();
    let answered = 0;
    const root = fc
      .tuple(fc.nat(3), fc.array(deviceField, { minLength: 1, maxLength: 5 }), directive)
      .map(
        ([n, fields, when]) =>
          `e${n}: _entities(representations: $r)${when} { ... on Device { ${fields.join(' ')} } }`,
      );
    await fc.assert(
      fc.asyncProperty(
        fc.array(root, { minLength: 1, maxLength: 3 }),
        fc.subarray(REPRESENTATIONS),
        fc.boolean(),
        fc.constantFrom('FOTA', 'SOTA'),
        async (roots, r, yes, type) => {
          const query = `query ($r: [_Any!]!, $yes: Boolean = true, $type: OtaTaskType = SOTA) {
            ${roots.join('\n')}
            used: __typename @skip(if: true) @include(if: $yes) ...Never @skip(if: $yes)
          }
          fragment Never on Query { never: _entities(representations: $r) { ...Id ... on Device { otaTask(type: $type) { size } } } }
          fragment Id on Device { id }`;
          if ((await expectEqual(service, query, { r, yes, type })).status === 200) answered++;
        },
      ),
      { numRuns: 150 },
    );
    // The others are invalid: fields of the same name that differ.
    expect(answered).toBeGreaterThan(50);
  }, 60_000);

  it.each([
    ['an operation that is too large', 'otaTask(type: FOTA) { size }', 21],
    [
      'an operation that repeats too much',
      'a: otaTask(type: FOTA) { size } b: otaTask(type: FOTA) { size }',
      101,
    ],
    ['no representation', 'otaTask(type: FOTA) { size }', 0],
  ])('equals the answer of graphql-js: %s', async (_, selection, count) => {
    const service = await start();
    const query = `query ($r: [_Any!]!) { _entities(representations: $r) { ... on Device { ${selection} } } }`;
    const r = Array.from({ length: count }, (_unused, i) => ({ __typename: 'Device', id: `x${i}0` }));
    await expectEqual(service, query, { r });
  });

  it.each([
    [
      'a key that objects treat specially',
      '_entities(representations: $r) { ... on Device { __proto__: id } }',
    ],
    [
      'something beside the entities',
      '_entities(representations: $r) { ... on Device { id } } _service { sdl }',
    ],
    [
      'literal representations',
      '_entities(representations: [{ __typename: "Device", id: "d2" }]) { ... on Device { otaTask(type: FOTA) { size } } } b: _entities(representations: $r) { __typename }',
    ],
    [
      'an operation without entities',
      '__typename a: __typename @skip(if: true) b: _entities(representations: $r) @skip(if: true) { __typename }',
    ],
  ])('equals the answer of graphql-js: %s', async (_, selection) => {
    const service = await start();
    await expectEqual(service, `query ($r: [_Any!]!) { ${selection} }`, { r: REPRESENTATIONS });
  });

  it.each([
    ['of a field', '_entities(representations: $r) { ... on Device { id otaTask(type: $null) { size } } }'],
    [
      'of a directive',
      '_entities(representations: $r) { ... on Device { otaTask(type: FOTA) { size @skip(if: $null) } } }',
    ],
  ])('is null with an error for each entity when the non-null argument %s is null', async (_, field) => {
    const service = await start();
    const type = field.includes('@skip') ? 'Boolean = false' : 'OtaTaskType = FOTA';
    const query = `query ($r: [_Any!]!, $null: ${type}) { ${field} }`;
    const r = REPRESENTATIONS.slice(0, 2);
    const { status, body } = await expectEqual(service, query, { r, null: null });
    expect([status, body.data]).toEqual([200, { _entities: [null, null] }]);
    for (const [index, { message, path, extensions }] of body.errors.entries()) {
      expect(message).toMatch(/^Argument "(?:type|if)" of non-null type ".*" must not be null\.$/);
      expect([path, extensions]).toEqual([
        ['_entities', index],
        { code: 'BAD_USER_INPUT', retryable: false },
      ]);
    }
  });

  it('is null when the argument of a directive on a root field is null', async () => {
    const service = await start();
    const query = 'query ($nil: Boolean = true) { __typename @skip(if: $nil) }';
    const { status, body } = await expectEqual(service, query, { nil: null });
    expect([status, body.data, body.errors[0].extensions.code]).toEqual([200, null, 'BAD_USER_INPUT']);
  });

  it.each([
    ['missing', {}],
    ['null', { r: null }],
    ['a null among them', { r: [null, { __typename: 'Device', id: 'd0' }] }],
    ['more nulls than graphql-js reports', { r: Array(60).fill(null) }],
    ['no list', { r: { __typename: 'Device', id: 'd0' } }],
  ])('equals the answer of graphql-js for invalid representations: %s', async (_, variables) => {
    const service = await start();
    const query = 'query ($r: [_Any!]!) { _entities(representations: $r) { ... on Device { id } } }';
    await expectEqual(service, query, variables);
  });
});
