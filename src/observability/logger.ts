import { type DestinationStream, type Logger, pino } from 'pino';

import type { Config } from '../config/config.ts';
import type { Credentials } from '../config/credentials.ts';

const CENSOR = '[redacted]';
/** The signature of a minted token, wherever it appears. */
const SIGNATURE = /(sign(?:=|%3D))[^"&\s\\]+/g;
const MIN_PASSWORD_LENGTH = 8;

/**
 * Creates a logger that writes one JSON object per line. No line should contain a secret, but a foreign error might, so
 * each line is searched for the configured secrets.
 *
 * @param destination Defaults to standard output.
 */
export function createLogger(config: Config, destination?: DestinationStream): Logger {
  const redact = (line: string): string =>
    secretsOf(config)
      .reduce((redacted, secret) => redacted.replaceAll(secret, CENSOR), line)
      .replace(SIGNATURE, `$1${CENSOR}`);
  return pino({ level: config.logLevel, hooks: { streamWrite: redact } }, destination ?? pino.destination(1));
}

/**
 * The configured secrets, escaped as in JSON. They are read anew for each line, since the products' keys may change.
 */
function secretsOf({ credentials, routerSecret, redisUrl }: Config): string[] {
  const secrets = [...keysOf(credentials), routerSecret, ...passwordsOf(redisUrl)];
  return secrets.flatMap((secret) => (secret ? JSON.stringify(secret).slice(1, -1) : []));
}

/** As the address has it, and as Redis gets it. A short one would be found in words and in numbers, too. */
function passwordsOf(redisUrl: string | undefined): string[] {
  const { password = '' } = redisUrl === undefined ? {} : new URL(redisUrl);
  return password.length < MIN_PASSWORD_LENGTH ? [] : [password, decodeURIComponent(password)];
}

function keysOf(credentials: Credentials): Iterable<string> {
  if ('token' in credentials) return [credentials.token];
  return 'products' in credentials ? credentials.products.values() : [credentials.accessKey];
}
