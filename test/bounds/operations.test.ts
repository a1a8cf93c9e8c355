import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { brotliCompressSync, gzipSync } from 'node:zlib';

import { request } from 'undici';
import { describe, expect, it, onTestFinished } from 'vitest';

import type { SimulatorOptions } from '../../src/simulator/simulator.ts';
import { faultByName } from '../fault-by-name.ts';
import {
  type Answer,
  devices,
  type Environment,
  type ServiceProcess,
  startOnce,
  startProgram,
  type Until,
} from '../service.ts';

/**
 * Seconds of CPU, with a margin for slow machines. Each of these operations took 0.4 to 104 s before it was bounded.
 */
const QUICK = 0.35;
const CLOCK_TICKS_PER_SECOND = 100;

async function start(
  options: SimulatorOptions = {},
  environment: Environment = {},
  until: Until = onTestFinished,
): Promise<ServiceProcess> {
  const { service } = await startProgram({ fault: faultByName, ...options }, environment, until);
  // The first operation includes the compilation of the code that runs it.
  for (let i = 0; i < 3; i++) {
    await send(service, { query: entities('id'), variables: { r: devices('warm') } });
    await send(service, { query: '{ unknown }' });
  }
  return service;
}

/** CPU time of all threads of the process, user and system. */
function cpuSeconds({ child }: ServiceProcess): number {
  const stat = readFileSync(`/proc/${child.pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / CLOCK_TICKS_PER_SECOND;
}

interface Measured extends Answer {
  readonly cpu: number;
}

/** Resolves to the answer and its cost, again while the service sheds load because of what came before. */
async function send(
  service: ServiceProcess,
  body: unknown,
  { encode = (text: string): string | Buffer => text, headers = {} } = {},
): Promise<Measured> {
  const bytes = encode(typeof body === 'string' ? body : JSON.stringify(body));
  for (;;) {
    const before = cpuSeconds(service);
    const response = await request(service.url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: bytes,
    });
    const text = await response.body.text();
    const cpu = cpuSeconds(service) - before;
    if (response.statusCode !== 503)
      return { status: response.statusCode, text, body: JSON.parse(text), cpu };
    await delay(100);
  }
}

let measured = 0;

/** As `send` does, with a comment at the end of the operation so that no cache knows its text. */
function measure(
  service: ServiceProcess,
  { query, ...body }: { readonly query: string; readonly variables?: object },
  options?: Parameters<typeof send>[2],
): Promise<Measured> {
  return send(service, { query: `${query}#${measured++}`, ...body }, options);
}

const entities = (selection: string): string =>
  `query ($r: [_Any!]!) { _entities(representations: $r) { ... on Device { ${selection} } } }`;
const repeat = (count: number, text: (i: number) => string): string =>
  Array.from({ length: count }, (_, i) => text(i)).join(' ');

const ENCODINGS = {
  plain: {},
  gzip: { encode: gzipSync, headers: { 'content-encoding': 'gzip' } },
  brotli: { encode: brotliCompressSync, headers: { 'content-encoding': 'br' } },
};
const NEW_LINES = { '\\n': '\n', '\\r\\n': '\r\n', '\\r': '\r' };

describe('the text of an operation', () => {
  const shared = startOnce((until) => start({}, {}, until));
  const manyFields = (aliases: number, fields: number): string =>
    `query ($r: [_Any!]!) { ${repeat(aliases, (i) => `a${i}: _entities(representations: $r) { ...F }`)} }
     fragment F on Device { ${'id '.repeat(fields)} }`;
  const inline = (aliases: number, fields: number): string =>
    `query ($r: [_Any!]!) { ${repeat(aliases, (i) => `a${i}: _entities(representations: $r) { ... on Device { ${'id '.repeat(fields)} } }`)} }`;

  it.each(
    Object.entries(NEW_LINES).flatMap(([name, newLine]) =>
      Object.entries(ENCODINGS).map(([encoding, options]) => ({ name, newLine, encoding, options })),
    ),
  )(
    'costs no more when 50 000 line breaks ($name) precede it, sent $encoding',
    async ({ newLine, options }) => {
      const service = shared();
      const lines = newLine.repeat(50_000 / newLine.length);
      for (const query of [manyFields(70, 600), inline(50, 20), inline(1, 600)]) {
        const { status, cpu } = await measure(
          service,
          { query: lines + query, variables: { r: [7] } },
          options,
        );
        expect(status).toBe(200);
        expect(cpu).toBeLessThan(QUICK);
      }
    },
  );

  it('costs no more when everything in it is invalid', async () => {
    const service = shared();
    const conflicts = repeat(
      60,
      (i) => `otaTask(type: FOTA) { ${i % 2 ? 'x: size y: token' : 'x: token y: size'} }`,
    );
    for (const selection of [conflicts, repeat(1500, (i) => `f${i}`)]) {
      const { status, cpu, body } = await measure(service, {
        query: '\n'.repeat(50_000) + entities(selection),
      });
      expect(status).toBe(400);
      expect(cpu).toBeLessThan(QUICK);
      for (const { locations } of body.errors.slice(0, 50)) {
        expect(locations).toHaveLength(1);
        expect(locations[0].line).toBe(50_001);
      }
    }
  });

  it('may have at most 64 KiB', async () => {
    const service = shared();
    const query = entities('id');
    const fill = (bytes: number): string => `${query}#${'é'.repeat((bytes - query.length - 1) / 2)}`;
    const longest = 64 * 1024 - ((64 * 1024 - query.length - 1) % 2);
    expect(await send(service, { query: fill(longest), variables: { r: [] } })).toMatchObject({
      status: 200,
    });
    for (const tooLong of [fill(longest + 2), `${'\n'.repeat(1_000_000)}{ __typename }`]) {
      const { status, body, cpu } = await measure(service, { query: tooLong, variables: { r: [] } });
      expect([status, body.errors]).toMatchObject([400, [{ extensions: { code: 'GRAPHQL_PARSE_FAILED' } }]]);
      expect(cpu).toBeLessThan(QUICK);
    }
  });

  it.each([
    ['a list that is never closed', '['.repeat(1900)],
    ['a list of lists', `${'['.repeat(980)}${']'.repeat(980)}`],
    ['an object of objects', `${'{a:'.repeat(480)}1${'}'.repeat(480)}`],
  ])('may be deeply nested without revealing the engine: %s', async (_, literal) => {
    const service = shared();
    const { status, text } = await send(
      service,
      `{"query":"{_entities(representations:${literal}){__typename}}"}`,
    );
    expect([200, 400]).toContain(status);
    expect(text).not.toMatch(/call stack|RangeError/i);
    expect(text).toMatch(/BAD_USER_INPUT|GRAPHQL_PARSE_FAILED/);
  });

  it('is planned within a budget, however its aliases and fragments multiply', async () => {
    const service = shared();
    const query = `query ($r: [_Any!]!) { ${repeat(70, (i) => `a${i}: _entities(representations: $r) { ...D }`)} }
      fragment D on Device { ${repeat(70, (i) => `t${i}: otaTask(type: FOTA) { ...T }`)} }
      fragment T on OtaTask { ${'size '.repeat(60)} }`;
    const { status, body, cpu } = await measure(service, { query, variables: { r: devices('d1') } });
    expect(status).toBe(200);
    expect(body.data.a69).toEqual([null]);
    expect(body.errors[0].extensions.code).toBe('OPERATION_TOO_LARGE');
    expect(cpu).toBeLessThan(QUICK);
  });
});

describe('cached operations', () => {
  // At least twice as many as exhaust this heap where nothing limits the cache.
  it.each<[string, number, (n: number) => string]>([
    ['aliases', 240, (n) => entities(repeat(140, (i) => `a${n}x${i}: otaTask(type: FOTA) { size }`))],
    [
      'fragments',
      100,
      (
        n,
      ) => `query ($r: [_Any!]!) { ${repeat(40, (i) => `a${n}x${i}: _entities(representations: $r) { ...F }`)} }
        fragment F on Device { ${repeat(40, (i) => `t${i}: otaTask(type: FOTA) { ...T }`)} }
        fragment T on OtaTask { size token target md5 signal power retry interval type }`,
    ],
    [
      'variables',
      160,
      (n) => `query ($r: [_Any!]!, ${repeat(8, (i) => `$v${i}: Boolean = true`)}) {
        ${repeat(40, (i) => `a${n % 4}x${i}: _entities(representations: $r) { ...F }`)} }
        fragment F on Device { ${repeat(100, (i) => `t${i}: id @skip(if: $v${i % 8})`)} }`,
    ],
  ])(
    'never exhaust the heap, however many, large and different they are: %s',
    async (_, count, query) => {
      const service = await start({}, { NODE_OPTIONS: '--max-old-space-size=96' });
      for (let n = 0; n < count; n++) {
        const flags = Object.fromEntries(
          Array.from({ length: 8 }, (_unused, i) => [`v${i}`, ((n >> i) & 1) === 1]),
        );
        const { status } = await send(service, {
          query: query(n),
          variables: { r: devices('d1'), ...flags },
        });
        expect(status).toBe(200);
      }
      expect(service.child.exitCode).toBeNull();
    },
    60_000,
  );
});

describe('an answer', () => {
  const shared = startOnce((until) => start({}, {}, until));

  it('has one location per error, however often the field is repeated', async () => {
    const service = shared();
    const query = entities('otaTask(type: FOTA) { size } '.repeat(150));
    const { body, text } = await send(service, {
      query,
      variables: { r: Array(1000).fill(devices('errno-4')[0]) },
    });
    expect(body.errors).toHaveLength(1000);
    for (const { locations } of body.errors) expect(locations).toEqual([{ line: 1, column: 73 }]);
    expect(text.length).toBeLessThan(400_000);
  });

  const long = JSON.stringify({
    errno: 0,
    data: {
      target: 'x'.repeat(1024),
      token: '\u0001'.repeat(1024),
      size: 1,
      md5: '\u4e00'.repeat(1024),
      type: 1,
    },
  });

  it('has at most 16 MiB: a larger one is refused as a whole', async () => {
    const service = await start({ fault: () => ({ kind: 'body', body: long }) });
    const query = entities(repeat(9, (i) => `t${i}: otaTask(type: FOTA) { target token md5 }`));
    const ask = (count: number): Promise<Answer> =>
      send(service, {
        query,
        variables: { r: devices(...Array.from({ length: count }, (_, i) => `d${i}`)) },
      });
    const within = await ask(150);
    expect(within.body.errors).toBeUndefined();
    expect(within.body.data._entities[149].t8.md5).toBe('\u4e00'.repeat(1024));
    const beyond = await ask(900);
    expect(beyond.status).toBe(200);
    expect(beyond.body.data._entities).toEqual(Array(900).fill(null));
    expect(beyond.body.errors).toHaveLength(900);
    for (const { extensions } of beyond.body.errors) {
      expect(extensions).toEqual({ code: 'OPERATION_TOO_LARGE', retryable: false });
    }
  }, 30_000);

  it('has at most 16 MiB when its errors repeat a long alias', async () => {
    const service = shared();
    const query = `query ($r: [_Any!]!) { ${'a'.repeat(60_000)}: _entities(representations: $r) { __typename } }`;
    const { status, text, cpu } = await measure(service, { query, variables: { r: Array(9999).fill(7) } });
    expect(status).toBe(200);
    expect(text.length).toBeLessThan(16 * 1024 * 1024);
    expect(cpu).toBeLessThan(2 * QUICK);
  });

  it('costs no more for bad representations under many aliases', async () => {
    const service = shared();
    const query = `query ($r: [_Any!]!) { ${repeat(140, (i) => `a${i}: _entities(representations: $r) { __typename }`)} }`;
    for (const r of [Array(710).fill(7), Array(710).fill({})]) {
      const { status, body, cpu } = await measure(service, { query, variables: { r } });
      expect([status, body.data.a139]).toEqual([200, Array(710).fill(null)]);
      expect(cpu).toBeLessThan(QUICK);
    }
  });

  it('is refused when graphql-js would have to resolve many entities beside other root fields', async () => {
    const service = await start({}, { SANDBOX: 'true' });
    const query = (aliases: number): string =>
      `query ($r: [_Any!]!) { __schema { queryType { name } } ${repeat(aliases, (i) => `a${i}: _entities(representations: $r) { __typename }`)} }`;
    const few = await send(service, { query: query(3), variables: { r: Array(710).fill(7) } });
    expect(few.body.data.a2).toEqual(Array(710).fill(null));
    expect(few.body.data.__schema).toEqual({ queryType: { name: 'Query' } });
    const many = await measure(service, { query: query(140), variables: { r: Array(710).fill(7) } });
    expect([many.status, many.body.errors]).toMatchObject([400, [{ extensions: { code: 'BAD_REQUEST' } }]]);
    expect(many.cpu).toBeLessThan(QUICK);
  });

  it('is not traced field by field when that would cost more than the answer', async () => {
    const secret = 'a-secret-of-the-router';
    const service = await start({}, { ROUTER_SECRET: secret });
    const headers = { 'router-authorization': secret, 'apollo-federation-include-trace': 'ftv1' };
    const query = entities(`otaTask(type: FOTA) { ${repeat(18, (i) => `s${i}: size`)} }`);
    const ask = (count: number): ReturnType<typeof measure> =>
      measure(service, { query, variables: { r: Array(count).fill(devices('d1')[0]) } }, { headers });
    expect((await ask(10)).body.extensions.ftv1).toBeTypeOf('string');
    const { body, cpu } = await ask(9_999);
    expect(body.data._entities[9_998].otaTask.s17).toBeTypeOf('number');
    expect(body.extensions).toBeUndefined();
    expect(cpu).toBeLessThan(4 * QUICK);
  });
});

describe('a deeply nested value', () => {
  const shared = startOnce((until) => start({}, {}, until));
  const deep = (depth: number): string => '[{"a":'.repeat(depth) + '1' + '}]'.repeat(depth);
  const good = JSON.stringify(devices('d1')[0]);

  it.each([
    [
      'one of several',
      `query($x:_Any!,$y:_Any!){_entities(representations:[$x,$y]){...on Device{id}}}`,
      (x: string) => `{"x":${x},"y":${good}}`,
    ],
    ['in the list', entities('id'), (x: string) => `{"r":[${x},${good}]}`],
    ['under the key', entities('id'), (x: string) => `{"r":[{"__typename":"Device","id":${x}},${good}]}`],
    ['beside the key', entities('id'), (x: string) => `{"r":[{"__typename":${x}},${good}]}`],
    [
      'inside a literal',
      `query($x:_Any!,$y:_Any!){_entities(representations:[{__typename:"Device",id:$x},$y]){...on Device{id}}}`,
      (x: string) => `{"x":${x},"y":${good}}`,
    ],
  ])('fails only its own entity: %s', async (_, query, variables) => {
    const service = shared();
    for (const depth of [5000, 200_000]) {
      const { status, body } = await send(
        service,
        `{"query":${JSON.stringify(query)},"variables":${variables(deep(depth))}}`,
      );
      expect([status, body.data]).toEqual([200, { _entities: [null, { id: 'd1' }] }]);
      expect(body.errors).toMatchObject([{ path: ['_entities', 0], extensions: { code: 'BAD_USER_INPUT' } }]);
    }
  });

  it.each([
    [
      'where a type is wanted',
      'query($r:[_Any!]!,$t:OtaTaskType!){_entities(representations:$r){...on Device{otaTask(type:$t){size}}}}',
      't',
    ],
    [
      'where a boolean is wanted',
      'query($r:[_Any!]!,$t:Boolean!){_entities(representations:$r){__typename @skip(if:$t)}}',
      't',
    ],
    ['where nothing is wanted', entities('id'), 'u'],
    ['in the extensions', entities('id'), 'r":[]},"extensions":{"e'],
  ])('does not harm the service: %s', async (_, query, name) => {
    const service = shared();
    const { status, text } = await send(
      service,
      `{"query":${JSON.stringify(query)},"variables":{"r":[],"${name}":${deep(100_000)}}}`,
    );
    expect([200, 400]).toContain(status);
    expect(text).not.toMatch(/call stack|INTERNAL/i);
  });
});

describe('a null for a non-null argument', () => {
  const shared = startOnce((until) => start({}, { SANDBOX: 'true' }, until));

  it.each([
    ['of the representations', 'query($o:_Any={}){_entities(representations:[$o]){__typename}}'],
    [
      'of one of them',
      'query($o:_Any={}){_entities(representations:[$o,{__typename:"Device",id:"d1"}]){__typename}}',
    ],
    ['of all of them', 'query($o:[_Any!]=[]){_entities(representations:$o){__typename}}'],
    [
      'beside other roots',
      'query($o:_Any={}){_service{__typename} _entities(representations:[$o]){__typename}}',
    ],
    ['of the schema', 'query($o:String="a"){__type(name:$o){name}}'],
    ['of a directive', 'query($o:Boolean=true){__typename @skip(if:$o)}'],
  ])('is reported as a client error: %s', async (_, query) => {
    const service = shared();
    const { status, body } = await send(service, { query, variables: { o: null } });
    expect([200, 400]).toContain(status);
    expect(body.errors.length).toBeGreaterThan(0);
    for (const { extensions } of body.errors)
      expect(extensions).toEqual({ code: 'BAD_USER_INPUT', retryable: false });
    expect(service.log.filter(({ level }) => Number(level) >= 50)).toEqual([]);
  });
});
