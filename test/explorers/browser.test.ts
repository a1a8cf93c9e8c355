import { existsSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';

import { createDemoFleet } from '../../src/simulator/fleet.ts';
import { type Environment, type Service, startBoth } from '../service.ts';

const CHROMIUM = process.env['CHROMIUM_PATH'] ?? '/usr/bin/chromium';
const SECRET = 'r0uter-secret-0123456789';
const STUDIO = 'https://studio.apollographql.com';

const hasChromium = existsSync(CHROMIUM);
if (!hasChromium) {
  console.log(`No Chromium at ${CHROMIUM} (CHROMIUM_PATH says where): the tests in a browser are skipped.`);
}

describe.skipIf(!hasChromium)('in a browser', { timeout: 60_000 }, () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await chromium.launch({
      executablePath: CHROMIUM,
      args: [
        '--no-sandbox',
        '--disable-gpu',
        '--disable-quic',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
      ],
    });
  }, 60_000);
  afterAll(() => browser.close());

  function start(environment: Environment = {}): Promise<Service> {
    return startBoth({ fleet: createDemoFleet({ seed: 'demo' }) }, { SANDBOX: 'true', ...environment });
  }

  /** Opens a tab of a fresh browser. */
  async function openTab(): Promise<Page> {
    const context = await browser.newContext({
      // Tall enough for a whole result, because content out of sight is not in the document.
      viewport: { width: 1400, height: 1600 },
      // Chromium asks the user before a public site may connect to this machine. Here the answer is yes, so any refusal
      // comes from the service.
      permissions: ['local-network-access'],
    });
    onTestFinished(() => context.close());
    return context.newPage();
  }

  async function openGraphiQL(tab: Page, { url }: Service): Promise<void> {
    await tab.goto(new URL('/graphiql', url).href);
    await tab.getByText('OtaTasks').first().waitFor();
  }

  async function execute(tab: Page): Promise<void> {
    await tab.getByRole('button', { name: 'Execute query' }).click();
  }

  async function shownResult(tab: Page): Promise<string> {
    return (await tab.locator('.result-window').innerText()).replaceAll(/\s+/g, ' ');
  }

  async function expectResult(tab: Page, ...parts: readonly string[]): Promise<void> {
    for (const part of parts) await expect.poll(() => shownResult(tab), { timeout: 20_000 }).toContain(part);
  }

  describe('GraphiQL', () => {
    it("runs its prefilled operation and shows a device's task and another's error with its code", async () => {
      const service = await start();
      const tab = await openTab();
      const asked: string[] = [];
      tab.on('request', (request) => asked.push(request.url()));
      const complaints: string[] = [];
      tab.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
      await openGraphiQL(tab, service);
      await execute(tab);
      await expectResult(
        tab,
        '"id": "6523", "otaTask": { "target": "1.2"',
        '"code": "OTA_TASK_NOT_FOUND"',
        '"reason": "NO_TASK"',
      );
      // Without variables, for their editor would underline representations: it takes `_Any` for a string.
      expect(await tab.locator('.graphiql-editors').innerText()).not.toContain('$representations');
      // The page loads nothing else, and its own policy blocks nothing it needs.
      const { origin } = new URL(service.url);
      expect(asked.filter((url) => /^https?:/.test(url) && new URL(url).origin !== origin)).toEqual([]);
      expect(complaints).toEqual([]);
    });

    it('loads the schema', async () => {
      const service = await start();
      const tab = await openTab();
      await openGraphiQL(tab, service);
      await tab.getByRole('button', { name: 'Show Documentation Explorer' }).click();
      for (const type of ['Query', '_Entity', 'Device']) {
        await tab.getByRole('link', { name: type, exact: true }).click();
      }
      await tab.getByText('An IoT device. Another subgraph owns it').waitFor();
    });

    it('shows why requests without the secret are refused, and accepts the secret from its user', async () => {
      const service = await start({ ROUTER_SECRET: SECRET });
      const tab = await openTab();
      await openGraphiQL(tab, service);
      expect((await tab.content()).includes(SECRET)).toBe(false);
      await execute(tab);
      await expectResult(tab, 'lacks the right router-authorization header', '"code": "UNAUTHENTICATED"');

      await tab.getByRole('button', { name: 'Headers' }).click();
      await tab.getByText('"router-authorization"').click();
      // The cursor goes to the end of the line, after the quotation marks that the value belongs between.
      await tab.keyboard.press('End');
      await tab.keyboard.press('ArrowLeft');
      await tab.keyboard.insertText(SECRET);
      await execute(tab);
      await expectResult(tab, '"target": "1.2"', '"code": "OTA_TASK_NOT_FOUND"');

      // GraphiQL stores a tab shortly after typing ends, all of it at once.
      await tab.getByText('# What a router sends').click();
      await tab.keyboard.insertText('(typed last)');
      await tab.waitForFunction(() => localStorage.getItem('graphiql:tabState')?.includes('(typed last)'));
      expect(await tab.evaluate(() => JSON.stringify(localStorage))).not.toContain(SECRET);
    });
  });

  it.each<[string, Environment, object]>([
    ['without a secret', {}, {}],
    ["with a secret, the header's name", { ROUTER_SECRET: SECRET }, { 'router-authorization': '' }],
  ])(
    'Apollo Sandbox is prefilled with an operation, its variables and, %s',
    async (_, environment, headers) => {
      const service = await start(environment);
      const tab = await openTab();
      // Apollo's script is not ours to test and may be unreachable, so a stub reports what it was given.
      await tab.route(/^https:/, (route) =>
        route.request().url().startsWith('https://embeddable-sandbox.cdn.apollographql.com/')
          ? route.fulfill({
              contentType: 'text/javascript',
              body: 'EmbeddedSandbox = function (o) { given = o }',
            })
          : route.abort(),
      );
      await tab.goto(service.url);
      const given = await tab.evaluate<Record<string, unknown>>('given');
      expect(given).toMatchObject({
        initialEndpoint: service.url,
        initialState: {
          document: expect.stringContaining('query OtaTasks($representations: [_Any!]!)'),
          variables: { representations: [{ __typename: 'Device', id: '6523' }, { __typename: 'Device' }] },
        },
        runTelemetry: false,
      });
      expect((given['initialState'] as { readonly headers: unknown }).headers).toEqual(headers);
      expect((await tab.content()).includes(SECRET)).toBe(false);
    },
  );

  describe('a page of another origin', () => {
    /** What a page gets when it posts an operation to the service as a GraphQL client does. */
    function postFrom(tab: Page, url: string, headers: Readonly<Record<string, string>> = {}) {
      return tab.evaluate(
        ({ url, headers }) =>
          fetch(url, {
            method: 'POST',
            headers: { 'content-type': 'application/json', ...headers },
            body: '{"query":"{ __typename }"}',
          }).then(
            (answer) => answer.text(),
            (error: unknown) => String(error),
          ),
        { url, headers },
      );
    }

    it('is refused', async () => {
      const service = await start();
      const elsewhere = createServer((_, response) => response.setHeader('content-type', 'text/html').end());
      await new Promise<void>((resolve) => elsewhere.listen(0, '127.0.0.1', resolve));
      onTestFinished(() => {
        elsewhere.close();
        elsewhere.closeAllConnections();
      });
      const tab = await openTab();
      await tab.goto(`http://127.0.0.1:${(elsewhere.address() as AddressInfo).port}/`);
      expect(await postFrom(tab, service.url)).toBe('TypeError: Failed to fetch');
      // The service's own page may post, so it was the origin that made the difference.
      await tab.goto(new URL('/livez', service.url).href);
      expect(await postFrom(tab, service.url)).toBe('{"data":{"__typename":"Query"}}\n');
    });

    it.each<[string, Environment, string]>([
      ['is accepted if it is Apollo Studio', {}, '{"data":{"__typename":"Query"}}\n'],
      [
        'is refused if it is Apollo Studio and the sandbox is disabled',
        { SANDBOX: 'false' },
        'TypeError: Failed to fetch',
      ],
    ])('%s', async (_, environment, got) => {
      const service = await start({ ROUTER_SECRET: SECRET, ...environment });
      const tab = await openTab();
      await tab.route(`${STUDIO}/**`, (route) => route.fulfill({ contentType: 'text/html', body: '' }));
      await tab.goto(`${STUDIO}/sandbox`);
      // While requests are intercepted, preflights are too, and never reach the service.
      await tab.unrouteAll();
      expect(await postFrom(tab, service.url, { 'router-authorization': SECRET })).toBe(got);
    });
  });
});
