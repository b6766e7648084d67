// What it costs to watch 64 idle instances, and whether a long churn of restarts leaves anything behind in the daemon.
// Usage: npm run bench:watchdog [-- --instances 64 --idle 60 --minutes 20]   (idle in seconds)
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { leasePorts } from '@mgpu/core/testing';
import { Fleet, kill, now } from './fleet.ts';
import { heapAfterCollection } from './inspector.ts';
import { openFiles, processorTime, proportionalMemory, residentMemory } from './processes.ts';
import { foreground, hasWatchdog } from './supervisors/mgpu.ts';
import { daemon } from './supervisors/supervisor.ts';

const { values } = parseArgs({
  options: {
    instances: { type: 'string', default: '64' },
    idle: { type: 'string', default: '60' },
    minutes: { type: 'string', default: '20' },
  },
});
const instances = Number(values.instances);
const idleS = Number(values.idle);
const churnMs = Number(values.minutes) * 60_000;
const settleMs = 10_000;
const betweenKillsMs = 200;
/** Of the churn, with a reading after each: what grows without end is told from what fills up. */
const parts = 5;

using fleet = await Fleet.ofServices(instances);
using inspect = await leasePorts(1);
// As one that is detached is started.
const { up } = await foreground(fleet, ['--max-semi-space-size=2', `--inspect-port=127.0.0.1:${inspect.first}`]);
const machine = daemon(up, fleet);
const pid = machine.pid ?? 0;
await fleet.up();
await sleep(settleMs);

const idleBegan = { at: now(), used: processorTime(pid) };
await sleep(idleS * 1_000);
const usedMs = (processorTime(pid) - idleBegan.used) * 1_000;
const share = (usedMs / (now() - idleBegan.at)) * 100;
console.log(`${instances} idle instances for ${idleS} s`);
console.log(`  processor   ${share.toFixed(2)} % of one core   (goal: at most 1)`);
console.log(`  memory      ${proportionalMemory(pid).toFixed(1)} MB PSS   (goal: at most 120)`);

if (hasWatchdog) await churn();
else console.log('\nmgpu has no watchdog in this build: it restarts nothing, so there is no churn');
await machine.stop('SIGTERM');

async function churn(): Promise<void> {
  const table = new Map([['before', await readings()]]);
  let restarts = 0;
  for (let part = 1; part <= parts; part++) {
    const end = now() + churnMs / parts;
    while (now() < end) {
      const { name } = fleet.programs[restarts % instances] ?? { name: '' };
      const latest = fleet.stamps().findLast((stamp) => stamp.name === name);
      const killed = now();
      kill(latest?.pid ?? 0, 'SIGKILL');
      if (!(await fleet.nextStart(name, killed)))
        throw new Error(`${name} did not come back after ${restarts} restarts`);
      restarts++;
      await sleep(betweenKillsMs);
    }
    await sleep(settleMs);
    table.set(`after ${restarts}`, await readings());
  }
  console.log(`\n${restarts} restarts in ${values.minutes} min`);
  for (const [when, { heap, rss, pss, files }] of table)
    console.log(
      `  ${when.padEnd(12)} heap after a collection ${heap.toFixed(1)} MB   RSS ${rss.toFixed(1)} MB   PSS ${pss.toFixed(1)} MB   open files ${files}`,
    );
}

async function readings() {
  return {
    heap: (await heapAfterCollection(pid, inspect.first)) / 1e6,
    rss: residentMemory(pid),
    pss: proportionalMemory(pid),
    files: openFiles(pid),
  };
}
