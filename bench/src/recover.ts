// From SIGKILL to ready again, and from SIGSTOP to noticed: mgpu beside PM2 and supervisord in one run, each kill of the
// one followed by a kill of the next and by a start of the same program without any supervisor.
// Usage: npm run bench:recover [-- --kills 20 --hung-wait 15]
import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Fleet, kill, now, type Stamp } from './fleet.ts';
import { Readings } from './readings.ts';
import { summarize } from './statistics.ts';
import { hasWatchdog, mgpu } from './supervisors/mgpu.ts';
import { pm2 } from './supervisors/pm2.ts';
import type { Deployment, Supervisor } from './supervisors/supervisor.ts';
import { supervisord } from './supervisors/supervisord.ts';

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '20' },
    'hung-wait': { type: 'string', default: '15' },
  },
});
const kills = Number(values.kills);
const hungWaitMs = Number(values['hung-wait']) * 1_000;
const settleMs = 5_000;
const liveness = { intervalMs: 1_000, timeoutMs: 1_000, failures: 2 };
const budgetMs = liveness.failures * liveness.intervalMs + liveness.timeoutMs;

interface Contender {
  readonly name: string;
  readonly fleet: Fleet;
  readonly deployment: Deployment;
  readonly stamps: readonly Stamp[];
}

/** Each kill is of another service: nobody is to slow down for one that keeps failing. One more is for the hang. */
async function bringUp({ name, deploy }: Supervisor, stack: AsyncDisposableStack): Promise<Contender> {
  const fleet = stack.use(await Fleet.ofServices(kills + 1));
  const deployment = await deploy(fleet);
  stack.defer(() => deployment.stop());
  await deployment.start();
  return { name, fleet, deployment, stamps: await fleet.up() };
}

/** Milliseconds from a bare start to the answer. */
async function bareStart(fleet: Fleet): Promise<number> {
  const [program] = fleet.programs;
  if (!program) throw new Error('there is no program');
  const [file = '', ...args] = program.command;
  const began = now();
  const child = spawn(file, args, { env: { ...process.env, ...fleet.env }, stdio: 'ignore' });
  const stamp = await fleet.nextStart(program.name, began);
  child.kill('SIGKILL');
  if (!stamp) throw new Error('the program did not start by itself');
  return stamp.answeringMs - began;
}

/** The start that follows a signal to the nth service, in milliseconds after it; undefined when none does. */
async function recovery({ fleet, stamps }: Contender, nth: number, signal: NodeJS.Signals, patienceMs?: number) {
  const { name = '', pid = 0 } = stamps[nth] ?? {};
  const sent = now();
  kill(pid, signal);
  const next = await fleet.nextStart(name, sent, patienceMs);
  return next && next.answeringMs - sent;
}

const all = [mgpu({ liveness }), await pm2(), await supervisord()];
const present = all.filter((each) => 'deploy' in each);
const missing = all.filter((each) => 'why' in each);
const base = present.find(({ name }) => name.startsWith('PM2'))?.name ?? '';
const readings = new Readings(base, missing);
const bare: number[] = [];
const hung: { readonly name: string; readonly ms: number | undefined }[] = [];

{
  await using stack = new AsyncDisposableStack();
  const alone = stack.use(await Fleet.ofServices(1));
  const contenders: Contender[] = [];
  for (const each of present) contenders.push(await bringUp(each, stack));
  await sleep(settleMs);
  const restarting = contenders.filter(({ name }) => name !== 'mgpu' || hasWatchdog);
  const answers = new Map<string, number[]>(restarting.map(({ name }) => [name, []]));
  for (let n = 0; n < kills; n++) {
    process.stderr.write(`kill ${n + 1} of ${kills}\n`);
    bare.push(await bareStart(alone));
    for (const contender of restarting) {
      const ms = await recovery(contender, n, 'SIGKILL');
      if (ms === undefined) throw new Error(`${contender.name} did not restart what was killed`);
      answers.get(contender.name)?.push(ms);
    }
  }
  const own = summarize(bare).median;
  for (const [name, each] of answers) {
    readings.add('SIGKILL until it answers again, ms', name, ...each);
    readings.add("the same without the program's own start, ms", name, ...each.map((ms) => ms - own));
  }
  process.stderr.write(`one of each is stopped with SIGSTOP; waiting at most ${hungWaitMs / 1_000} s\n`);
  const noticed = contenders.map(async (contender) => ({
    name: contender.name,
    ms: await recovery(contender, kills, 'SIGSTOP', hungWaitMs),
  }));
  hung.push(...(await Promise.all(noticed)));
  // What was never noticed must be able to obey when it is told to end.
  for (const { stamps } of contenders) kill(stamps[kills]?.pid ?? 0, 'SIGCONT');
}

console.log(`${kills} kills each, each of another service; median (min to max) and ratio of medians to PM2's`);
const readingsOfBare = summarize(bare);
console.log(
  `\nthe program's own start, ms\n  ${'alone'.padEnd(12)} ${readingsOfBare.median.toFixed(1)} (${readingsOfBare.min.toFixed(1)} to ${readingsOfBare.max.toFixed(1)})`,
);
readings.print();
console.log(`\nSIGSTOP until it answers again, ms (liveness budget of mgpu: ${budgetMs} ms and a start)`);
for (const { name, ms } of hung)
  console.log(
    `  ${name.padEnd(12)} ${ms === undefined ? `not noticed within ${hungWaitMs / 1_000} s` : ms.toFixed(0)}`,
  );
if (!hasWatchdog) console.log('\nmgpu has no watchdog in this build: it restarts nothing');
