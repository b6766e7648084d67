import { layoutOf, type Orchestrator, type SupervisedInstance } from '@mgpu/core';
import { describe, expect, test } from 'vitest';
import { failureOf, temporaryFolder } from '../support.ts';
import { machine, statesOf, workshop } from './machine.ts';

const inHand = (orchestrator: Orchestrator, id: string): SupervisedInstance => {
  const found = orchestrator.view.supervisor.instances().find((each) => each.id === id);
  if (!found) throw new Error(`no ${id}`);
  return found;
};

const held = { code: 'TEST_HELD', message: 'held', retryable: true };
const wishesOf = (orchestrator: Orchestrator) =>
  Object.fromEntries(orchestrator.status().map(({ id, desired }) => [id, desired]));

describe('what nobody wants', () => {
  test('is not started by its renewal', async () => {
    const { define, journal } = workshop();
    const orchestrator = machine([define('a')]);
    expect(await failureOf(inHand(orchestrator, 'a').restart())).toMatchObject({ code: 'CORE_START_ABORTED' });
    expect(journal).toEqual([]);
  });

  test('stays unwanted when the boot is stopped before it began to start anything', async () => {
    const { define, journal } = workshop();
    const orchestrator = machine([define('a')]);
    const booted = failureOf(orchestrator.start());
    await orchestrator.stop();
    expect(await booted).toMatchObject({ code: 'CORE_START_ABORTED' });
    expect(journal).toEqual([]);
    expect(wishesOf(orchestrator)).toEqual({ a: 'down' });
  });

  test('stays unwanted when that was said before the boot had looked at what was there', async () => {
    const { define, journal } = workshop();
    const orchestrator = machine([define('a'), define('b')]);
    const booted = orchestrator.start();
    await orchestrator.stopInstance('a');
    await booted;
    expect(journal).toEqual(['start b', 'ready b']);
    expect(wishesOf(orchestrator)).toEqual({ a: 'down', b: 'up' });
  });
});

describe('what is on hold', () => {
  test('may be released before the boot that goes on from the daemon before', async () => {
    const { define } = workshop();
    const layout = layoutOf(temporaryFolder());
    const former = machine([define('a')], { layout });
    await former.start();
    await former.leave();
    const orchestrator = machine([define('a')], { layout });
    await inHand(orchestrator, 'a').hold('gpu', held);
    inHand(orchestrator, 'a').release('gpu');
    await orchestrator.start();
    expect(statesOf(orchestrator)).toEqual({ a: 'running' });
  });
});
