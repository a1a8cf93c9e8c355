// What the work itself costs: HTTP in, the calls, JSON out. No GraphQL, no checks.
import { createServer } from 'node:http';

import { listen, readBody } from './listen.ts';
import { createFetchOtaTask, type OtaTask } from './onenet.ts';

interface Body {
  readonly variables: { readonly representations: readonly { readonly id: string }[] };
}

const fetchOtaTask = createFetchOtaTask('dispatch');

listen(
  createServer((request, response) => {
    void answer(request).then((json) => {
      response.setHeader('content-type', 'application/json; charset=utf-8');
      response.end(json);
    });
  }),
);

async function answer(request: AsyncIterable<Buffer>): Promise<string> {
  const { variables } = JSON.parse(await readBody(request)) as Body;
  const tasks = new Map<string, Promise<OtaTask>>();
  const entities = variables.representations.map(async ({ id }) => {
    let task = tasks.get(id);
    if (task === undefined) tasks.set(id, (task = fetchOtaTask(id, 'FOTA')));
    return { otaTask: await task };
  });
  return JSON.stringify({ data: { _entities: await Promise.all(entities) } });
}
