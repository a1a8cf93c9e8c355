import { type CleanedEnv, cleanEnv } from 'envalid';

import { type Credentials, credentialsOf, examineCredentials } from './credentials.ts';
import { type OtlpProtocol, readTracing } from './tracing.ts';
import { VARIABLES } from './variables.ts';

export interface Config {
  readonly host: string;
  /** 0 picks a free port. */
  readonly port: number;
  /** Scheme, host and port. */
  readonly onenetOrigin: string;
  readonly credentials: Credentials;
  readonly onenetConnections: number;
  readonly onenetTimeoutMs: number;
  readonly requestTimeoutMs: number;
  readonly maxDeviceTasks: number;
  /** How long HTTP caches may keep an answer without errors; 0 disables caching. */
  readonly cacheMaxAgeSeconds: number;
  /** How long this service keeps a task; 0 disables caching. */
  readonly cacheTtlMs: number;
  /** How long this service keeps an absence; 0 disables caching. */
  readonly cacheAbsentTtlMs: number;
  readonly cacheMaxEntries: number;
  readonly redisUrl: string | undefined;
  readonly callsPerSecond: number | undefined;
  readonly schema: SchemaConfig;
  readonly routerSecret: string | undefined;
  readonly sandbox: boolean;
  readonly drainDelayMs: number;
  readonly logLevel: string;
  /** How spans are exported; undefined if they are not. */
  readonly otlpProtocol: OtlpProtocol | undefined;
}

/** Parts of the configuration that change the schema. */
export interface SchemaConfig {
  /** The device field that holds its product; undefined if there is only one product. */
  readonly productField: { readonly name: string; readonly isNonNull: boolean } | undefined;
  /** Scopes that the router requires, all of them, for a task's secret fields; undefined if it requires none. */
  readonly secretFieldScopes: readonly string[] | undefined;
}

/** Lists every fault at once, without any values, since any of them may be a secret. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';

  constructor(faults: readonly string[]) {
    super(`invalid configuration: ${faults.join('; ')}`);
  }
}

const LOOPBACK = /^(?:localhost|127\.[0-9]+\.[0-9]+\.[0-9]+|\[::1\])$/;
const DEFAULT_PRODUCT_FIELD = { name: 'productId', isNonNull: false };

type Name = keyof typeof VARIABLES;
type Variables = CleanedEnv<typeof VARIABLES>;
type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Reads the configuration.
 *
 * @param env The environment variables.
 * @throws ConfigError that names every faulty variable and the reason.
 */
export function readConfig(env: Environment): Config {
  const { variables, faults, isSound } = readVariables(env);
  const credentials = examineCredentials(env);
  const tracing = readTracing(env);
  throwFaults([...faults, ...disagreements(variables, isSound), ...credentials.faults, ...tracing.faults]);
  return {
    host: variables.HOST,
    port: variables.PORT,
    onenetOrigin: variables.ONENET_URL.origin,
    credentials: credentialsOf(variables, credentials.products),
    onenetConnections: variables.ONENET_CONNECTIONS,
    onenetTimeoutMs: variables.ONENET_TIMEOUT_MS ?? Math.min(3000, variables.REQUEST_TIMEOUT_MS),
    requestTimeoutMs: variables.REQUEST_TIMEOUT_MS,
    maxDeviceTasks: variables.MAX_DEVICE_TASKS,
    cacheMaxAgeSeconds: variables.CACHE_MAX_AGE_SECONDS,
    cacheTtlMs: variables.CACHE_TTL_MS,
    cacheAbsentTtlMs: variables.CACHE_ABSENT_TTL_MS,
    cacheMaxEntries: variables.CACHE_MAX_ENTRIES,
    redisUrl: variables.REDIS_URL,
    callsPerSecond: variables.ONENET_CALLS_PER_SECOND,
    schema: schemaConfigOf(variables),
    routerSecret: variables.ROUTER_SECRET,
    sandbox: variables.SANDBOX,
    drainDelayMs: variables.DRAIN_DELAY_MS,
    logLevel: variables.LOG_LEVEL,
    otlpProtocol: tracing.protocol,
  };
}

/**
 * Reads the part of the configuration that the schema depends on. It needs no credentials.
 *
 * @throws ConfigError as `readConfig` does.
 */
export function readSchemaConfig(env: Environment): SchemaConfig {
  const { variables, faults, isSound } = readVariables(env);
  throwFaults([...faults, ...disagreements(variables, isSound)]);
  return schemaConfigOf(variables);
}

function throwFaults(faults: readonly string[]): void {
  if (faults.length > 0) throw new ConfigError(faults);
}

/**
 * Validates each variable by itself. A faulty one is left out of later checks, so that one start reports all faults,
 * each once.
 */
function readVariables(env: Environment): {
  readonly variables: Variables;
  readonly faults: readonly string[];
  readonly isSound: (...names: Name[]) => boolean;
} {
  let errors: Readonly<Partial<Record<Name, Error>>> = {};
  const variables = cleanEnv(env, VARIABLES, { reporter: (report) => (errors = report.errors) });
  return {
    variables,
    faults: Object.entries(errors).map(([name, { message }]) => `${name} ${message}`),
    isSound: (...names) => names.every((name) => errors[name] === undefined),
  };
}

function schemaConfigOf(variables: Variables): SchemaConfig {
  const hasProducts = variables.ONENET_PRODUCTS_FILE !== undefined;
  return {
    productField: hasProducts ? (variables.DEVICE_PRODUCT_FIELD ?? DEFAULT_PRODUCT_FIELD) : undefined,
    secretFieldScopes: variables.SECRET_FIELD_SCOPES,
  };
}

/** Finds well-formed variables that contradict each other. */
function disagreements(variables: Variables, isSound: (...names: Name[]) => boolean): string[] {
  const faults: string[] = [];
  if (isSound('ONENET_URL', 'ONENET_ALLOW_HTTP')) {
    const { protocol, hostname } = variables.ONENET_URL;
    if (protocol !== 'https:' && !variables.ONENET_ALLOW_HTTP && !LOOPBACK.test(hostname)) {
      faults.push(
        'ONENET_URL must be https unless ONENET_ALLOW_HTTP is true: the token would travel in the clear',
      );
    }
  }
  if (isSound('ONENET_TIMEOUT_MS', 'REQUEST_TIMEOUT_MS')) {
    if ((variables.ONENET_TIMEOUT_MS ?? 0) > variables.REQUEST_TIMEOUT_MS) {
      faults.push('ONENET_TIMEOUT_MS must not be above REQUEST_TIMEOUT_MS');
    }
  }
  if (isSound('DEVICE_PRODUCT_FIELD', 'ONENET_PRODUCTS_FILE')) {
    if (variables.DEVICE_PRODUCT_FIELD !== undefined && variables.ONENET_PRODUCTS_FILE === undefined) {
      faults.push('DEVICE_PRODUCT_FIELD must not be set without ONENET_PRODUCTS_FILE');
    }
  }
  return faults;
}
