import { readdir } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { expect } from 'vitest';
import { startRedis } from '../support.ts';
import { type Patient, type Scenario, tryFaults } from './harness.ts';
import { expectLinesWhole } from './invariants.ts';

const slowSteps = () => ({ MGPU_SIM: JSON.stringify({ stepMs: 100 }) });

/** Engines, workers, the queue and the proxy: the whole machine, and a subject beside it. */
const whole = (port: number) => ({
  comfyui: { enabled: true },
  worker: { enabled: true, retryDelayMs: 100 },
  redis: { enabled: true },
  nginx: { enabled: true },
  alpha: { enabled: true, port: port + 40 },
});
const everyone = ['alpha', 'comfyui_gpu0', 'comfyui_gpu1', 'nginx', 'redis', 'worker_gpu0', 'worker_gpu1'];

const oneGpu = { gpu: { mode: 'mock', count: 1 } };

/** A job that takes seconds, in the hands of the engine. */
async function runJob(patient: Patient, steps = 60, seed = 1): Promise<string> {
  const id = await patient.submit(steps, seed);
  for await (const { event } of patient.client.watch(id)) if (event === 'progress') break;
  return id;
}

/** A job is under way when something happens to somebody; it ends well and gives one picture. */
const midJob = (
  name: string,
  strike: (patient: Patient) => Promise<unknown>,
  extra: Partial<Scenario> = {},
): Scenario => {
  let job = '';
  return {
    name,
    machine: oneGpu,
    env: slowSteps,
    services: whole,
    async inject(patient) {
      job = await runJob(patient);
      await strike(patient);
    },
    mustHold: {
      'the job is done, once': async (patient) => {
        await patient.untilJob(job, 'completed');
        expect(patient.pictures()).toBe(1);
      },
      'everything is ready again': (patient) => patient.untilReady('comfyui_gpu0', 'worker_gpu0', 'redis', 'nginx'),
    },
    ...extra,
  };
};

const jobs: string[] = [];
let before: Record<string, number | undefined> = {};
/** A kilobyte each: several rotations, and less than what is kept of a log. */
const floodLines = 230_000;

tryFaults('work in hand', [
  {
    name: 'SIGKILL of the daemon while jobs run on two GPUs and an instance floods its log through several rotations',
    short: true,
    env: slowSteps,
    services: whole,
    async inject(patient) {
      jobs.splice(0, jobs.length, await runJob(patient, 80, 1), await runJob(patient, 80, 2));
      before = await patient.pids();
      await patient.tell('alpha', { flood: floodLines });
      await patient.killDaemon();
      await setTimeout(1_000);
    },
    mustHold: {
      'mgpu up adopts everything, mgpu status shows the same pids': async (patient) => {
        await patient.comesUp();
        await patient.untilReady(...everyone);
        expect(await patient.pids()).toMatchObject(Object.fromEntries(everyone.map((id) => [id, before[id]])));
        expect((await patient.instance('comfyui_gpu1')).adopted).toBe(true);
      },
      'the jobs finish': async (patient) => {
        for (const job of jobs) await patient.untilJob(job, 'completed');
        expect(patient.pictures()).toBe(2);
      },
      'once more, while it is flooding': async (patient) => {
        await patient.killDaemon();
        await patient.comesUp();
        expect(await patient.pids()).toMatchObject(Object.fromEntries(everyone.map((id) => [id, before[id]])));
      },
      'the reader returns every line once': async (patient) => {
        await expect
          .poll(async () => (await patient.ask('alpha')).lines, { timeout: 120_000, interval: 500 })
          .toBeGreaterThan(floodLines);
        const { author, lines } = await patient.ask('alpha');
        const read = await expectLinesWhole(patient.root, 'alpha');
        expect([...read.keys()]).toEqual([author]);
        expect(read.get(author)).toBeGreaterThanOrEqual(lines);
        const archives = (await readdir(join(patient.root, 'alpha', 'logs'))).filter((name) => name.endsWith('.gz'));
        expect(archives.length, 'rotations').toBeGreaterThan(1);
      },
    },
  },
  midJob('worker killed mid-job', (patient) => patient.kill('worker_gpu0')),
  midJob('ComfyUI killed mid-job', (patient) => patient.kill('comfyui_gpu0'), { short: true }),
  midJob('ComfyUI hangs mid-job', (patient) => patient.kill('comfyui_gpu0', 'SIGSTOP'), {
    services: (port) => ({
      ...whole(port),
      watchdog: { policies: { comfyui: { liveness: { intervalMs: 500, timeoutMs: 1_000, failures: 3 } } } },
    }),
  }),
  midJob('Redis killed mid-job', (patient) => patient.kill('redis')),
  midJob('Redis hangs for a while mid-job', async (patient) => {
    const pid = await patient.kill('redis', 'SIGSTOP');
    await setTimeout(3_000);
    process.kill(pid, 'SIGCONT');
  }),
  midJob('nginx killed mid-job', (patient) => patient.kill('nginx')),
  midJob('a worker of nginx killed', async (patient) => {
    const { processesAround } = await import('./processes.ts');
    const master = await patient.pidOf('nginx');
    const [worker] = processesAround(patient.root).filter(({ parent }) => parent === master);
    if (!worker) throw new Error('nginx has no worker');
    process.kill(worker.pid, 'SIGKILL');
  }),
  midJob('nginx killed and its config broken', async (patient) => {
    const { writeFile } = await import('node:fs/promises');
    const { readdirSync } = await import('node:fs');
    const configs = readdirSync(join(patient.root, 'nginx')).filter((each) => each.endsWith('.conf'));
    expect(configs).toContain('nginx.conf');
    for (const name of configs) await writeFile(join(patient.root, 'nginx', name), 'nonsense {');
    await patient.kill('nginx');
  }),
  midJob('daemon, worker and engine killed mid-job', async (patient) => {
    await patient.killDaemon();
    const { recordsOf } = await import('./invariants.ts');
    for (const { instance, pid } of recordsOf(patient.root))
      if (pid !== undefined && instance.endsWith('_gpu0')) process.kill(pid, 'SIGKILL');
    await patient.comesUp();
  }),
]);

let redis: Awaited<ReturnType<typeof startRedis>>;

/** A machine on a Redis of the scenario's own. */
const shared = (
  name: string,
  inject: (patient: Patient) => Promise<unknown>,
  heal: (patient: Patient) => Promise<unknown>,
  extra: Partial<Scenario> = {},
): Scenario => {
  let job = '';
  return {
    name,
    machine: oneGpu,
    env: slowSteps,
    services: (port) => ({
      ...whole(port),
      nginx: { enabled: false },
      redis: { enabled: true, url: `redis://127.0.0.1:${port + 50}`, checkIntervalMs: 200 },
    }),
    async before(patient) {
      redis = await startRedis(patient.box.port + 50, patient.box.dir);
      patient.defer(() => redis.kill());
    },
    async inject(patient) {
      job = await runJob(patient);
      before = await patient.pids();
      await inject(patient);
    },
    mustHold: {
      'neither worker nor engine dies of it': async (patient) => {
        await setTimeout(2_000);
        expect(await patient.pids()).toEqual(before);
      },
      'the job is done, once': async (patient) => {
        await heal(patient);
        await patient.untilJob(job, 'completed');
        expect(patient.pictures()).toBe(1);
        await patient.untilReady('redis', 'worker_gpu0');
      },
      'nobody was restarted': async (patient) => expect(await patient.pids()).toEqual(before),
    },
    ...extra,
  };
};

/** One command in Redis's inline form. */
const tellRedis = (patient: Patient, command: string) =>
  new Promise<void>((resolve, reject) => {
    const socket = connect(patient.box.port + 50, '127.0.0.1', () => socket.write(`${command}\r\n`));
    socket.once('error', reject);
    socket.once('data', (answer) => {
      socket.destroy();
      if (String(answer).startsWith('-')) reject(new Error(`${command}: ${answer}`));
      else resolve();
    });
  });

tryFaults('the queue of others', [
  shared(
    'Redis down, then started again',
    () => redis.kill(),
    async (patient) => {
      redis = await startRedis(patient.box.port + 50, patient.box.dir);
    },
  ),
  shared(
    'Redis restarted at once',
    async (patient) => {
      await redis.kill();
      redis = await startRedis(patient.box.port + 50, patient.box.dir);
    },
    async () => {},
  ),
  shared(
    'Redis read-only for a while',
    (patient) => tellRedis(patient, `REPLICAOF 127.0.0.1 ${patient.box.port + 51}`),
    (patient) => tellRedis(patient, 'REPLICAOF NO ONE'),
  ),
  shared(
    'Redis slow: it does not answer for seconds',
    async () => void process.kill(redis.pid, 'SIGSTOP'),
    async () => void process.kill(redis.pid, 'SIGCONT'),
  ),
]);
