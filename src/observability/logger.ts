import { type DestinationStream, type Logger, pino } from 'pino';

import type { Config } from '../config/config.ts';

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
  const secrets = secretsOf(config);
  const redact = (line: string): string =>
    secrets
      .reduce((redacted, secret) => redacted.replaceAll(secret, CENSOR), line)
      .replace(SIGNATURE, `$1${CENSOR}`);
  return pino({ level: config.logLevel, hooks: { streamWrite: redact } }, destination ?? pino.destination(1));
}

/** As they stand in JSON. */
function secretsOf({ credentials, routerSecret }: Config): string[] {
  const secrets = ['token' in credentials ? credentials.token : credentials.accessKey, routerSecret ?? ''];
  return secrets.filter((secret) => secret !== '').map((secret) => JSON.stringify(secret).slice(1, -1));
}
