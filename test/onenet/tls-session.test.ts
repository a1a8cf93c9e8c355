import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';

import { expect, it, onTestFinished } from 'vitest';

import { askEntities, devices, startProcess } from '../service.ts';
import { SELF_SIGNED } from './self-signed.ts';

it('a new connection to OneNET resumes the TLS session of an earlier one', async () => {
  const resumed: boolean[] = [];
  const server = createServer(SELF_SIGNED, (_, response) => {
    response.setHeader('connection', 'close').end('{"errno":4,"error":"no task"}');
  })
    .on('secureConnection', (socket: TLSSocket) => resumed.push(socket.isSessionReused()))
    .listen(0, '127.0.0.1');
  await once(server, 'listening');
  const folder = mkdtempSync(join(tmpdir(), 'tls-'));
  onTestFinished(() => {
    server.close();
    rmSync(folder, { recursive: true });
  });
  const certificate = join(folder, 'certificate.pem');
  writeFileSync(certificate, SELF_SIGNED.cert);
  const service = await startProcess({
    ONENET_URL: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    NODE_EXTRA_CA_CERTS: certificate,
  });
  for (const id of ['d1', 'd2', 'd3']) {
    const { body } = await askEntities(service, 'otaTask(type: FOTA) { size }', devices(id));
    expect(body.errors[0].extensions.code).toBe('OTA_TASK_NOT_FOUND');
  }
  expect(resumed).toEqual([false, true, true]);
});
