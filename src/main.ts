import { pino } from 'pino';

import { createApp } from './app.ts';
import { type Config, readConfig } from './config/config.ts';
import { createLogger } from './observability/logger.ts';

const config = readConfigOrExit();
const logger = createLogger(config);
const app = await createApp(config, logger);

let stopping = false;

/** Drains once. Later signals change nothing, except that a fatal error still sets the exit code. */
function stop(exitCode: number): void {
  if (exitCode !== 0) process.exitCode = exitCode;
  if (stopping) return;
  stopping = true;
  app.close().then(
    () => process.exit(),
    (error: unknown) => {
      logger.fatal({ err: error }, 'could not close cleanly');
      process.exit(1);
    },
  );
}

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.on(signal, () => {
    logger.info({ signal }, 'draining');
    stop(0);
  });
}
for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
  process.on(event, (error: unknown) => {
    logger.fatal({ err: error }, event);
    stop(1);
  });
}

try {
  const url = await app.listen();
  // Scripts that start the service wait for this line, so it is logged at any level.
  logger.child({}, { level: 'info' }).info(`listening at ${url}`);
} catch (error) {
  logger.fatal({ err: error }, 'could not listen');
  process.exit(1);
}

function readConfigOrExit(): Config {
  try {
    return readConfig(process.env);
  } catch (error) {
    pino().fatal((error as Error).message);
    process.exit(1);
  }
}
