// mgpu beside PM2, supervisord, runit and s6, each at its best settings, in one run: bring-up, restart, memory, log
// capture and status. What programs do they say themselves; no supervisor is asked for a time.
// Usage: npm run bench:supervise [-- --rounds 5 --services 8,100 --lines 2000000]
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Fleet, kill, now, until } from './fleet.ts';
import { proportionalMemory } from './processes.ts';
import { Readings } from './readings.ts';
import { supervisors } from './supervisors/index.ts';
import { hasWatchdog } from './supervisors/mgpu.ts';
import type { Supervisor } from './supervisors/supervisor.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    services: { type: 'string', default: '8,100' },
    lines: { type: 'string', default: '2000000' },
  },
});
const rounds = Number(values.rounds);
const sizes = values.services.split(',').map(Number);
const lines = Number(values.lines);
const settleMs = 3_000;
const statusCalls = 3;
const kills = 3;
const captureLimitMs = 120_000;

const all = await supervisors();
const contenders = all.filter((each) => 'deploy' in each);
const readings = new Readings(
  contenders.find(({ name }) => name.startsWith('PM2'))?.name ?? '',
  all.filter((each) => 'why' in each),
);
const problems: string[] = [];

async function services({ name, deploy }: Supervisor, count: number): Promise<void> {
  using fleet = await Fleet.ofServices(count);
  const deployment = await deploy(fleet);
  const began = now();
  await deployment.start();
  const stamps = await fleet.up();
  const of = `of ${count} services, ms`;
  readings.add(`bring-up ${of}: the last one begins`, name, Math.max(...stamps.map((each) => each.beganMs)) - began);
  readings.add(
    `bring-up ${of}: the last one answers`,
    name,
    Math.max(...stamps.map((each) => each.answeringMs)) - began,
  );
  await sleep(settleMs);
  const memory = fleet.supervisors().map(proportionalMemory);
  readings.add(
    `memory of the supervisor with ${count} services, MB (PSS)`,
    name,
    memory.reduce((sum, each) => sum + each),
  );
  for (let n = 0; n < statusCalls; n++) {
    const asked = now();
    await deployment.status();
    readings.add(`status ${of}`, name, now() - asked);
  }
  if (count === sizes[0] && (name !== 'mgpu' || hasWatchdog)) {
    for (const { name: service, pid } of stamps.slice(0, kills)) {
      const killed = now();
      kill(pid, 'SIGKILL');
      const next = await fleet.nextStart(service, killed);
      if (!next) throw new Error(`${service} did not come back after a SIGKILL`);
      readings.add('SIGKILL until it answers again, ms', name, next.answeringMs - killed);
    }
  }
  await deployment.stop();
}

async function flood({ name, deploy }: Supervisor): Promise<void> {
  using fleet = Fleet.ofFlood(lines);
  const deployment = await deploy(fleet, { logs: true });
  await deployment.start();
  const [stamp] = await fleet.up();
  const total = lines * 100;
  if (!(await until(async () => (await deployment.captured()) >= total, captureLimitMs)))
    throw new Error(`${await deployment.captured()} of ${total} bytes captured after ${captureLimitMs} ms`);
  readings.add(`${total / 1e6} MB of lines until all can be read, ms`, name, now() - (stamp?.beganMs ?? 0));
  await deployment.stop();
}

for (let round = 0; round < rounds; round++) {
  // Nobody always comes first, or always after the same one.
  const rotated = [...contenders.slice(round % contenders.length), ...contenders.slice(0, round % contenders.length)];
  const works = [...sizes.map((count) => (each: Supervisor) => services(each, count)), flood];
  for (const work of works) {
    for (const supervisor of round % 2 === 0 ? rotated : rotated.toReversed()) {
      process.stderr.write(`round ${round + 1}: ${work === flood ? 'flood' : 'services'} under ${supervisor.name}\n`);
      await work(supervisor).catch((error: unknown) => problems.push(`${supervisor.name}: ${String(error)}`));
    }
  }
}

console.log(`${rounds} rounds; median (min to max) and ratio of medians to PM2's`);
readings.print();
if (!hasWatchdog) console.log('\nmgpu has no watchdog in this build: it restarts nothing');
for (const problem of problems) console.log(`failed: ${problem}`);
process.exitCode = problems.length === 0 ? 0 : 1;
