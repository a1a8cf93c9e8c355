// What the work itself costs: HTTP in, the calls, JSON out. No GraphQL, no checks.
import { serveJson } from './listen.ts';
import { createFetchOtaTask, type OtaTask } from './onenet.ts';

interface Body {
  readonly variables: { readonly representations: readonly { readonly id: string }[] };
}

const fetchOtaTask = createFetchOtaTask('dispatch');

serveJson(answer);

async function answer(body: string): Promise<string> {
  const { variables } = JSON.parse(body) as Body;
  const tasks = new Map<string, Promise<OtaTask>>();
  const entities = variables.representations.map(async ({ id }) => {
    let task = tasks.get(id);
    if (task === undefined) tasks.set(id, (task = fetchOtaTask(id, 'FOTA')));
    return { otaTask: await task };
  });
  return JSON.stringify({ data: { _entities: await Promise.all(entities) } });
}
