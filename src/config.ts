import { levels } from 'pino';
import * as v from 'valibot';

import type { SignMethod } from './onenet/authorization.ts';

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
  readonly routerSecret: string | undefined;
  readonly sandbox: boolean;
  readonly drainDelayMs: number;
  readonly logLevel: string;
}

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
const VISIBLE_ASCII = /^[\x21-\x7e]+$/;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)$/;
const ORIGIN = /^https?:\/\/[^/?#@\\\s]+\/?$/i;
const LOOPBACK = /^(?:localhost|127\.[0-9]+\.[0-9]+\.[0-9]+|\[::1\])$/;

function integer(min: number, max: number) {
  const message = `must be a whole number from ${min} to ${max}`;
  return v.pipe(
    v.string(),
    v.check((text) => DIGITS.test(text) && Number(text) >= min && Number(text) <= max, message),
    v.transform(Number),
  );
}

function matching(pattern: RegExp, message: string) {
  return v.pipe(v.string(), v.regex(pattern, message));
}

function oneOf<const T extends readonly string[]>(values: T) {
  return v.picklist(values, `must be one of ${values.join(', ')}`);
}

const flag = v.pipe(
  oneOf(['true', 'false']),
  v.transform((text) => text === 'true'),
);

const Variables = v.pipe(
  v.object({
    HOST: v.optional(matching(/^[A-Za-z0-9.:_-]+$/, 'must be a host name or an IP address'), '127.0.0.1'),
    PORT: v.optional(integer(0, 65535), '4001'),
    ONENET_URL: v.optional(
      v.pipe(
        v.string(),
        v.check(
          (text) => ORIGIN.test(text) && URL.canParse(text),
          'must be an http(s) origin without credentials, path or query',
        ),
        v.transform((text) => new URL(text)),
      ),
      'https://ota.heclouds.com',
    ),
    ONENET_ALLOW_HTTP: v.optional(flag, 'false'),
    ONENET_AUTHORIZATION: v.optional(matching(VISIBLE_ASCII, 'must be visible ASCII')),
    ONENET_PRODUCT_ID: v.optional(matching(/^[A-Za-z0-9]+$/, 'must be letters and digits')),
    ONENET_ACCESS_KEY: v.optional(matching(BASE64, 'must be base64')),
    ONENET_SIGN_METHOD: v.optional(oneOf(['md5', 'sha1', 'sha256']), 'sha256'),
    ONENET_TOKEN_TTL_SECONDS: v.optional(integer(5, 31_536_000), '3600'),
    ONENET_CONNECTIONS: v.optional(integer(1, 1024), '64'),
    ONENET_TIMEOUT_MS: v.optional(integer(50, 60_000)),
    REQUEST_TIMEOUT_MS: v.optional(integer(50, 60_000), '10000'),
    MAX_DEVICE_TASKS: v.optional(integer(1, 100_000), '1000'),
    ROUTER_SECRET: v.optional(
      matching(/^[\x21-\x7e]{16,}$/, 'must be 16 or more characters of visible ASCII'),
    ),
    SANDBOX: v.optional(flag, 'false'),
    DRAIN_DELAY_MS: v.optional(integer(0, 60_000), '0'),
    LOG_LEVEL: v.optional(oneOf([...Object.values(levels.labels), 'silent']), 'info'),
  }),
  // Partial checks run even where other variables are at fault, so that one start names all faults.
  v.forward(
    v.partialCheck(
      [['ONENET_URL'], ['ONENET_ALLOW_HTTP']],
      ({ ONENET_URL, ONENET_ALLOW_HTTP }) =>
        ONENET_URL.protocol === 'https:' || ONENET_ALLOW_HTTP || LOOPBACK.test(ONENET_URL.hostname),
      'must be https unless ONENET_ALLOW_HTTP is true: the token would travel in the clear',
    ),
    ['ONENET_URL'],
  ),
  v.forward(
    v.partialCheck(
      [['ONENET_TIMEOUT_MS'], ['REQUEST_TIMEOUT_MS']],
      ({ ONENET_TIMEOUT_MS, REQUEST_TIMEOUT_MS }) => (ONENET_TIMEOUT_MS ?? 0) <= REQUEST_TIMEOUT_MS,
      'must not be above REQUEST_TIMEOUT_MS',
    ),
    ['ONENET_TIMEOUT_MS'],
  ),
);

/**
 * Reads the configuration.
 *
 * @param env The process's environment, or a test's.
 * @throws ConfigError that names every variable at fault, and why.
 */
export function readConfig(env: Readonly<Record<string, string | undefined>>): Config {
  const { success, output, issues } = v.safeParse(Variables, env);
  const faults = [...(issues ?? []).map(fault), ...credentialFaults(env)];
  if (!success || faults.length > 0) throw new ConfigError(faults);
  return {
    host: output.HOST,
    port: output.PORT,
    onenetOrigin: output.ONENET_URL.origin,
    credentials:
      output.ONENET_AUTHORIZATION === undefined
        ? {
            productId: output.ONENET_PRODUCT_ID as string,
            accessKey: output.ONENET_ACCESS_KEY as string,
            method: output.ONENET_SIGN_METHOD,
            ttlSeconds: output.ONENET_TOKEN_TTL_SECONDS,
          }
        : { token: output.ONENET_AUTHORIZATION },
    onenetConnections: output.ONENET_CONNECTIONS,
    onenetTimeoutMs: output.ONENET_TIMEOUT_MS ?? Math.min(3000, output.REQUEST_TIMEOUT_MS),
    requestTimeoutMs: output.REQUEST_TIMEOUT_MS,
    maxDeviceTasks: output.MAX_DEVICE_TASKS,
    routerSecret: output.ROUTER_SECRET,
    sandbox: output.SANDBOX,
    drainDelayMs: output.DRAIN_DELAY_MS,
    logLevel: output.LOG_LEVEL,
  };
}

function fault(issue: v.BaseIssue<unknown>): string {
  return `${v.getDotPath(issue) ?? ''} ${issue.message}`;
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
