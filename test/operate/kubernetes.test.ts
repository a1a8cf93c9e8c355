import { readFileSync } from 'node:fs';

import { Deployment } from 'kubernetes-models/apps/v1';
import { NetworkPolicy } from 'kubernetes-models/networking.k8s.io/v1';
import { PodDisruptionBudget } from 'kubernetes-models/policy/v1';
import { Service } from 'kubernetes-models/v1';
import { describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';

import { readConfig } from '../../src/config/config.ts';
import { DRAIN_MARGIN_MS } from '../../src/http/server.ts';
import { type Environment, launch, post, startOnce } from '../service.ts';

const read = (name: string): string => readFileSync(new URL(`../../${name}`, import.meta.url), 'utf8');

const KINDS = [Deployment, Service, PodDisruptionBudget, NetworkPolicy];

const manifests = parseAllDocuments(read('operate/kubernetes.yaml')).map((document) => {
  expect(document.errors).toEqual([]);
  return document.toJS();
});
const ofKind = (kind: string) => manifests.find((manifest) => manifest.kind === kind);

const deployment = ofKind('Deployment');
const pod = deployment.spec.template;
const [container] = pod.spec.containers;
const [port] = container.ports;

interface Variable {
  readonly name: string;
  readonly value?: string;
  readonly valueFrom?: { readonly secretKeyRef: { readonly name: string; readonly key: string } };
}
const variables = container.env as readonly Variable[];
const secrets = variables.filter(({ value }) => value === undefined);

/** The environment of the container, with plausible values for the Secret. */
const environment: Environment = {
  ...Object.fromEntries(variables.map(({ name, value }) => [name, value ?? ''])),
  ONENET_PRODUCT_ID: 'product',
  ONENET_ACCESS_KEY: 'YWNjZXNz',
  ROUTER_SECRET: 'a-secret-of-the-router',
};

/** The paths of the fields that are read from a value, and of those that exist. */
function observe(
  value: unknown,
  path = '',
  seen = new Set<string>(),
): { observed: unknown; seen: Set<string> } {
  if (typeof value !== 'object' || value === null) return { observed: value, seen };
  const observed = new Proxy(value, {
    get(target, name, receiver) {
      const field: unknown = Reflect.get(target, name, receiver);
      if (typeof name !== 'string' || !Object.hasOwn(target, name)) return field;
      seen.add(`${path}/${name}`);
      return observe(field, `${path}/${name}`, seen).observed;
    },
  });
  return { observed, seen };
}

function fieldsOf(value: unknown, path = ''): string[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([name, field]) => [
    `${path}/${name}`,
    ...fieldsOf(field, `${path}/${name}`),
  ]);
}

function namesReadByTheService(): Set<string> {
  const names = new Set<string>();
  readConfig(
    new Proxy(environment, {
      get(target, name) {
        names.add(String(name));
        return Reflect.get(target, name) as unknown;
      },
    }),
  );
  return names;
}

describe('the manifests', () => {
  it.each(manifests.map((manifest) => [manifest.kind, manifest]))(
    'match the schemas of Kubernetes: %s',
    (_, manifest) => {
      const model = KINDS.find(
        ({ apiVersion, kind }) => apiVersion === manifest.apiVersion && kind === manifest.kind,
      );
      const { observed, seen } = observe(manifest);
      expect(() => model?.prototype.validate.call(observed as never)).not.toThrow();
      // The schemas allow unknown fields, which the API server drops. So a misspelt field is one that the schema does
      // not read.
      expect(fieldsOf(manifest).filter((field) => !seen.has(field))).toEqual([]);
    },
  );

  it('select the pods of the deployment', () => {
    const { labels } = pod.metadata;
    expect(deployment.spec.selector.matchLabels).toEqual(labels);
    expect(ofKind('Service').spec.selector).toEqual(labels);
    expect(ofKind('PodDisruptionBudget').spec.selector.matchLabels).toEqual(labels);
    expect(ofKind('NetworkPolicy').spec.podSelector.matchLabels).toEqual(labels);
    expect(pod.spec.topologySpreadConstraints[0].labelSelector.matchLabels).toEqual(labels);
  });

  it('use the image of this version', () => {
    const { name, version } = JSON.parse(read('package.json')) as { name: string; version: string };
    expect(container.image).toBe(`${name}:${version}`);
  });

  it('keep instances running while others are replaced or moved', () => {
    const { replicas, strategy } = deployment.spec;
    expect(replicas).toBeGreaterThanOrEqual(2);
    expect(strategy.rollingUpdate).toEqual({ maxUnavailable: 0, maxSurge: 1 });
    expect(ofKind('PodDisruptionBudget').spec.maxUnavailable).toBeLessThan(replicas);
  });

  it('route to the port on which the image listens', () => {
    expect(String(port.containerPort)).toBe(/^ENV.* PORT=(\d+)/m.exec(read('Dockerfile'))?.[1]);
    expect(pod.metadata.annotations['prometheus.io/port']).toBe(String(port.containerPort));
    expect(ofKind('Service').spec.ports[0].targetPort).toBe(port.name);
    expect(ofKind('NetworkPolicy').spec.ingress[0].ports).toEqual([{ port: port.name }]);
  });

  it('allow the service to reach OneNET', () => {
    const { protocol } = new URL(readConfig(environment).onenetOrigin);
    expect(protocol).toBe('https:');
    expect(ofKind('NetworkPolicy').spec.egress[0].ports).toContainEqual({ port: 443 });
  });

  it('grant the pod only what it needs', () => {
    expect(pod.spec).toMatchObject({
      automountServiceAccountToken: false,
      securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
    });
    expect(container.securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
  });
});

describe('the environment of the container', () => {
  it('is a valid configuration', () => {
    expect(() => readConfig(environment)).not.toThrow();
  });

  it('contains only variables that the service reads', () => {
    const names = namesReadByTheService();
    expect(variables.map(({ name }) => name).filter((name) => !names.has(name))).toEqual([]);
  });

  it('takes secrets from the Secret, each under the name of its variable', () => {
    expect(secrets.map(({ name }) => name).toSorted()).toEqual([
      'ONENET_ACCESS_KEY',
      'ONENET_PRODUCT_ID',
      'ROUTER_SECRET',
    ]);
    for (const { name, valueFrom } of secrets) {
      expect(valueFrom?.secretKeyRef).toEqual({ name: 'onenet-ota', key: name });
    }
    expect(ofKind('Secret')).toBeUndefined();
  });

  it('does not let other Kubernetes services change the configuration', () => {
    expect(pod.spec.enableServiceLinks).toBe(false);
  });
});

describe('the end of a pod', () => {
  it('leaves enough time to drain and to exit', () => {
    const { drainDelayMs, requestTimeoutMs } = readConfig(environment);
    const hookMs = container.lifecycle.preStop.sleep.seconds * 1000;
    const mostMs = hookMs + drainDelayMs + requestTimeoutMs + DRAIN_MARGIN_MS;
    expect(pod.spec.terminationGracePeriodSeconds * 1000).toBeGreaterThan(mostMs);
  });

  it('is announced by the readiness probe before the listener closes', () => {
    const { periodSeconds, failureThreshold } = container.readinessProbe;
    expect(readConfig(environment).drainDelayMs).toBeGreaterThanOrEqual(
      periodSeconds * failureThreshold * 1000,
    );
  });
});

describe('a running container', () => {
  const url = startOnce((until) => launch({ ...environment, PORT: '0' }, until).listening);

  it.each(['startupProbe', 'livenessProbe', 'readinessProbe'])('passes its %s', async (probe) => {
    const { httpGet } = container[probe];
    expect(httpGet.port).toBe(port.name);
    expect((await fetch(new URL(httpGet.path, url()))).status).toBe(200);
  });

  it('is not ready, but alive, while it drains', async () => {
    const { child, listening } = launch({ ...environment, PORT: '0' });
    const url = await listening;
    const statusOf = async (probe: string): Promise<number> =>
      (await fetch(new URL(container[probe].httpGet.path, url))).status;
    child.kill('SIGTERM');
    await expect.poll(() => statusOf('readinessProbe')).toBe(503);
    expect(await statusOf('livenessProbe')).toBe(200);
    const answer = await post(
      url,
      '{ __typename }',
      {},
      {
        'router-authorization': environment['ROUTER_SECRET'] as string,
      },
    );
    expect(answer.status).toBe(200);
  });

  it('serves its metrics where the annotations say', async () => {
    const metrics = await fetch(new URL(pod.metadata.annotations['prometheus.io/path'], url()));
    expect(await metrics.text()).toContain('onenet_ota_');
  });
});
