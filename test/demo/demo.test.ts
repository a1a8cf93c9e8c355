import { createHash } from 'node:crypto';

import { request } from 'undici';
import { describe, expect, it } from 'vitest';

import { post, startOnce } from '../service.ts';
import { startDemo } from './start-demo.ts';

describe('the demo', () => {
  const running = startOnce((until) => startDemo({ until }));

  it('answers its query through the gateway, and a download has the announced size and MD5', async () => {
    const demo = running();
    const { body } = await post(
      demo.gateway,
      '{ devices { name otaTask(type: FOTA) { size md5 downloadUrl } } }',
    );
    const device = body.data.devices.find(
      ({ name }: { name: string }) => name === 'Cold store 3, door sensor',
    );
    const download = await request(device.otaTask.downloadUrl);
    const bytes = Buffer.from(await download.body.arrayBuffer());
    expect(download.statusCode).toBe(200);
    expect(bytes.length).toBe(device.otaTask.size);
    expect(createHash('md5').update(bytes).digest('hex')).toBe(device.otaTask.md5);
  });

  it('prints an address for browsers, devices to try, working queries and a curl command', async () => {
    const demo = running();
    const page = await request(demo.subgraph, { headers: { accept: 'text/html' } });
    expect([page.statusCode, await page.body.text()]).toEqual([200, expect.stringContaining('<html')]);
    const graphiql = await request(/its GraphiQL\s+(\S+)/.exec(demo.output)?.[1] ?? '');
    expect([graphiql.statusCode, (await graphiql.body.text()).includes('<html')]).toEqual([200, true]);
    expect(demo.output).toMatch(/ 6523 .*example/);
    const curl = /curl -s (\S+) .* -d '(.*)'/.exec(demo.output);
    expect(curl?.[1]).toBe(demo.gateway);
    const { query } = JSON.parse(curl?.[2] ?? '') as { query: string };
    expect((await post(demo.gateway, query)).body.data.devices.length).toBeGreaterThan(5);
    const inList = /as data:\n([^]*?)\n\n/.exec(demo.output)?.[1] ?? '';
    expect((await post(demo.gateway, inList)).body.data.devices[0].otaTaskResult.target).toBe('1.2');
  });

  it('uses free ports if its own are taken, and stops everything on Ctrl-C', async () => {
    const first = running();
    const demo = await startDemo();
    // Unless somebody else has the port, the first has it; what another process holds may be free a moment later.
    const late = first.gateway.includes(':4000/') ? demo : first;
    expect(late.output).toContain('Port 4000 is taken');
    expect(late.gateway).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/graphql$/);
    expect(late.gateway).not.toContain(':4000/');
    demo.child.kill('SIGINT');
    expect(await demo.exited).toBe(0);
  });
});
