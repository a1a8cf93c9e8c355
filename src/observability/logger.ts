import { type DestinationStream, type Logger, pino } from 'pino';

import type { Config } from '../config/config.ts';
import type { Credentials } from '../config/credentials.ts';

const CENSOR = '[redacted]';
/** What a minted token is signed with, wherever it stands. */
const SIGNATURE = /(sign(?:=|%3D))[^"&\s\\]+/g;

/**
 * Logs one JSON object a line. No line is meant to hold a secret; an error from elsewhere might, so each line is searched
 * for those that are known.
 *
 * @param destination Standard output, unless told otherwise.
 */
export function createLogger(config: Config, destination?: DestinationStream): Logger {
  const redact = (line: string): string =>
    secretsOf(config)
      .reduce((redacted, secret) => redacted.replaceAll(secret, CENSOR), line)
      .replace(SIGNATURE, `$1${CENSOR}`);
  return pino({ level: config.logLevel, hooks: { streamWrite: redact } }, destination ?? pino.destination(1));
}

/** What is shorter could be a part of anything. */
const SHORTEST_SECRET = 8;

/** As they stand in JSON. Read for each line, since the keys of products may change. */
function secretsOf({ credentials, routerSecret = '', redisUrl }: Config): string[] {
  const secrets = [...keysOf(credentials), routerSecret];
  if (redisUrl !== undefined) {
    const { password } = new URL(redisUrl);
    secrets.push(password, decodeURIComponent(password));
  }
  return secrets
    .filter((secret) => secret.length >= SHORTEST_SECRET)
    .map((secret) => JSON.stringify(secret).slice(1, -1));
}

function keysOf(credentials: Credentials): Iterable<string> {
  if ('token' in credentials) return [credentials.token];
  return 'products' in credentials ? credentials.products.values() : [credentials.accessKey];
}
