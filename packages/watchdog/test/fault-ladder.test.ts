import { loggerTo, type Supervisor } from '@mgpu/core';
import { fakeClock, temporaryFolder } from '@mgpu/core/testing';
import { expect, test } from 'vitest';
import { FaultLadder } from '../src/fault-ladder.ts';
import { Feeders } from '../src/feeders.ts';
import { IncidentBook } from '../src/incidents.ts';
import { Intake } from '../src/intake.ts';
import { Quarantine } from '../src/quarantine.ts';
import type { Verdict } from '../src/rules/verdict.ts';

/** A ladder on a machine without instances. */
function ladderIn(stateDir: string, cleanUp: () => Promise<string>) {
  const clock = fakeClock();
  const log = loggerTo(() => {});
  const supervisor: Supervisor = { instances: () => [], on: () => () => {}, appoint: () => () => {} };
  const feeders = new Feeders(supervisor);
  const incidents = new IncidentBook({ stateDir, clock, log });
  const common = { supervisor, feeders, incidents, log };
  const quarantine = new Quarantine({ ...common, stateDir, now: () => '', isWell: async () => true });
  const { signal } = new AbortController();
  const intake = new Intake(feeders, log);
  return { clock, incidents, ladder: new FaultLadder({ ...common, clock, quarantine, intake, signal, cleanUp }) };
}

test('old outputs are removed again every hour while the disk stays full', async () => {
  using folder = temporaryFolder();
  let times = 0;
  const { clock, ladder, incidents } = ladderIn(folder.path, async () => `${++times}`);
  const full: Verdict = {
    rule: 'disk-clean-up',
    scope: 'host',
    subject: 'machine',
    severity: 'error',
    action: 'clean-up',
    reason: 'the disk is full',
    hint: 'enlarge it',
    evidence: [],
  };
  for (const [minutes, expected] of [
    [0, 1],
    [59, 1],
    [1, 2],
    [59, 2],
    [1, 3],
  ] as const) {
    await clock.advance(minutes * 60_000);
    ladder.stands('disk', [full]);
    expect(times).toBe(expected);
  }
  await incidents.settled();
});
