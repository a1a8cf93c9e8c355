import { inspect } from 'node:util';

import { describe, expect, it } from 'vitest';

import { type Config, ConfigError, readConfig } from '../../src/config/config.ts';

const NUMBERS = [
  'PORT',
  'ONENET_TOKEN_TTL_SECONDS',
  'ONENET_CONNECTIONS',
  'ONENET_TIMEOUT_MS',
  'REQUEST_TIMEOUT_MS',
  'CACHE_MAX_AGE_SECONDS',
  'CACHE_TTL_MS',
  'CACHE_ABSENT_TTL_MS',
  'CACHE_MAX_ENTRIES',
  'ONENET_CALLS_PER_SECOND',
  'MAX_DEVICE_TASKS',
  'DRAIN_DELAY_MS',
] as const;

const VARIABLES = [
  ...NUMBERS,
  'HOST',
  'ONENET_URL',
  'ONENET_ALLOW_HTTP',
  'ONENET_AUTHORIZATION',
  'ONENET_PRODUCT_ID',
  'ONENET_ACCESS_KEY',
  'ONENET_SIGN_METHOD',
  'REDIS_URL',
  'ONENET_PRODUCTS_FILE',
  'DEVICE_PRODUCT_FIELD',
  'SECRET_FIELD_SCOPES',
  'ROUTER_SECRET',
  'SANDBOX',
  'LOG_LEVEL',
] as const;

type Variable = (typeof VARIABLES)[number];
type Environment = Readonly<Record<string, string>>;

const TOKEN: Environment = { ONENET_AUTHORIZATION: 'token' };
const KEY: Environment = { ONENET_PRODUCT_ID: 'p1', ONENET_ACCESS_KEY: 'QUJD' };

/** The error that this environment causes. */
function refusal(environment: Environment): ConfigError {
  try {
    readConfig(environment);
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return error as ConfigError;
  }
  throw new Error('the configuration was accepted');
}

function namedIn({ message }: ConfigError): Variable[] {
  return VARIABLES.filter((name) => new RegExp(`\\b${name}\\b`).test(message));
}

describe('defaults', () => {
  it('require only credentials', () => {
    expect(readConfig(TOKEN)).toEqual({
      host: '127.0.0.1',
      port: 4001,
      onenetOrigin: 'https://ota.heclouds.com',
      credentials: { token: 'token' },
      onenetConnections: 64,
      onenetTimeoutMs: 3000,
      requestTimeoutMs: 10_000,
      maxDeviceTasks: 1000,
      cacheMaxAgeSeconds: 0,
      cacheTtlMs: 0,
      cacheAbsentTtlMs: 0,
      cacheMaxEntries: 100_000,
      redisUrl: undefined,
      callsPerSecond: undefined,
      schema: { productField: undefined, secretFieldScopes: undefined },
      routerSecret: undefined,
      sandbox: false,
      drainDelayMs: 0,
      logLevel: 'info',
      otlpProtocol: undefined,
    } satisfies Config);
  });

  it('sign tokens with SHA-256, valid for an hour', () => {
    expect(readConfig(KEY).credentials).toEqual({
      productId: 'p1',
      accessKey: 'QUJD',
      method: 'sha256',
      ttlSeconds: 3600,
    });
  });

  it.each([
    ['50', 50],
    ['2999', 2999],
    ['3000', 3000],
    ['3001', 3000],
    ['60000', 3000],
  ])('limit an upstream attempt to what REQUEST_TIMEOUT_MS=%s allows: %i ms', (request, expected) => {
    expect(readConfig({ ...TOKEN, REQUEST_TIMEOUT_MS: request }).onenetTimeoutMs).toBe(expected);
  });

  it('ignore the variables of other programs', () => {
    expect(readConfig({ ...TOKEN, NODE_ENV: '', APOLLO_KEY: 'x', PATH: '/bin' })).toEqual(readConfig(TOKEN));
  });
});

describe('a value within its limits', () => {
  it.each<[Variable, string, Partial<Config>]>([
    ['HOST', '0.0.0.0', { host: '0.0.0.0' }],
    ['HOST', '::1', { host: '::1' }],
    ['HOST', 'ota-subgraph.internal', { host: 'ota-subgraph.internal' }],
    ['PORT', '0', { port: 0 }],
    ['PORT', '65535', { port: 65_535 }],
    ['ONENET_CONNECTIONS', '1', { onenetConnections: 1 }],
    ['ONENET_CONNECTIONS', '1024', { onenetConnections: 1024 }],
    ['ONENET_TIMEOUT_MS', '50', { onenetTimeoutMs: 50 }],
    ['ONENET_TIMEOUT_MS', '10000', { onenetTimeoutMs: 10_000 }],
    ['REQUEST_TIMEOUT_MS', '50', { requestTimeoutMs: 50 }],
    ['REQUEST_TIMEOUT_MS', '60000', { requestTimeoutMs: 60_000 }],
    ['CACHE_MAX_AGE_SECONDS', '0', { cacheMaxAgeSeconds: 0 }],
    ['CACHE_MAX_AGE_SECONDS', '86400', { cacheMaxAgeSeconds: 86_400 }],
    ['MAX_DEVICE_TASKS', '1', { maxDeviceTasks: 1 }],
    ['MAX_DEVICE_TASKS', '100000', { maxDeviceTasks: 100_000 }],
    ['ROUTER_SECRET', '!~3456789012345~', { routerSecret: '!~3456789012345~' }],
    ['SANDBOX', 'true', { sandbox: true }],
    ['SANDBOX', 'false', { sandbox: false }],
    ['DRAIN_DELAY_MS', '0', { drainDelayMs: 0 }],
    ['DRAIN_DELAY_MS', '60000', { drainDelayMs: 60_000 }],
    ['ONENET_AUTHORIZATION', '!~', { credentials: { token: '!~' } }],
    ['ONENET_ALLOW_HTTP', 'true', { onenetOrigin: 'https://ota.heclouds.com' }],
    ['ONENET_ALLOW_HTTP', 'false', { onenetOrigin: 'https://ota.heclouds.com' }],
    ['CACHE_TTL_MS', '0', { cacheTtlMs: 0 }],
    ['CACHE_TTL_MS', '3600000', { cacheTtlMs: 3_600_000 }],
    ['CACHE_ABSENT_TTL_MS', '0', { cacheAbsentTtlMs: 0 }],
    ['CACHE_ABSENT_TTL_MS', '3600000', { cacheAbsentTtlMs: 3_600_000 }],
    ['CACHE_MAX_ENTRIES', '1', { cacheMaxEntries: 1 }],
    ['CACHE_MAX_ENTRIES', '10000000', { cacheMaxEntries: 10_000_000 }],
    ['ONENET_CALLS_PER_SECOND', '1', { callsPerSecond: 1 }],
    ['ONENET_CALLS_PER_SECOND', '100000', { callsPerSecond: 100_000 }],
    ['SECRET_FIELD_SCOPES', 'ota', { schema: { productField: undefined, secretFieldScopes: ['ota'] } }],
    [
      'SECRET_FIELD_SCOPES',
      ' ota:read , https://api.example/ota.secret',
      {
        schema: {
          productField: undefined,
          secretFieldScopes: ['ota:read', 'https://api.example/ota.secret'],
        },
      },
    ],
    ...[
      'redis://localhost',
      'redis://redis.internal:6380/',
      'redis://127.0.0.1:6379/15',
      'redis://[::1]:6379',
      'redis://:password@redis.internal',
      'redis://user:p%40ss%2Fword@redis.internal:6379/0',
      'rediss://user:password@redis.internal:6380',
      'REDISS://redis.internal',
    ].map((url): [Variable, string, Partial<Config>] => ['REDIS_URL', url, { redisUrl: url }]),
  ])('is taken: %s=%s', (name, value, expected) => {
    expect(readConfig({ ...TOKEN, [name]: value })).toMatchObject(expected);
  });

  it.each(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'])(
    'is accepted: LOG_LEVEL=%s',
    (level) => {
      expect(readConfig({ ...TOKEN, LOG_LEVEL: level }).logLevel).toBe(level);
    },
  );

  it.each<[Variable, string, object]>([
    ['ONENET_PRODUCT_ID', 'Az09', { productId: 'Az09' }],
    ['ONENET_ACCESS_KEY', 'QUJD', { accessKey: 'QUJD' }],
    ['ONENET_ACCESS_KEY', '+/I=', { accessKey: '+/I=' }],
    ['ONENET_ACCESS_KEY', 'QUJDQQ==', { accessKey: 'QUJDQQ==' }],
    ['ONENET_SIGN_METHOD', 'md5', { method: 'md5' }],
    ['ONENET_SIGN_METHOD', 'sha1', { method: 'sha1' }],
    ['ONENET_SIGN_METHOD', 'sha256', { method: 'sha256' }],
    ['ONENET_TOKEN_TTL_SECONDS', '5', { ttlSeconds: 5 }],
    ['ONENET_TOKEN_TTL_SECONDS', '31536000', { ttlSeconds: 31_536_000 }],
  ])('is used to mint tokens: %s=%s', (name, value, expected) => {
    expect(readConfig({ ...KEY, [name]: value }).credentials).toMatchObject(expected);
  });

  it('lets an upstream attempt take as long as the whole request', () => {
    const config = readConfig({ ...TOKEN, ONENET_TIMEOUT_MS: '60000', REQUEST_TIMEOUT_MS: '60000' });
    expect(config).toMatchObject({ onenetTimeoutMs: 60_000, requestTimeoutMs: 60_000 });
  });
});

describe('a value outside its limits', () => {
  const NO_NUMBERS = [
    '1e3',
    '+1000',
    '1000.0',
    '0x3e8',
    ' 1000',
    '1000 ',
    '1000\n',
    '01000',
    '1_000',
    '１０００',
  ];

  it.each<[Variable, string]>([
    ...['-1', '65536', '1e3', ' 1', 'NaN', 'Infinity', 'http'].map((value): [Variable, string] => [
      'PORT',
      value,
    ]),
    ...NUMBERS.flatMap((name) => NO_NUMBERS.map((value): [Variable, string] => [name, value])),
    ['ONENET_TOKEN_TTL_SECONDS', '4'],
    ['ONENET_TOKEN_TTL_SECONDS', '31536001'],
    ['ONENET_CONNECTIONS', '0'],
    ['ONENET_CONNECTIONS', '1025'],
    ['ONENET_TIMEOUT_MS', '49'],
    ['ONENET_TIMEOUT_MS', '60001'],
    ['REQUEST_TIMEOUT_MS', '49'],
    ['REQUEST_TIMEOUT_MS', '60001'],
    ['CACHE_MAX_AGE_SECONDS', '86401'],
    ['CACHE_MAX_AGE_SECONDS', '1.5'],
    ['CACHE_TTL_MS', '-1'],
    ['CACHE_TTL_MS', '3600001'],
    ['CACHE_ABSENT_TTL_MS', '-1'],
    ['CACHE_ABSENT_TTL_MS', '3600001'],
    ['CACHE_MAX_ENTRIES', '0'],
    ['CACHE_MAX_ENTRIES', '10000001'],
    ['ONENET_CALLS_PER_SECOND', '0'],
    ['ONENET_CALLS_PER_SECOND', '0.5'],
    ['ONENET_CALLS_PER_SECOND', '100001'],
    ...[',', 'ota,', ',ota', 'a,,b', ' ', 'two words', 'ota"', 'ota\\', 'o\nta', 'ötä', 'a,\x7f'].map(
      (value): [Variable, string] => ['SECRET_FIELD_SCOPES', value],
    ),
    ...[
      'redis',
      'localhost:6379',
      'http://redis.internal',
      'unix:///run/redis.sock',
      'redis:/redis.internal',
      'redis://',
      'redis:///0',
      'redis://:6379',
      'redis://user@',
      'redis://redis.internal:65536',
      'redis://redis.internal:port',
      'redis://redis.internal/cache',
      'redis://redis.internal/-1',
      'redis://redis.internal/1.5',
      'redis://redis.internal/0/1',
      'redis://redis.internal/ ',
      'redis://redis.internal?db=1',
      'redis://redis.internal#1',
      'redis://user:1#2@redis.internal',
      'redis://user:1/2@redis.internal',
      'redis://user:100%@redis.internal',
      'redis://%ff:password@redis.internal',
      'redis://redis internal',
      ' redis://redis.internal',
      'redis://redis.internal\n',
    ].map((value): [Variable, string] => ['REDIS_URL', value]),
    ['DEVICE_PRODUCT_FIELD', 'product-id'],
    ['DEVICE_PRODUCT_FIELD', '1product'],
    ['DEVICE_PRODUCT_FIELD', '__product'],
    ['DEVICE_PRODUCT_FIELD', '__typename'],
    ['DEVICE_PRODUCT_FIELD', 'product!!'],
    ['DEVICE_PRODUCT_FIELD', '!'],
    ['DEVICE_PRODUCT_FIELD', 'product: ID'],
    ['DEVICE_PRODUCT_FIELD', 'product id'],
    ['DEVICE_PRODUCT_FIELD', 'id'],
    ['DEVICE_PRODUCT_FIELD', 'id!'],
    ['DEVICE_PRODUCT_FIELD', 'otaTask'],
    ['DEVICE_PRODUCT_FIELD', 'otaTaskResult!'],
    ['MAX_DEVICE_TASKS', '0'],
    ['MAX_DEVICE_TASKS', '100001'],
    ['DRAIN_DELAY_MS', '-1'],
    ['DRAIN_DELAY_MS', '60001'],
    ['HOST', 'two words'],
    ['HOST', 'http://127.0.0.1'],
    ['HOST', '127.0.0.1/8'],
    ['SANDBOX', 'TRUE'],
    ['SANDBOX', '1'],
    ['SANDBOX', 'yes'],
    ['ONENET_ALLOW_HTTP', 'True'],
    ['ONENET_ALLOW_HTTP', '1'],
    ['ONENET_SIGN_METHOD', 'SHA256'],
    ['ONENET_SIGN_METHOD', 'sha512'],
    ['LOG_LEVEL', 'INFO'],
    ['LOG_LEVEL', 'verbose'],
    ['LOG_LEVEL', '30'],
    ['LOG_LEVEL', 'toString'],
    ['ROUTER_SECRET', '123456789012345'],
    ['ROUTER_SECRET', '1234567890123456 '],
    ['ROUTER_SECRET', '12345678 0123456'],
    ['ROUTER_SECRET', '1234567890123456\n'],
    ['ROUTER_SECRET', '12345678\r\n0123456'],
    ['ROUTER_SECRET', '123456789012345ä'],
    ['ROUTER_SECRET', '123456789012345\x7f'],
    ['ONENET_AUTHORIZATION', 'token\n'],
    ['ONENET_AUTHORIZATION', 'to\r\nken'],
    ['ONENET_AUTHORIZATION', 'to ken'],
    ['ONENET_AUTHORIZATION', 'tokén'],
    ['ONENET_AUTHORIZATION', 'token\0'],
  ])('is refused: %s=%j', (name, value) => {
    expect(namedIn(refusal({ ...TOKEN, [name]: value }))).toEqual([name]);
  });

  it.each<[Variable, string]>([
    ['ONENET_PRODUCT_ID', 'p-1'],
    ['ONENET_PRODUCT_ID', 'p/1'],
    ['ONENET_PRODUCT_ID', 'p1\r\n'],
    ['ONENET_PRODUCT_ID', 'pröduct'],
    ['ONENET_ACCESS_KEY', 'QUJ'],
    ['ONENET_ACCESS_KEY', 'QUJD='],
    ['ONENET_ACCESS_KEY', 'Q==='],
    ['ONENET_ACCESS_KEY', 'QQ==QUJD'],
    ['ONENET_ACCESS_KEY', 'QU-_'],
    ['ONENET_ACCESS_KEY', 'QUJD\r\n'],
    ['ONENET_ACCESS_KEY', 'QUJä'],
  ])('is refused: %s=%j', (name, value) => {
    expect(namedIn(refusal({ ...KEY, [name]: value }))).toEqual([name]);
  });

  it.each([
    ['3001', '3000'],
    ['60000', '59999'],
    ['10001', undefined],
  ])('is refused: ONENET_TIMEOUT_MS=%s above REQUEST_TIMEOUT_MS=%s', (attempt, request) => {
    const environment = { ...TOKEN, ONENET_TIMEOUT_MS: attempt };
    const error = refusal(
      request === undefined ? environment : { ...environment, REQUEST_TIMEOUT_MS: request },
    );
    expect(namedIn(error)).toContain('ONENET_TIMEOUT_MS');
  });

  it.each(VARIABLES)('is the empty string: %s', (name) => {
    expect(namedIn(refusal({ ...TOKEN, [name]: '' }))).toContain(name);
  });
});

describe('ONENET_URL', () => {
  it.each([
    ['https://onenet.example', 'https://onenet.example'],
    ['https://onenet.example/', 'https://onenet.example'],
    ['https://onenet.example:8443', 'https://onenet.example:8443'],
    ['HTTPS://ONENET.example', 'https://onenet.example'],
    ['http://localhost:8080', 'http://localhost:8080'],
    ['http://127.0.0.1', 'http://127.0.0.1'],
    ['http://127.255.0.3:81', 'http://127.255.0.3:81'],
    ['http://[::1]:8080', 'http://[::1]:8080'],
  ])('may be %s', (url, origin) => {
    expect(readConfig({ ...TOKEN, ONENET_URL: url }).onenetOrigin).toBe(origin);
  });

  it.each([
    'https://user@onenet.example',
    'https://user:password@onenet.example',
    'https://@onenet.example',
    'https://onenet.example/ota',
    'https://onenet.example//',
    'https://onenet.example/.',
    'https://onenet.example?',
    'https://onenet.example?key=1',
    'https://onenet.example/?key=1',
    'https://onenet.example#',
    'https://onenet.example\\ota',
    'https:\\\\onenet.example',
    'https:onenet.example',
    'https://',
    'https://onenet.example:65536',
    'https://onenet example',
    ' https://onenet.example',
    'https://onenet.example\n',
    'ftp://onenet.example',
    'ws://onenet.example',
    'file:///etc/passwd',
    'onenet.example',
    '//onenet.example',
  ])('may not be %j', (url) => {
    expect(namedIn(refusal({ ...TOKEN, ONENET_URL: url, ONENET_ALLOW_HTTP: 'true' }))).toEqual([
      'ONENET_URL',
    ]);
  });

  it.each([
    'http://onenet.example',
    'http://10.0.0.1:8080',
    'http://0.0.0.0',
    'http://127.0.0.1.example',
    'http://localhost.example',
    'http://[::2]',
  ])('may be %s only if plain HTTP is allowed', (url) => {
    const environment = { ...TOKEN, ONENET_URL: url };
    expect(namedIn(refusal(environment))).toContain('ONENET_URL');
    expect(namedIn(refusal({ ...environment, ONENET_ALLOW_HTTP: 'false' }))).toContain('ONENET_URL');
    expect(readConfig({ ...environment, ONENET_ALLOW_HTTP: 'true' }).onenetOrigin).toBe(url);
  });
});

describe('credentials', () => {
  const READY = { ONENET_AUTHORIZATION: 'token' };
  const ID = { ONENET_PRODUCT_ID: 'p1' };
  const ACCESS_KEY = { ONENET_ACCESS_KEY: 'QUJD' };

  it.each<[string, Environment, Variable[]]>([
    ['there are none', {}, ['ONENET_AUTHORIZATION', 'ONENET_PRODUCT_ID', 'ONENET_ACCESS_KEY']],
    ['a token and a key are there', { ...READY, ...ID, ...ACCESS_KEY }, ['ONENET_AUTHORIZATION']],
    ['a token and a product id are there', { ...READY, ...ID }, ['ONENET_AUTHORIZATION']],
    ['a token and an access key are there', { ...READY, ...ACCESS_KEY }, ['ONENET_AUTHORIZATION']],
    ['the access key is missing', ID, ['ONENET_ACCESS_KEY']],
    ['the product id is missing', ACCESS_KEY, ['ONENET_PRODUCT_ID']],
  ])('are refused if %s', (_, environment, names) => {
    expect(namedIn(refusal(environment))).toEqual(expect.arrayContaining(names));
  });

  it.each<[string, Environment]>([
    ['a ready token', READY],
    ['a product id with its access key', { ...ID, ...ACCESS_KEY }],
  ])('are sufficient with %s', (_, environment) => {
    expect(() => readConfig(environment)).not.toThrow();
  });
});

describe('the message', () => {
  // Values that a message could not contain by chance.
  const CANARY = 'C4n4ry';
  const EVERYTHING_WRONG: Readonly<Record<Variable, string>> = {
    HOST: `${CANARY} ${CANARY}`,
    PORT: CANARY,
    ONENET_URL: `https://${CANARY}:${CANARY}@onenet.example/${CANARY}`,
    ONENET_ALLOW_HTTP: CANARY,
    ONENET_AUTHORIZATION: `${CANARY}\r\n`,
    ONENET_PRODUCT_ID: `${CANARY}!`,
    ONENET_ACCESS_KEY: `${CANARY}!`,
    ONENET_SIGN_METHOD: CANARY,
    ONENET_TOKEN_TTL_SECONDS: CANARY,
    ONENET_CONNECTIONS: CANARY,
    ONENET_TIMEOUT_MS: CANARY,
    REQUEST_TIMEOUT_MS: CANARY,
    CACHE_MAX_AGE_SECONDS: CANARY,
    CACHE_TTL_MS: CANARY,
    CACHE_ABSENT_TTL_MS: CANARY,
    CACHE_MAX_ENTRIES: CANARY,
    REDIS_URL: `http://:${CANARY}@${CANARY}`,
    ONENET_CALLS_PER_SECOND: CANARY,
    ONENET_PRODUCTS_FILE: `/${CANARY}`,
    DEVICE_PRODUCT_FIELD: `${CANARY}-`,
    SECRET_FIELD_SCOPES: `${CANARY},,`,
    MAX_DEVICE_TASKS: CANARY,
    ROUTER_SECRET: CANARY,
    SANDBOX: CANARY,
    DRAIN_DELAY_MS: CANARY,
    LOG_LEVEL: CANARY,
  };

  it('names every faulty variable at once', () => {
    expect(namedIn(refusal(EVERYTHING_WRONG))).toEqual(VARIABLES);
  });

  it('is one line', () => {
    expect(refusal(EVERYTHING_WRONG).message).not.toMatch(/[\r\n]/);
  });

  it('contains none of their values, nor does the error itself', () => {
    const error = refusal(EVERYTHING_WRONG);
    expect(error.message).not.toContain(CANARY);
    expect(inspect(error, { depth: Infinity, showHidden: true })).not.toContain(CANARY);
  });

  it('does not contain a well-formed secret when another variable is faulty', () => {
    const error = refusal({
      PORT: 'x',
      ONENET_AUTHORIZATION: CANARY,
      ONENET_PRODUCT_ID: CANARY,
      ONENET_ACCESS_KEY: `${CANARY}QQ`,
      ROUTER_SECRET: CANARY.repeat(3),
    });
    expect(namedIn(error)).toEqual(expect.arrayContaining(['PORT', 'ONENET_AUTHORIZATION']));
    expect(inspect(error, { depth: Infinity, showHidden: true })).not.toContain(CANARY);
  });

  it('names contradictions between two variables along with the faults of others', () => {
    const error = refusal({
      LOG_LEVEL: 'loud',
      ONENET_URL: 'http://onenet.example',
      ONENET_TIMEOUT_MS: '2000',
      REQUEST_TIMEOUT_MS: '1000',
      ONENET_PRODUCT_ID: 'p1',
    });
    expect(namedIn(error)).toEqual(
      expect.arrayContaining(['LOG_LEVEL', 'ONENET_URL', 'ONENET_TIMEOUT_MS', 'ONENET_ACCESS_KEY']),
    );
  });
});

describe('the export of spans', () => {
  const ENDPOINT = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318' };
  const read = (environment: Environment) => readConfig({ ...TOKEN, ...environment }).otlpProtocol;

  it.each<[string, Environment, string | undefined]>([
    ['without any of the variables', {}, undefined],
    ['with an endpoint', ENDPOINT, 'http/protobuf'],
    [
      'with an endpoint for traces',
      { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'https://collector/x' },
      'http/protobuf',
    ],
    ['with an exporter', { OTEL_TRACES_EXPORTER: 'otlp' }, 'http/protobuf'],
    ['with another protocol', { ...ENDPOINT, OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json' }, 'http/json'],
    [
      'with another protocol for traces',
      { ...ENDPOINT, OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc', OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: 'http/json' },
      'http/json',
    ],
    ['with an exporter that is none', { ...ENDPOINT, OTEL_TRACES_EXPORTER: 'none' }, undefined],
    ['with all of it disabled', { ...ENDPOINT, OTEL_SDK_DISABLED: 'TRUE' }, undefined],
    ['with empty variables', { OTEL_EXPORTER_OTLP_ENDPOINT: '', OTEL_TRACES_EXPORTER: '' }, undefined],
    ['with a protocol and nothing else', { OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' }, undefined],
  ])('follows the specification of OpenTelemetry %s', (_, environment, protocol) => {
    expect(read(environment)).toBe(protocol);
  });

  it.each<[Environment, string]>([
    [{ OTEL_TRACES_EXPORTER: 'zipkin' }, 'OTEL_TRACES_EXPORTER must be one of otlp, none'],
    [
      { ...ENDPOINT, OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' },
      'OTEL_EXPORTER_OTLP_PROTOCOL must be one of http/protobuf, http/json',
    ],
    [
      { OTEL_EXPORTER_OTLP_ENDPOINT: 'collector:4318' },
      'OTEL_EXPORTER_OTLP_ENDPOINT must be an http(s) address',
    ],
  ])('is refused if its configuration is faulty: %j', (environment, fault) => {
    expect(refusal({ ...TOKEN, ...environment }).message).toBe(`invalid configuration: ${fault}`);
  });
});
