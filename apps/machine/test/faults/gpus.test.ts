import { spawn } from 'node:child_process';
import { appendFileSync } from 'node:fs';
import { chmod, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type GpuSimulationInput, nvidiaSmiProgram } from '@mgpu/simulator';
import { expect } from 'vitest';
import { type Patient, patienceMs, type Scenario, tryFaults } from './harness.ts';
import { environmentOf, look, processesAround, seesHostPids } from './processes.ts';

const file = (patient: Patient, name: string) => join(patient.box.dir, name);

/** From now on nvidia-smi has this fault. */
const setFaults = (patient: Patient, faults: GpuSimulationInput['faults']) =>
  writeFile(file(patient, 'gpus.json'), JSON.stringify({ count: 2, faults }));

async function kernelSays(patient: Patient, gpu: number, text: string, times = 1) {
  const { gpus } = await patient.status();
  const bus = gpus[gpu]?.pciBusId?.replace(/^0000(?=\w{4}:)/, '').replace(/\.\d$/, '');
  appendFileSync(
    file(patient, 'kernel.log'),
    `[${process.uptime().toFixed(6)}] NVRM: Xid (PCI:${bus}): ${text}\n`.repeat(times),
  );
}

/** Files of the incidents about a subject. */
async function incidentsAbout(patient: Patient, subject: string): Promise<string[]> {
  const folder = join(patient.root, 'state', 'incidents');
  // Others are drafts.
  const names = (await readdir(folder).catch(() => [])).filter((name) => name.endsWith('.json'));
  const texts = await Promise.all(names.map((name) => readFile(join(folder, name), 'utf8')));
  return texts.filter((text) => JSON.parse(text).subject === subject);
}

const uuidOf = async (patient: Patient, gpu: number) => (await patient.status()).gpus[gpu]?.uuid ?? '';

/** Helpers of nvidia-smi that live. */
const helpers = (patient: Patient) =>
  processesAround(patient.box.dir).filter(({ command }) => command.includes('nvidia-smi'));

let before: Record<string, number | undefined> = {};
let strangerPid = 0;
let uuid = '';

/** Somebody else's process has memory of the first GPU. */
async function strangerTakes(patient: Patient, memoryMiB: number) {
  const stranger = spawn('sleep', ['100000'], { detached: true, stdio: 'ignore' });
  patient.defer(() => stranger.kill('SIGKILL'));
  strangerPid = stranger.pid ?? 0;
  const processes = [{ gpu: 0, pid: strangerPid, name: 'sleep', memoryMiB }];
  await writeFile(file(patient, 'gpus.json'), JSON.stringify({ count: 2, processes }));
}

const untouched = async (patient: Patient, ...ids: string[]) => {
  const now = await patient.pids();
  for (const id of ids) expect(now[id], id).toBe(before[id]);
};

/** Two GPUs as nvidia-smi tells them, an engine on each, and a kernel log of the scenario's own. */
const onGpus = (
  name: string,
  inject: (patient: Patient) => Promise<unknown>,
  mustHold: Scenario['mustHold'],
  extra: Partial<Scenario> = {},
): Scenario => ({
  name,
  machine: { gpu: { mode: 'nvidia', count: 2 } },
  services: (port, box) => ({
    engine: { enabled: true, port },
    alpha: { enabled: true, port: port + 2 },
    watchdog: { gpu: { queryMs: 500, kernelLog: join(box, 'kernel.log') }, sweepMs: 500 },
  }),
  env: (box) => ({ PATH: `${join(box, 'bin')}:${process.env.PATH}`, MGPU_SIM_GPUS: `@${join(box, 'gpus.json')}` }),
  async before(patient) {
    await mkdir(file(patient, 'bin'));
    const program = file(patient, 'bin/nvidia-smi');
    await writeFile(
      program,
      `#!/bin/sh\necho >>${file(patient, 'calls')}\nexec ${process.execPath} ${nvidiaSmiProgram()} "$@"\n`,
    );
    await chmod(program, 0o755);
    await writeFile(file(patient, 'kernel.log'), '');
    await setFaults(patient, {});
  },
  async inject(patient) {
    before = await patient.pids();
    await inject(patient);
  },
  mustHold,
  ...extra,
});

const quarantined = async (patient: Patient) => {
  const { reason } = await patient.until('engine_gpu1', { state: 'blocked' });
  expect(reason).toMatchObject({ code: 'WATCHDOG_GPU_QUARANTINED' });
  expect(await readdir(join(patient.root, 'state', 'quarantine'))).toEqual([`${await uuidOf(patient, 1)}.json`]);
};

const othersGoOn = async (patient: Patient) => {
  await untouched(patient, 'engine_gpu0', 'alpha');
  await patient.untilReady('engine_gpu0', 'alpha');
};

/** How often nvidia-smi was called. */
const callsOf = async (patient: Patient) =>
  (await readFile(file(patient, 'calls'), 'utf8').catch(() => '')).split('\n').length - 1;

/** Whatever nvidia-smi says, engines that work go on. `verdict` is what is to be told of it; default: nothing is. */
const unbelievable = (
  name: string,
  faults: GpuSimulationInput['faults'],
  verdict?: RegExp,
  extra: Partial<Scenario> = {},
): Scenario =>
  onGpus(
    `F13 nvidia-smi: ${name}`,
    (patient) => setFaults(patient, faults),
    {
      'one helper at most': async (patient) => {
        const calls = await callsOf(patient);
        // Those that are asked after this one have ended, one way or another.
        const most = faults?.hang ? 1 : 4;
        await expect
          .poll(
            async () => {
              expect(helpers(patient).length).toBeLessThan(3); // the shell that becomes node counts for a moment
              return callsOf(patient);
            },
            { timeout: 90_000, interval: 50 },
          )
          .toBeGreaterThan(calls + most);
      },
      'the right verdict': async (patient) => {
        const told = async () => (await incidentsAbout(patient, 'machine')).join('\n');
        if (verdict) await expect.poll(told, { timeout: 60_000 }).toMatch(verdict);
        else expect(await told()).not.toMatch(/nvidia|driver|GPU/);
        for (const gpu of [0, 1]) expect(await incidentsAbout(patient, await uuidOf(patient, gpu))).toEqual([]);
      },
      "GPUs' services untouched": (patient) => untouched(patient, 'engine_gpu0', 'engine_gpu1', 'alpha'),
    },
    extra,
  );

/** Whatever the kernel had said before that has been heard, too. */
const untilUnknownXid = async (patient: Patient) =>
  expect
    .poll(async () => (await incidentsAbout(patient, await uuidOf(patient, 1))).join(), { timeout: 60_000 })
    .toContain('Xid 9999');

/** A GPU had fallen off the bus, and the host was booted since. */
const afterReboot = (state: string, gpus: GpuSimulationInput, mustHold: Scenario['mustHold']): Scenario =>
  onGpus(
    `F14 the host is rebooted: a GPU that had fallen off the bus ${state}`,
    async (patient) => {
      await kernelSays(patient, 1, "79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus.");
      await quarantined(patient);
      uuid = await uuidOf(patient, 1);
      await patient.down();
      const flag = join(patient.root, 'state', 'quarantine', `${uuid}.json`);
      const bootId = '00000000-0000-4000-8000-000000000000';
      await writeFile(flag, JSON.stringify({ ...JSON.parse(await readFile(flag, 'utf8')), bootId }));
      await writeFile(file(patient, 'gpus.json'), JSON.stringify({ count: 2, ...gpus }));
      await patient.comesUp({ partly: true });
    },
    mustHold,
  );

tryFaults('GPUs', [
  onGpus(
    'F14 Xid 79: a GPU has fallen off the bus',
    (patient) => kernelSays(patient, 1, "79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus."),
    {
      'the GPU is put out of service': quarantined,
      'quarantine of one GPU never stops services on another': othersGoOn,
      'one event per fault': async (patient) =>
        expect(await incidentsAbout(patient, await uuidOf(patient, 1))).toHaveLength(1),
      'it outlives the daemon': async (patient) => {
        await patient.killDaemon();
        await patient.up();
        await quarantined(patient);
        await othersGoOn(patient);
      },
      'whoever removes its file gives it back': async (patient) => {
        await rm(join(patient.root, 'state', 'quarantine', `${await uuidOf(patient, 1)}.json`));
        await patient.untilReady('engine_gpu1');
      },
    },
    { short: true },
  ),
  onGpus(
    'F14 Xid 31 of a process: that instance alone is restarted',
    async (patient) => kernelSays(patient, 1, `31, pid=${await patient.pidOf('engine_gpu1')}, name=node, Ch 00000008`),
    {
      'its engine is restarted': (patient) =>
        patient.until('engine_gpu1', { state: 'running', health: 'ready', attempt: 1 }),
      'others go on': othersGoOn,
    },
  ),
  onGpus('F14 an unknown Xid', (patient) => kernelSays(patient, 1, '9999, something new'), {
    'it is told': untilUnknownXid,
    'nothing is stopped': (patient) => untouched(patient, 'engine_gpu0', 'engine_gpu1', 'alpha'),
  }),
  onGpus(
    'F14 our own kill has consequences for the driver, too',
    async (patient) => {
      const pid = await patient.pidOf('engine_gpu1');
      await kernelSays(patient, 1, `31, pid=${pid}, name=node, Ch 00000008`);
      const isEnded = () => patient.told('engine_gpu1').some(({ state }) => state === 'cleaning');
      await expect.poll(isEnded, { timeout: patienceMs, interval: 10 }).toBe(true);
      for (const xid of [43, 45]) await kernelSays(patient, 1, `${xid}, pid=${pid}, name=node, Ch 00000008`);
      await kernelSays(patient, 1, '9999, something new');
      await untilUnknownXid(patient);
    },
    {
      'those are not counted': async (patient) => {
        await patient.until('engine_gpu1', { state: 'running', health: 'ready', attempt: 1 });
        expect(await patient.startsOf('engine_gpu1')).toBe(2);
        const told = (await incidentsAbout(patient, await uuidOf(patient, 1))).filter((each) => /Xid 4[35]/.test(each));
        expect(told.map((each) => JSON.parse(each).severity)).toEqual(['info', 'info']);
      },
      'one event per fault': async (patient) => expect(await incidentsAbout(patient, 'engine_gpu1')).toHaveLength(1),
      'others go on': othersGoOn,
    },
  ),
  ...(['before', 'after'] as const).map((when) =>
    onGpus(
      `F14 the source of the kernel's log dies, the log is rotated ${when} that is seen`,
      async (patient) => {
        await kernelSays(patient, 1, `31, pid=${await patient.pidOf('engine_gpu1')}, name=node, Ch 00000008`);
        await patient.until('engine_gpu1', { state: 'running', health: 'ready', attempt: 1 });
        const rotate = async () => {
          await rename(file(patient, 'kernel.log'), file(patient, 'kernel.log.1'));
          await writeFile(file(patient, 'kernel.log'), '');
        };
        if (when === 'before') await rotate();
        for (const { pid, command } of processesAround(patient.box.dir))
          if (command.startsWith('tail ')) process.kill(pid, 'SIGKILL');
        await expect
          .poll(() => patient.daemonLog(), { timeout: patienceMs, interval: 10 })
          .toContain('it is started again');
        if (when === 'after') await rotate();
        await kernelSays(patient, 1, '9999, something new');
      },
      {
        'what is said meanwhile is heard': untilUnknownXid,
        'nothing is told twice': async (patient) => {
          expect(await incidentsAbout(patient, 'engine_gpu1')).toHaveLength(1);
          expect(await incidentsAbout(patient, await uuidOf(patient, 1))).toHaveLength(1);
          expect(await patient.startsOf('engine_gpu1')).toBe(2);
        },
        'others go on': othersGoOn,
      },
    ),
  ),
  afterReboot(
    'is well again',
    {},
    {
      'it is given back': async (patient) => {
        await patient.untilReady('engine_gpu0', 'engine_gpu1', 'alpha');
        await expect.poll(() => readdir(join(patient.root, 'state', 'quarantine'))).toEqual([]);
      },
      'what was said in the former boot is not told again': async (patient) => {
        await kernelSays(patient, 1, '9999, something new');
        await untilUnknownXid(patient);
        const told = (await incidentsAbout(patient, uuid)).filter((each) => each.includes('Xid 79'));
        expect(told).toHaveLength(1);
      },
    },
  ),
  afterReboot(
    'still does not answer',
    { gpus: [{}, { unreadable: 'GPU requires reset' }] },
    {
      'it stays out of service': async (patient) => {
        await patient.untilReady('engine_gpu0', 'alpha');
        expect(await readdir(join(patient.root, 'state', 'quarantine'))).toEqual([`${uuid}.json`]);
        expect(await patient.pids()).not.toHaveProperty('engine_gpu1');
      },
    },
  ),
  onGpus(
    'F14 a storm of 10,000 lines',
    (patient) => kernelSays(patient, 1, "79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus.", 10_000),
    {
      'the GPU is put out of service': quarantined,
      'others go on': othersGoOn,
      'one event per fault': async (patient) =>
        expect((await incidentsAbout(patient, await uuidOf(patient, 1))).length).toBeLessThan(3),
    },
  ),
  onGpus(
    'a GPU vanishes',
    (patient) => setFaults(patient, { onlyFirst: 1 }),
    { 'the GPU is put out of service': quarantined, 'others go on': othersGoOn },
    { short: true },
  ),
  onGpus('F13 nvidia-smi: "GPU is lost"', (patient) => setFaults(patient, { gpuLost: 1 }), {
    'the right verdict': quarantined,
    "other GPUs' services untouched": othersGoOn,
  }),
  unbelievable('hang, and SIGTERM ignored', { hang: true, ignoreTerm: true }, /nvidia-smi has not answered for/, {
    timeoutMs: 90_000,
  }),
  unbelievable('garbage', { garbage: true }),
  unbelievable('half a line', { halfLine: true }),
  unbelievable(
    'NVML unknown error, exit 255',
    { nvmlUnknownError: true },
    /this container lost its access to the GPUs/,
  ),
  // An answer counts for 5 s, and the program has to start in these, too.
  unbelievable('4 s slow', { slowMs: 4_000 }),
  unbelievable('no driver, exit 9', { noDevices: 'driver' }, /there is no NVIDIA driver to talk to/),
  onGpus(
    'the kernel kills an instance for want of memory',
    async (patient) => {
      const pid = await patient.pidOf('alpha');
      appendFileSync(file(patient, 'kernel.log'), `[1.5] Out of memory: Killed process ${pid} (node) total-vm:1kB\n`);
      await kernelSays(patient, 1, '9999, something new');
      await untilUnknownXid(patient);
      await patient.kill('alpha');
    },
    {
      'it is ready again': (patient) => patient.until('alpha', { state: 'running', health: 'ready', attempt: 1 }),
      'its incident names the cause': async (patient) =>
        expect
          .poll(async () => (await incidentsAbout(patient, 'alpha')).join(), { timeout: 30_000 })
          .toMatch(
            seesHostPids ? /was killed by the kernel: the machine ran out of memory/ : /was killed, and not by us/,
          ),
      'others go on': (patient) => untouched(patient, 'engine_gpu0', 'engine_gpu1'),
    },
  ),
  onGpus(
    'F16 a process of somebody else holds memory of a GPU',
    (patient) => strangerTakes(patient, 20_000),
    {
      'it is told with its holder': async (patient) =>
        expect
          .poll(async () => (await incidentsAbout(patient, await uuidOf(patient, 0))).join(), { timeout: 90_000 })
          .toContain(`pid ${strangerPid}, sleep 100000 of `),
      'foreign pid not killed': () => expect(look(strangerPid)).toBeDefined(),
      'others go on': othersGoOn,
    },
    { timeoutMs: 90_000, skip: !seesHostPids && 'the pids of the driver are others than ours here' },
  ),
  onGpus(
    'F16 VRAM not released after a kill: a process of somebody else has taken it',
    async (patient) => {
      // What was there when the engine's run began is known once two looks have begun since: four calls each at most.
      const calls = await callsOf(patient);
      await expect.poll(() => callsOf(patient), { timeout: 60_000 }).toBeGreaterThan(calls + 12);
      await strangerTakes(patient, 20_000);
      await patient.kill('engine_gpu0');
    },
    {
      'blocked(vram-held) with pid': async (patient) => {
        const { reason } = await patient.until('engine_gpu0', {
          state: 'blocked',
          reason: { code: 'WATCHDOG_VRAM_HELD' },
        });
        expect(reason?.message).toContain(`pid ${strangerPid}, sleep 100000 of `);
      },
      'mgpu up says why it is not started': async (patient) => {
        const { stdout } = await patient.up();
        // A terminal's lines are broken anywhere.
        expect(stdout.replaceAll(/\s+/g, ' ')).toContain(`is held by pid ${strangerPid}, sleep 100000 of `);
      },
      'foreign pid not killed': () => expect(look(strangerPid)).toBeDefined(),
      "other GPUs' services untouched": (patient) => untouched(patient, 'engine_gpu1', 'alpha'),
      'it is told': async (patient) => {
        const { stdout } = await patient.box.mgpu(['why', 'engine_gpu0']);
        expect(stdout.replaceAll(/\s+/g, ' ')).toContain(`is held by pid ${strangerPid}, sleep 100000 of `);
      },
      'it runs again when the memory is free': async (patient) => {
        await setFaults(patient, {});
        await patient.untilReady('engine_gpu0');
        await untouched(patient, 'engine_gpu1', 'alpha');
      },
    },
    { skip: !seesHostPids && 'the pids of the driver are others than ours here' },
  ),
  onGpus('each engine sees its GPU alone', async () => {}, {
    'a GPU has one holder': async (patient) => {
      const seen = await Promise.all(
        [0, 1].map(async (gpu) => environmentOf(await patient.pidOf(`engine_gpu${gpu}`), 'CUDA_VISIBLE_DEVICES')),
      );
      expect(seen).toEqual([await uuidOf(patient, 0), await uuidOf(patient, 1)]);
    },
  }),
]);
