import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { decodeTaskingAnswer } from '../../src/onenet/decode.ts';
import { OneNetError } from '../../src/onenet-error.ts';
import { isAbsent, type OtaTaskOutcome } from '../../src/ota-task.ts';

const BAD_RESPONSE = expect.objectContaining({ name: 'OneNetError', reason: 'bad-response' });

const DOCUMENTED = {
  target: '1.2',
  token: 'ota_5hc95SFeo5xJEnaNrste',
  size: 123,
  signal: 12,
  power: 90,
  retry: 10,
  interval: 90,
  md5: 'dfkdajkfd',
  ipPort: '172.19.3.3:8002',
  type: 1,
};
const NUMBERS = ['size', 'signal', 'power', 'retry', 'interval'] as const;
const OPTIONAL_NUMBERS = ['signal', 'power', 'retry', 'interval'] as const;
const REQUIRED_STRINGS = ['target', 'token', 'md5'] as const;
const REQUIRED = [...REQUIRED_STRINGS, 'size', 'type'] as const;

type Field = keyof typeof DOCUMENTED;

/** Takes JSON as text for values that `JSON.stringify` cannot write. */
function decode(answer: string | Buffer): OtaTaskOutcome {
  return decodeTaskingAnswer(Buffer.from(answer));
}

function decodeJson(answer: unknown): OtaTaskOutcome {
  return decode(JSON.stringify(answer));
}

function decodeData(data: unknown): OtaTaskOutcome {
  return decodeJson({ errno: 0, error: 'succ', data });
}

/** The documented data with one field written like this in the JSON text, or omitted. */
function decodeWith(field: Field, json: string | undefined): OtaTaskOutcome {
  const fields = Object.entries(DOCUMENTED)
    .map(([name, value]) => [name, name === field ? json : JSON.stringify(value)] as const)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${JSON.stringify(name)}:${value ?? ''}`);
  return decode(`{"errno":0,"error":"succ","data":{${fields.join(',')}}}`);
}

function errorOf(action: () => unknown): unknown {
  try {
    action();
  } catch (error) {
    return error;
  }
  throw new Error('it gave no error');
}

/** Every combination of a field and a value. */
function cross<F, V>(fields: readonly F[], values: readonly V[]): [F, V][] {
  return fields.flatMap((field) => values.map((value): [F, V] => [field, value]));
}

describe('an answer with a task', () => {
  it("is read field by field from the document's example", () => {
    const body = `{"errno":0,"error":"succ","data":{"target":"1.2","token":"ota_5hc95SFeo5xJEnaNrste","size":123,"signal":12,
 "power":90,"retry":10,"interval":90,"md5":"dfkdajkfd","ipPort":"172.19.3.3:8002","type":1}}`;
    expect(decode(body)).toStrictEqual({
      target: '1.2',
      token: 'ota_5hc95SFeo5xJEnaNrste',
      size: 123,
      signal: 12,
      power: 90,
      retry: 10,
      interval: 90,
      md5: 'dfkdajkfd',
      ipPort: '172.19.3.3:8002',
      type: 'FULL',
    });
  });

  it.each([
    [1, 'FULL'],
    [2, 'DELTA'],
  ])('of type %i has a package that is %s', (type, name) => {
    expect(decodeData({ ...DOCUMENTED, type })).toHaveProperty('type', name);
  });

  it.each(cross([...OPTIONAL_NUMBERS, 'ipPort'] as const, [undefined, 'null']))(
    'without %s (%s) has null there and keeps the rest',
    (field, json) => {
      expect(decodeWith(field, json)).toStrictEqual({ ...DOCUMENTED, type: 'FULL', [field]: null });
    },
  );

  it.each(cross(NUMBERS, [0, 1, 2 ** 31 - 1]))('with %s %i has exactly that number', (field, number) => {
    expect(decodeData({ ...DOCUMENTED, [field]: number })).toHaveProperty(field, number);
  });

  it.each(cross(NUMBERS, ['1.0', '1e3']))('with %s written as %s has that integer', (field, json) => {
    expect(decodeWith(field, json)).toHaveProperty(field, Number(json));
  });

  it.each([...REQUIRED_STRINGS, 'ipPort'] as const)('has %s unchanged, whatever it contains', (field) => {
    for (const text of ['', ' ', 'Größe 设备 🚀', '"\\\n\u0000\u001b[31m', 'x'.repeat(1024)]) {
      expect(decodeData({ ...DOCUMENTED, [field]: text })).toHaveProperty(field, text);
    }
  });

  it('is read even if OneNET adds fields', () => {
    const answer = {
      errno: 0,
      error: 'succ',
      request_id: 'x',
      reason: 'NO_TASK',
      data: { ...DOCUMENTED, tid: 9, reason: 'NO_TASK', nested: { type: 7 }, Size: 'big' },
    };
    expect(decodeJson(answer)).toStrictEqual({ ...DOCUMENTED, type: 'FULL' });
  });

  it('takes no field from a prototype named in the answer', () => {
    const rest = { ...DOCUMENTED, size: undefined };
    const body = `{"errno":0,"data":${JSON.stringify(rest).slice(0, -1)},"__proto__":{"size":1}}}`;
    expect(() => decode(body)).toThrow(BAD_RESPONSE);
  });

  it.each([undefined, null, 7, {}, ['succ'], 'failed'])('is read whatever `error` is: %j', (error) => {
    expect(decodeJson({ errno: 0, error, data: DOCUMENTED })).toHaveProperty('target', '1.2');
  });
});

describe('an answer without a task', () => {
  it.each([
    [4, 'NO_TASK'],
    [12, 'TOKEN_EXPIRED'],
  ])('with errno %i is %s', (errno, reason) => {
    const outcome = decodeJson({ errno, error: 'no' });
    expect(outcome).toStrictEqual({ reason, errno });
    expect(isAbsent(outcome)).toBe(true);
  });

  it.each(cross([4, 12], [null, [], {}, 'x', DOCUMENTED]))(
    'with errno %i is none even with data %j',
    (errno, data) => {
      expect(decodeJson({ errno, data })).toStrictEqual({ reason: expect.any(String), errno });
    },
  );
});

describe('a refusal', () => {
  it.each([
    [2, 'invalid-type', false],
    [7, 'internal-error', true],
    [5116, 'unknown-errno', false],
    [-1, 'unknown-errno', false],
    [26, 'unknown-errno', false],
    [1, 'unknown-errno', false],
    [3, 'unknown-errno', false],
    [2 ** 40, 'unknown-errno', false],
    [Number.MAX_SAFE_INTEGER, 'unknown-errno', false],
    [Number.MIN_SAFE_INTEGER, 'unknown-errno', false],
  ])('with errno %i carries that number, is %s, and is retryable: %j', (errno, reason, retryable) => {
    const error = errorOf(() => decodeJson({ errno, error: 'no', data: DOCUMENTED }));
    expect(error).toBeInstanceOf(OneNetError);
    expect(error).toMatchObject({ reason, errno, consequences: { retryable } });
  });
});

describe('an undocumented answer', () => {
  it.each([
    ['nothing', ''],
    ['a space', ' '],
    ['null', 'null'],
    ['an array', '[]'],
    ['an array with a good answer', `[{"errno":0,"data":${JSON.stringify(DOCUMENTED)}}]`],
    ['a number', '0'],
    ['a string', '"succ"'],
    ['true', 'true'],
    ['an empty object', '{}'],
    ['truncated', '{"errno":0,"error":"succ","data":{"target":"1.2"'],
    ['two answers in a row', '{"errno":4}{"errno":4}'],
    ['NaN', '{"errno":NaN}'],
    ['Infinity', '{"errno":Infinity}'],
    ['undefined', '{"errno":undefined}'],
    ['a comment', '{"errno":4/* no task */}'],
    ['a comment line', '{"errno":4} // no task'],
    ['single quotes', "{'errno':4}"],
    ['bare names', '{errno:4}'],
    ['a trailing comma', '{"errno":4,}'],
    ['a leading zero', '{"errno":04}'],
    ['a plus sign', '{"errno":+4}'],
    ['hexadecimal', '{"errno":0x4}'],
    ['a raw line break in a string', '{"errno":4,"error":"a\nb"}'],
    ['a web page', '<!DOCTYPE html><html><body>Sign in to the Wi-Fi</body></html>'],
    ['a form', 'errno=0&error=succ'],
    ['JSONP', 'callback({"errno":4})'],
    ['invalid UTF-8 in a string', Buffer.from('{"errno":4,"error":"\xff"}', 'latin1')],
    ['cut in the middle of a character', Buffer.from('{"errno":4,"error":"\xe8\xae"}', 'latin1')],
    ['UTF-16', Buffer.from('{"errno":4}', 'utf16le')],
    ['gzip', Buffer.from('1f8b0800000000000003', 'hex')],
    ['nested beyond measure', '['.repeat(65_536)],
    ['nested beyond measure and closed', `${'['.repeat(32_768)}${']'.repeat(32_768)}`],
  ])('is a bad response: %s', (_, body) => {
    expect(() => decode(body)).toThrow(BAD_RESPONSE);
  });

  it.each([
    ['missing', undefined],
    ['null', 'null'],
    ['a string', '"0"'],
    ['a string of an absence', '"4"'],
    ['a fraction', '0.5'],
    ['a fraction of an absence', '4.000001'],
    ['beyond any double', '1e400'],
    ['beyond any double and negative', '-1e400'],
    ['beyond what a double tells apart', '9007199254740992'],
    ['true', 'true'],
    ['false', 'false'],
    ['an array', '[0]'],
    ['an object', '{"errno":0}'],
    ['empty', '""'],
  ])('is a bad response if errno is %s', (_, errno) => {
    const data = `"error":"succ","data":${JSON.stringify(DOCUMENTED)}`;
    const body = errno === undefined ? `{${data}}` : `{"errno":${errno},${data}}`;
    expect(() => decode(body)).toThrow(BAD_RESPONSE);
  });

  it('is a bad response if errno is 0 without data', () => {
    expect(() => decodeJson({ errno: 0, error: 'succ' })).toThrow(BAD_RESPONSE);
  });

  it.each([null, [], [DOCUMENTED], {}, '', JSON.stringify(DOCUMENTED), 0, 1, true, false])(
    'is a bad response if errno is 0 with data %j',
    (data) => {
      expect(() => decodeData(data)).toThrow(BAD_RESPONSE);
    },
  );

  it.each(cross(REQUIRED, [undefined, 'null']))('is a bad response if %s is %s', (field, json) => {
    expect(() => decodeWith(field, json)).toThrow(BAD_RESPONSE);
  });

  it.each(
    cross([...REQUIRED_STRINGS, 'ipPort'] as const, [
      '1',
      '1.2',
      '0',
      'true',
      'false',
      '{}',
      '[]',
      '["1.2"]',
    ]),
  )('is a bad response if the string %s is %s', (field, json) => {
    expect(() => decodeWith(field, json)).toThrow(BAD_RESPONSE);
  });

  it.each(
    cross(NUMBERS, [
      '"1"',
      '""',
      'true',
      'false',
      '{}',
      '[]',
      '[1]',
      '-1',
      '-2147483648',
      '0.5',
      '1.0000001',
      '2147483648',
      '4294967297',
      '9007199254740993',
      '1e400',
      '-1e400',
    ]),
  )('is a bad response if the number %s is %s', (field, json) => {
    expect(() => decodeWith(field, json)).toThrow(BAD_RESPONSE);
  });

  it.each([
    '0',
    '3',
    '-1',
    '1.5',
    '"1"',
    '"2"',
    '"FULL"',
    'true',
    '[1]',
    '{}',
    '1e400',
    '2147483649',
    '4294967297',
  ])('is a bad response if type is %s', (json) => {
    expect(() => decodeWith('type', json)).toThrow(BAD_RESPONSE);
  });

  it('is never retryable', () => {
    expect(errorOf(() => decode(''))).toMatchObject({ consequences: { retryable: false } });
  });
});

describe('an error', () => {
  const SECRET = 'ota_CanaryCanaryCanary42';
  const withSecret = { ...DOCUMENTED, token: SECRET, target: SECRET, md5: SECRET, ipPort: SECRET };

  /** Everything that a logger, a serializer or a careless message could show of an error. */
  function allOf(error: unknown): string {
    const { message, stack, name, cause } = error as Error;
    const own = Object.getOwnPropertyNames(error).map((key) => (error as Record<string, unknown>)[key]);
    return [JSON.stringify(error), JSON.stringify(own), message, stack, name, String(cause)].join('\n');
  }

  it.each([
    ['a known refusal', JSON.stringify({ errno: 2, error: SECRET, data: withSecret })],
    [
      'an unknown refusal',
      JSON.stringify({ errno: 5116, error: SECRET, data: withSecret, [SECRET]: SECRET }),
    ],
    ['a wrong errno', JSON.stringify({ errno: SECRET, error: SECRET, data: withSecret })],
    ['missing data', JSON.stringify({ errno: 0, error: SECRET })],
    ['data that is text', JSON.stringify({ errno: 0, error: SECRET, data: SECRET })],
    ...[...NUMBERS, 'type'].map((field): [string, string] => [
      `a wrong ${field}`,
      JSON.stringify({ errno: 0, error: SECRET, data: { ...withSecret, [field]: SECRET } }),
    ]),
    ...[...REQUIRED_STRINGS, 'ipPort'].map((field): [string, string] => [
      `a wrong ${field}`,
      JSON.stringify({ errno: 0, error: SECRET, data: { ...withSecret, [field]: [SECRET] } }),
    ]),
    ['text that is no JSON', SECRET],
    ['broken JSON', `{"errno":0,"error":"${SECRET}`],
    ['JSON with a wrong character', `{"errno":0,"error":"${SECRET}",}`],
    ['a string', JSON.stringify(SECRET)],
    ['an array', JSON.stringify([SECRET])],
    ['invalid UTF-8', Buffer.from(`{"errno":0,"error":"${SECRET}\xff"}`, 'latin1')],
  ])('for %s reveals nothing of the answer', (_, body) => {
    expect(allOf(errorOf(() => decode(body)))).not.toContain('Canary');
  });
});

describe('the decoder', () => {
  /** Allowed results; anything else fails the calling test. */
  function expectOutcomeOrOurError(body: Buffer): void {
    let outcome: OtaTaskOutcome;
    try {
      outcome = decodeTaskingAnswer(body);
    } catch (error) {
      if (!(error instanceof OneNetError)) throw error;
      expect(error.cause).toBeUndefined();
      return;
    }
    if (isAbsent(outcome)) {
      expect([4, 12]).toContain(outcome.errno);
      return;
    }
    const int = expect.toSatisfy(
      (value) => Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 2 ** 31 - 1,
    );
    const intOrNull = expect.toSatisfy((value) => value === null || int.asymmetricMatch(value));
    expect(outcome).toStrictEqual({
      target: expect.any(String),
      token: expect.any(String),
      size: int,
      signal: intOrNull,
      power: intOrNull,
      retry: intOrNull,
      interval: intOrNull,
      md5: expect.any(String),
      ipPort: expect.toSatisfy((value) => value === null || typeof value === 'string'),
      type: expect.toSatisfy((value) => value === 'FULL' || value === 'DELTA'),
    });
  }

  it('returns an outcome or one of our errors for any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300, size: 'max' }), (bytes) => {
        expectOutcomeOrOurError(Buffer.from(bytes));
      }),
    );
  });

  it('returns an outcome or one of our errors for any JSON', () => {
    fc.assert(fc.property(fc.json(), (text) => expectOutcomeOrOurError(Buffer.from(text))));
  });

  it('returns an outcome or one of our errors for any values of the documented fields', () => {
    const odd = fc.oneof(
      fc.jsonValue({ maxDepth: 2 }),
      fc.integer(),
      fc.nat({ max: 3 }),
      fc.double(),
      fc.string(),
      fc.constantFrom(...Object.values(DOCUMENTED)),
    );
    const data = fc.record(
      Object.fromEntries(
        Object.entries(DOCUMENTED).map(([field, value]) => [
          field,
          fc.oneof({ weight: 6, arbitrary: fc.constant<unknown>(value) }, { weight: 1, arbitrary: odd }),
        ]),
      ),
      { requiredKeys: [] },
    );
    const answer = fc.record({
      errno: fc.oneof({ weight: 4, arbitrary: fc.constant<unknown>(0) }, { weight: 1, arbitrary: odd }),
      error: odd,
      data: fc.oneof({ weight: 8, arbitrary: data }, { weight: 1, arbitrary: odd }),
    });
    fc.assert(
      fc.property(answer, (value) => expectOutcomeOrOurError(Buffer.from(JSON.stringify(value)))),
      { numRuns: 500 },
    );
  });

  it('returns an outcome or one of our errors for any damage to a good answer', () => {
    const good = Buffer.from(JSON.stringify({ errno: 0, error: 'succ', data: DOCUMENTED }));
    const cut = fc.record({
      at: fc.nat({ max: good.length }),
      remove: fc.nat({ max: 12 }),
      insert: fc.uint8Array({ maxLength: 6 }),
    });
    fc.assert(
      fc.property(fc.array(cut, { minLength: 1, maxLength: 4 }), (cuts) => {
        const damaged = cuts.reduce(
          (bytes, { at, remove, insert }) =>
            Buffer.concat([bytes.subarray(0, at), insert, bytes.subarray(at + remove)]),
          good,
        );
        expectOutcomeOrOurError(damaged);
      }),
      { numRuns: 500 },
    );
  });

  it('never accepts a part of a good answer as the whole', () => {
    const good = JSON.stringify({ errno: 0, error: 'succ', data: DOCUMENTED });
    for (let length = 0; length < good.length; length++) {
      expect(() => decode(good.slice(0, length))).toThrow(BAD_RESPONSE);
    }
  });
});
