import { EnvError, makeExactValidator } from 'envalid';
import { levels } from 'pino';

const DIGITS = /^(?:0|[1-9][0-9]*)$/;
const ALPHANUMERIC = /^[A-Za-z0-9]+$/;
const VISIBLE_ASCII = /^[\x21-\x7e]+$/;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)$/;
const ORIGIN = /^https?:\/\/[^/?#@\\\s]+\/?$/i;
const SECRET = /^[\x21-\x7e]{16,}$/;
const HOST = /^[A-Za-z0-9.:_-]+$/;

/** What else the client would take is ignored by it, or not meant: a password with an unencoded `#` names another host. */
const REDIS_URL = /^rediss?:\/\/[^/?#\s]+(?:\/[0-9]*)?$/i;
const GRAPHQL_NAME = /^(?!__)[_A-Za-z][_0-9A-Za-z]*$/;
const OUR_FIELDS = ['id', 'otaTask', 'otaTaskResult'];
/** @see https://www.rfc-editor.org/rfc/rfc6749#section-3.3 */
const SCOPE = /^[\x21\x23-\x5b\x5d-\x7e]+$/;

const FLAGS: ReadonlyMap<string, boolean> = new Map([
  ['true', true],
  ['false', false],
]);

/** Makes a validator with our own message, because envalid's validators quote the value. */
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

function isDecodable(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}

const origin = rule('must be an http(s) origin without credentials, path or query', (text) =>
  ORIGIN.test(text) && URL.canParse(text) ? new URL(text) : undefined,
);
const flag = rule('must be one of true, false', (text) => FLAGS.get(text));

const redisUrl = rule(
  'must be a redis:// or rediss:// address, with percent-encoded credentials if any and at most a number as its path',
  (text) => (REDIS_URL.test(text) && URL.canParse(text) && isDecodable(text) ? text : undefined),
);
const productField = rule(
  'must be the name of a field that is not ours, with ! where it is never null',
  (text) => {
    const name = text.replace(/!$/, '');
    return GRAPHQL_NAME.test(name) && !OUR_FIELDS.includes(name)
      ? { name, isNonNull: text.endsWith('!') }
      : undefined;
  },
);
const scopes = rule('must be scopes with commas between them', (text) => {
  const items = text.split(',').map((item) => item.trim());
  return items.every((item) => SCOPE.test(item)) ? items : undefined;
});

const OPTIONAL = { default: undefined };

/** Validates each variable by itself; `config.ts` checks how they fit together. */
export const VARIABLES = {
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
  CACHE_TTL_MS: integer(0, 3_600_000)({ default: 0 }),
  CACHE_ABSENT_TTL_MS: integer(0, 3_600_000)({ default: 0 }),
  CACHE_MAX_ENTRIES: integer(1, 10_000_000)({ default: 100_000 }),
  REDIS_URL: redisUrl(OPTIONAL),
  ONENET_CALLS_PER_SECOND: integer(1, 100_000)(OPTIONAL),
  ONENET_PRODUCTS_FILE: matching(/./, 'must be a path')(OPTIONAL),
  DEVICE_PRODUCT_FIELD: productField(OPTIONAL),
  SECRET_FIELD_SCOPES: scopes(OPTIONAL),
  ROUTER_SECRET: matching(SECRET, 'must be 16 or more characters of visible ASCII')(OPTIONAL),
  SANDBOX: flag({ default: false }),
  DRAIN_DELAY_MS: integer(0, 60_000)({ default: 0 }),
  LOG_LEVEL: oneOf([...Object.values(levels.labels), 'silent'])({ default: 'info' }),
};
