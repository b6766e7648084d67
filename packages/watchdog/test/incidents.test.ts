import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { silentLogger } from '@mgpu/core';
import { fakeClock, temporaryFolder } from '@mgpu/core/testing';
import { expect, onTestFinished, test } from 'vitest';
import { IncidentBook, readIncidents } from '../src/incidents.ts';

function book() {
  const { path: stateDir, [Symbol.dispose]: remove } = temporaryFolder();
  onTestFinished(remove);
  const clock = fakeClock();
  return { stateDir, clock, incidents: new IncidentBook({ stateDir, clock, log: silentLogger }) };
}

const facts = (subject: string) =>
  ({ subject, scope: 'process', severity: 'error', cause: { code: 'X', message: 'it broke' } }) as const;

test('an incident tells in order what was done, by this daemon and the next', async () => {
  const { stateDir, clock, incidents } = book();
  incidents.open({ ...facts('a'), evidence: ['signal 9'], lastWords: ['help'] });
  await clock.advance(2_000);
  incidents.note('a', 'restarted at once');
  incidents.note('nobody', 'nothing');
  await incidents.settled();
  const next = new IncidentBook({ stateDir, clock, log: silentLogger });
  await next.load();
  await clock.advance(1_000);
  next.note('a', 'ready again');
  await next.settled();
  expect(await readIncidents(stateDir)).toMatchObject([
    {
      subject: 'a',
      at: '2026-01-01T00:00:00.000Z',
      evidence: [{ at: '2026-01-01T00:00:00.000Z', text: 'signal 9' }],
      lastWords: ['help'],
      actions: [
        { at: '2026-01-01T00:00:02.000Z', what: 'restarted at once' },
        { at: '2026-01-01T00:00:03.000Z', what: 'ready again' },
      ],
    },
  ]);
});

test('what was done about one is not told under another of the same subject, nor after a restart of ours', async () => {
  const { stateDir, clock, incidents } = book();
  for (const code of ['disk-space', 'host-memory'])
    incidents.open({ ...facts('machine'), cause: { code, message: 'too little' } });
  incidents.note('machine', 'over: disk-space', 'disk-space');
  incidents.note('machine', 'a note on the last one');
  await incidents.settled();
  const next = new IncidentBook({ stateDir, clock, log: silentLogger });
  await next.load();
  next.note('machine', 'again', 'disk-space');
  await next.settled();
  expect(await readIncidents(stateDir)).toMatchObject([
    { cause: { code: 'disk-space' }, actions: [{ what: 'over: disk-space' }, { what: 'again' }] },
    { cause: { code: 'host-memory' }, actions: [{ what: 'a note on the last one' }] },
  ]);
});

test('what could not be written is written once that is possible, five hundred at most', async () => {
  const { stateDir, incidents } = book();
  const inTheWay = join(stateDir, 'incidents');
  writeFileSync(inTheWay, '');
  for (let count = 0; count < 510; count++) incidents.open(facts(`a${count}`));
  await incidents.settled();
  rmSync(inTheWay);
  incidents.flush();
  await incidents.settled();
  const kept = await readIncidents(stateDir);
  expect(kept).toHaveLength(500);
  expect([kept[0]?.subject, kept.at(-1)?.subject]).toEqual(['a10', 'a509']);
});

test('the oldest go when there are more than five hundred', async () => {
  const { stateDir, incidents } = book();
  incidents.open(facts('newest'));
  await incidents.settled();
  const folder = join(stateDir, 'incidents');
  const [name = ''] = readdirSync(folder);
  const text = readFileSync(join(folder, name), 'utf8');
  for (let count = 0; count < 510; count++)
    writeFileSync(join(folder, `2025-${String(count).padStart(3, '0')}.json`), text);
  incidents.note('newest', 'a note');
  await incidents.settled();
  const kept = readdirSync(folder).toSorted();
  expect(kept).toHaveLength(500);
  expect([kept[0], kept.at(-1)]).toEqual(['2025-011.json', name]);
});

test('one that cannot be read hides none of the others, and text without end is cut', async () => {
  const { stateDir, incidents } = book();
  mkdirSync(join(stateDir, 'incidents'), { recursive: true });
  writeFileSync(join(stateDir, 'incidents', 'broken.json'), '{');
  incidents.open({ ...facts('../a b'), lastWords: ['x'.repeat(100_000)] });
  await incidents.settled();
  const [incident] = await readIncidents(stateDir);
  expect(incident?.subject).toBe('../a b');
  expect(incident?.lastWords[0]?.length).toBe(1_001);
  expect(readdirSync(join(stateDir, 'incidents'))).toHaveLength(2);
});
