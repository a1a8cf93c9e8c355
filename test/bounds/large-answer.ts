import { createSimulator, type Simulator } from '../../src/simulator/simulator.ts';
import { onTestFinished } from 'vitest';

import { entitiesQuery, type Until } from '../service.ts';

const TASK = {
  target: 't'.repeat(60),
  token: 'ota_5hc95SFeo5xJEnaNrste',
  size: 123,
  md5: 'dfkdajkfd',
  type: 1,
};
const FIELDS = 18;
const ENTITIES = 10_000;

/** Starts a OneNET whose tasks have long version names; stops it after the test. */
export async function startWordyOneNet(until: Until = onTestFinished): Promise<Simulator> {
  const onenet = await createSimulator({
    fault: () => ({ kind: 'body', body: JSON.stringify({ errno: 0, error: 'succ', data: TASK }) }),
  });
  until(() => onenet.close());
  return onenet;
}

/** The body of a request for one device for which this OneNET produces an answer of more than ten megabytes. */
export const LARGE_OPERATION = JSON.stringify({
  query: entitiesQuery(
    `otaTask(type: FOTA) { ${Array.from({ length: FIELDS }, (_, i) => `f${i}: target`).join(' ')} }`,
  ),
  variables: { representations: Array(ENTITIES).fill({ __typename: 'Device', id: 'd1' }) },
});
