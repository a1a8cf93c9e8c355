import { describe, expect, it } from 'vitest';
import {
  createDemoFleet,
  createUniformFleet,
  type Answer,
  type Fleet,
  type FleetTask,
} from '../../src/simulator/fleet.ts';
import { startSimulator, tasking } from './exchange.ts';

const NOON = Date.UTC(2026, 0, 15, 12);
const TYPES = [1, 2] as const;

function taskOf(answer: Answer): FleetTask {
  if (!('task' in answer)) throw new Error(`errno ${answer.errno} instead of a task`);
  return answer.task;
}

function everyAnswer(fleet: Fleet, nowMs: number): Answer[] {
  return fleet.devices.flatMap(({ id }) => TYPES.map((type) => fleet.answer(id, type, nowMs)));
}

describe('the demo fleet', () => {
  it('depends only on the seed and the clock', () => {
    const [one, other] = [createDemoFleet({ seed: 'a' }), createDemoFleet({ seed: 'a' })];
    expect(one.devices).toEqual(other.devices);
    expect(everyAnswer(one, NOON)).toEqual(everyAnswer(other, NOON));
  });

  it('has different tokens, packages and phases for a different seed', () => {
    const [one, other] = [createDemoFleet({ seed: 'a' }), createDemoFleet({ seed: 'b' })];
    const [a, b] = [one, other].map((fleet) => taskOf(fleet.answer('586012401', 1, NOON)));
    expect(a?.target).toBe(b?.target);
    expect(a?.token).not.toBe(b?.token);
    expect(a?.md5).not.toBe(b?.md5);
    const errnos = (fleet: Fleet) =>
      Array.from({ length: 60 }, (_, second) => fleet.answer('904417730', 1, NOON + second * 1000).errno);
    expect(errnos(one)).not.toEqual(errnos(other));
  });

  it('shows every errno, both package types and a device with both tasks', () => {
    const fleet = createDemoFleet({ seed: 'onenet' });
    const answers = everyAnswer(fleet, NOON);
    expect(new Set(answers.map(({ errno }) => errno))).toEqual(new Set([0, 2, 4, 7, 12, 26]));
    const tasks = answers.flatMap((answer) => ('task' in answer ? [answer.task] : []));
    expect(new Set(tasks.map(({ type }) => type))).toEqual(new Set([1, 2]));
    expect(TYPES.map((type) => fleet.answer('586012417', type, NOON).errno)).toEqual([0, 0]);
  });

  it('describes what each device shows', () => {
    const { devices } = createDemoFleet({ seed: 'onenet' });
    expect(devices).toContainEqual({
      id: '586012401',
      name: 'Cold store 3, door sensor',
      model: 'DS-110',
      shows: 'FOTA: full package 2.4.0; SOTA: no task (errno 4)',
    });
    expect(new Set(devices.map(({ id }) => id)).size).toBe(devices.length);
    for (const { id, name, model, shows } of devices) {
      expect(id).toMatch(/^(6523|\d{8,9})$/);
      expect([name, model, shows]).not.toContain('');
    }
  });

  it.each([
    ['904417730', 60],
    ['904417748', 90],
    ['904417756', 120],
  ])('moves %s through rounds of %d seconds, each with a newer version', (id, seconds) => {
    const fleet = createDemoFleet({ seed: 'onenet' });
    const at = (second: number) => fleet.answer(id, 1, NOON + second * 1000);
    const errnos = Array.from({ length: 3 * seconds }, (_, second) => at(second).errno);
    const changes = errnos.filter((errno, second) => errno !== errnos[second - 1]);
    // Whatever phase noon falls in, the order of what follows is the same.
    expect('4 0 12 '.repeat(6)).toContain(changes.join(' '));
    expect(changes.length).toBeGreaterThanOrEqual(9);

    const during = Array.from({ length: 3 * seconds }, (_, second) => at(second)).flatMap((answer) =>
      'task' in answer ? [answer.task] : [],
    );
    const targets = [...new Set(during.map(({ target }) => target))];
    expect(targets.length).toBeGreaterThanOrEqual(3);
    const inOrder = targets.toSorted((a, b) => a.localeCompare(b, 'en', { numeric: true }));
    expect(targets).toEqual(inOrder);
    expect(new Set(during.map(({ token }) => token)).size).toBe(targets.length);
  });

  it('follows the clock that the simulator is given', async () => {
    let nowMs = NOON;
    const simulator = await startSimulator({ now: () => nowMs });
    const seen = new Set<number>();
    for (; nowMs < NOON + 60_000; nowMs += 3000) {
      seen.add(JSON.parse((await tasking(simulator, 'dev_id=904417730&type=1')).text).errno);
    }
    expect(seen).toEqual(new Set([4, 0, 12]));
  });
});

describe('the uniform fleet', () => {
  const fleet = createUniformFleet({ seed: 'a' });

  it.each(['7', '007', '586012401', 'sensor_A-1', 'x'.repeat(64)])('has both tasks for %s', (id) => {
    const [fota, sota] = TYPES.map((type) => taskOf(fleet.answer(id, type, NOON)));
    expect(fota?.token).toMatch(/^ota_[A-Za-z0-9]{20}$/);
    expect(fota?.md5).toMatch(/^[0-9a-f]{32}$/);
    expect(fota?.token).not.toBe(sota?.token);
    expect(fleet.answer(id, 1, NOON)).toEqual(createUniformFleet({ seed: 'a' }).answer(id, 1, 0));
  });

  it.each(['', 'a b', 'é', 'x'.repeat(65)])('has no task for the ill-formed id "%s"', (id) => {
    expect(fleet.answer(id, 1, NOON).errno).toBe(4);
  });

  it('distinguishes devices and seeds', () => {
    const other = createUniformFleet({ seed: 'b' });
    const tokens = [fleet.answer('7', 1, 0), fleet.answer('007', 1, 0), other.answer('7', 1, 0)].map(
      (answer) => taskOf(answer).token,
    );
    expect(new Set(tokens).size).toBe(3);
    expect(other.packageOf(tokens[0] ?? '', 0)).toBeUndefined();
  });
});
