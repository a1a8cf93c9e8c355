import { type CleanedEnv, cleanEnv, EnvError, makeExactValidator } from 'envalid';
import { levels } from 'pino';

import type { SignMethod } from '../onenet/authorization.ts';

export interface Config {
  readonly host: string;
  /** 0 picks a free one. */
  readonly port: number;
  /** Scheme, host and port. */
  readonly onenetOrigin: string;
  readonly credentials: Credentials;
  readonly onenetConnections: number;
  readonly onenetTimeoutMs: number;
  readonly requestTimeoutMs: number;
  readonly maxDeviceTasks: number;
  /** How long caches may keep an answer without errors; 0 is not at all. */
  readonly cacheMaxAgeSeconds: number;
  readonly routerSecret: string | undefined;
  readonly sandbox: boolean;
  readonly drainDelayMs: number;
  readonly logLevel: string;
  /** How spans are exported; undefined where they are not. */
  readonly otlpProtocol: OtlpProtocol | undefined;
}

const OTLP_PROTOCOLS = ['http/protobuf', 'http/json'] as const;
export type OtlpProtocol = (typeof OTLP_PROTOCOLS)[number];

/** A ready token, or what it takes to mint tokens. */
export type Credentials =
  | { readonly token: string }
  | {
      readonly productId: string;
      readonly accessKey: string;
      readonly method: SignMethod;
      readonly ttlSeconds: number;
    };

/** Names every fault at once, and never a value: any of them may be a secret. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';

  constructor(faults: readonly string[]) {
    super(`invalid configuration: ${faults.join('; ')}`);
  }
}

const DIGITS = /^(?:0|[1-9][0-9]*)$/;
const ALPHANUMERIC = /^[A-Za-z0-9]+$/;
const VISIBLE_ASCII = /^[\x21-\x7e]+$/;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)$/;
const ORIGIN = /^https?:\/\/[^/?#@\\\s]+\/?$/i;
const SECRET = /^[\x21-\x7e]{16,}$/;
const HOST = /^[A-Za-z0-9.:_-]+$/;
const LOOPBACK = /^(?:localhost|127\.[0-9]+\.[0-9]+\.[0-9]+|\[::1\])$/;

const FLAGS: ReadonlyMap<string, boolean> = new Map([
  ['true', true],
  ['false', false],
]);

/** The library's own validators quote the value in their messages; these say what is wrong in ours. */
function rule<T>(message: string, parse: (text: string) => T | undefined) {
  return makeExactValidator<T>((text) => {
    const value = parse(text);
    if (value === undefined) throw new EnvError(message);
    return value;
  });
}

function integer(min: number, max: number) {
  return rule(`must be a whole number from ${min} to ${max}`, (text) => {
    const value = Number(text);
    return DIGITS.test(text) && value >= min && value <= max ? value : undefined;
  });
}

function matching(pattern: RegExp, message: string) {
  return rule(message, (text) => (pattern.test(text) ? text : undefined));
}

function oneOf<const T extends string>(values: readonly T[]) {
  return rule(`must be one of ${values.join(', ')}`, (text) => values.find((value) => value === text));
}

const origin = rule('must be an http(s) origin without credentials, path or query', (text) =>
  ORIGIN.test(text) && URL.canParse(text) ? new URL(text) : undefined,
);
const flag = rule('must be one of true, false', (text) => FLAGS.get(text));

const OPTIONAL = { default: undefined };

const VARIABLES = {
  HOST: matching(HOST, 'must be a host name or an IP address')({ default: '127.0.0.1' }),
  PORT: integer(0, 65535)({ default: 4001 }),
  ONENET_URL: origin({ default: new URL('https://ota.heclouds.com') }),
  ONENET_ALLOW_HTTP: flag({ default: false }),
  ONENET_AUTHORIZATION: matching(VISIBLE_ASCII, 'must be visible ASCII')(OPTIONAL),
  ONENET_PRODUCT_ID: matching(ALPHANUMERIC, 'must be letters and digits')(OPTIONAL),
  ONENET_ACCESS_KEY: matching(BASE64, 'must be base64')(OPTIONAL),
  ONENET_SIGN_METHOD: oneOf(['md5', 'sha1', 'sha256'])({ default: 'sha256' }),
  ONENET_TOKEN_TTL_SECONDS: integer(5, 31_536_000)({ default: 3600 }),
  ONENET_CONNECTIONS: integer(1, 1024)({ default: 64 }),
  ONENET_TIMEOUT_MS: integer(50, 60_000)(OPTIONAL),
  REQUEST_TIMEOUT_MS: integer(50, 60_000)({ default: 10_000 }),
  MAX_DEVICE_TASKS: integer(1, 100_000)({ default: 1000 }),
  CACHE_MAX_AGE_SECONDS: integer(0, 86_400)({ default: 0 }),
  ROUTER_SECRET: matching(SECRET, 'must be 16 or more characters of visible ASCII')(OPTIONAL),
  SANDBOX: flag({ default: false }),
  DRAIN_DELAY_MS: integer(0, 60_000)({ default: 0 }),
  LOG_LEVEL: oneOf([...Object.values(levels.labels), 'silent'])({ default: 'info' }),
};

type Name = keyof typeof VARIABLES;
type Variables = CleanedEnv<typeof VARIABLES>;

/**
 * Reads the configuration.
 *
 * @param env The process's environment, or a test's.
 * @throws ConfigError that names every variable at fault, and why.
 */
export function readConfig(env: Readonly<Record<string, string | undefined>>): Config {
  let errors: Readonly<Partial<Record<Name, Error>>> = {};
  const variables = cleanEnv(env, VARIABLES, { reporter: (report) => (errors = report.errors) });
  const tracing = tracingOf(env);
  const faults = [
    ...Object.entries(errors).map(([name, { message }]) => `${name} ${message}`),
    // What is at fault by itself is judged no further, so that one start names all faults, each of them once.
    ...disagreements(variables, (...names) => names.every((name) => errors[name] === undefined)),
    ...credentialFaults(env),
    ...tracing.faults,
  ];
  if (faults.length > 0) throw new ConfigError(faults);
  return {
    host: variables.HOST,
    port: variables.PORT,
    onenetOrigin: variables.ONENET_URL.origin,
    credentials:
      variables.ONENET_AUTHORIZATION === undefined
        ? {
            productId: variables.ONENET_PRODUCT_ID as string,
            accessKey: variables.ONENET_ACCESS_KEY as string,
            method: variables.ONENET_SIGN_METHOD,
            ttlSeconds: variables.ONENET_TOKEN_TTL_SECONDS,
          }
        : { token: variables.ONENET_AUTHORIZATION },
    onenetConnections: variables.ONENET_CONNECTIONS,
    onenetTimeoutMs: variables.ONENET_TIMEOUT_MS ?? Math.min(3000, variables.REQUEST_TIMEOUT_MS),
    requestTimeoutMs: variables.REQUEST_TIMEOUT_MS,
    maxDeviceTasks: variables.MAX_DEVICE_TASKS,
    cacheMaxAgeSeconds: variables.CACHE_MAX_AGE_SECONDS,
    routerSecret: variables.ROUTER_SECRET,
    sandbox: variables.SANDBOX,
    drainDelayMs: variables.DRAIN_DELAY_MS,
    logLevel: variables.LOG_LEVEL,
    otlpProtocol: tracing.protocol,
  };
}

/** What well-formed variables have against each other. */
function disagreements(variables: Variables, areSound: (...names: Name[]) => boolean): string[] {
  const faults: string[] = [];
  if (areSound('ONENET_URL', 'ONENET_ALLOW_HTTP')) {
    const { protocol, hostname } = variables.ONENET_URL;
    if (protocol !== 'https:' && !variables.ONENET_ALLOW_HTTP && !LOOPBACK.test(hostname)) {
      faults.push(
        'ONENET_URL must be https unless ONENET_ALLOW_HTTP is true: the token would travel in the clear',
      );
    }
  }
  if (areSound('ONENET_TIMEOUT_MS', 'REQUEST_TIMEOUT_MS')) {
    if ((variables.ONENET_TIMEOUT_MS ?? 0) > variables.REQUEST_TIMEOUT_MS) {
      faults.push('ONENET_TIMEOUT_MS must not be above REQUEST_TIMEOUT_MS');
    }
  }
  return faults;
}

/** Which credentials are there at all does not depend on whether they are well-formed. */
function credentialFaults(env: Readonly<Record<string, string | undefined>>): string[] {
  const ready = env['ONENET_AUTHORIZATION'] !== undefined;
  const id = env['ONENET_PRODUCT_ID'] !== undefined;
  const key = env['ONENET_ACCESS_KEY'] !== undefined;
  if (ready && (id || key)) {
    return ['ONENET_AUTHORIZATION must not be set beside ONENET_PRODUCT_ID and ONENET_ACCESS_KEY'];
  }
  if (ready || (id && key)) return [];
  if (id) return ['ONENET_ACCESS_KEY must be set beside ONENET_PRODUCT_ID'];
  if (key) return ['ONENET_PRODUCT_ID must be set beside ONENET_ACCESS_KEY'];
  return ['ONENET_AUTHORIZATION must be set, or ONENET_PRODUCT_ID and ONENET_ACCESS_KEY'];
}

/**
 * Whether and how spans are exported, by variables that many programs share; what else they say is for the SDK to read.
 *
 * @see https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/ for empty ones being none.
 */
function tracingOf(env: Readonly<Record<string, string | undefined>>): {
  readonly protocol?: OtlpProtocol | undefined;
  readonly faults: readonly string[];
} {
  const given = (names: readonly string[]) =>
    names.flatMap((name) => (env[name] ? [{ name, value: env[name] }] : []));
  const [disabled] = given(['OTEL_SDK_DISABLED']);
  const [exporter] = given(['OTEL_TRACES_EXPORTER']);
  const endpoints = given(['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT', 'OTEL_EXPORTER_OTLP_ENDPOINT']);
  const [protocol] = given(['OTEL_EXPORTER_OTLP_TRACES_PROTOCOL', 'OTEL_EXPORTER_OTLP_PROTOCOL']);

  const isWanted = exporter === undefined ? endpoints.length > 0 : exporter.value !== 'none';
  if (!isWanted || disabled?.value.toLowerCase() === 'true') return { faults: [] };

  const faults = endpoints
    .filter(({ value }) => !/^https?:\/\//i.test(value) || !URL.canParse(value))
    .map(({ name }) => `${name} must be an http(s) address`);
  if (exporter !== undefined && exporter.value !== 'otlp') {
    faults.push('OTEL_TRACES_EXPORTER must be one of otlp, none');
  }
  const known = OTLP_PROTOCOLS.find((each) => each === (protocol?.value ?? 'http/protobuf'));
  if (known === undefined) faults.push(`${protocol?.name} must be one of ${OTLP_PROTOCOLS.join(', ')}`);
  return { protocol: known, faults };
}
