import { serverAudits } from 'graphql-http';
import { describe, expect, it } from 'vitest';

import { startBoth, startOnce } from '../service.ts';

/** Recommendations of the GraphQL-over-HTTP specification from which this service deliberately differs. */
const NO_GET = 'operations are accepted by POST only, which no link and no image can send';
const TELLS_BY_STATUS = 'a request that could never be executed is a 400 whatever media type is accepted';
const EXCEPTIONS: Readonly<Record<string, string>> = {
  '5A70': NO_GET,
  D6D5: NO_GET,
  '6A70': NO_GET,
  '572B': TELLS_BY_STATUS,
  FDE2: TELLS_BY_STATUS,
  '7B9B': TELLS_BY_STATUS,
};

describe('GraphQL over HTTP', () => {
  // The audits request the schema.
  const service = startOnce((until) => startBoth({}, { SANDBOX: 'true' }, until));

  it.each(serverAudits({ url: 'http://placeholder' }).map(({ id, name }) => [id, name]))(
    '%s: %s',
    async (id) => {
      const audit = serverAudits({ url: service().url }).find((candidate) => candidate.id === id);
      const { status } = (await audit?.fn()) ?? {};
      // An exception that no longer applies must be removed from the list.
      if (id in EXCEPTIONS) expect(status).not.toBe('ok');
      else expect(status).toBe('ok');
    },
  );
});
