import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type GpuSimulationInput, nvidiaSmiProgram } from '../src/index.ts';
import { Program, temporaryFolder } from './support.ts';

const start = (args: string[], gpus: GpuSimulationInput | string = {}) =>
  new Program(nvidiaSmiProgram(), args, {
    env: { MGPU_SIM_GPUS: typeof gpus === 'string' ? gpus : JSON.stringify(gpus) },
  });

async function run(
  args: string[],
  gpus: GpuSimulationInput | string = {},
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  await using program = start(args, gpus);
  const { code } = await program.exit;
  return { code, stdout: program.stdout, stderr: program.stderr };
}

const query = (fields: string, gpus?: GpuSimulationInput | string) =>
  run([`--query-gpu=${fields}`, '--format=csv,noheader,nounits'], gpus);

describe('nvidia-smi', () => {
  it('answers the asked fields in the asked order', async () => {
    const { code, stdout } = await query(
      'uuid,index,name,memory.total,memory.used,driver_version,pci.bus_id,temperature.gpu,utilization.gpu',
      { count: 2 },
    );
    expect(code).toBe(0);
    const rows = stdout
      .trimEnd()
      .split('\n')
      .map((line) => line.split(', '));
    expect(rows).toHaveLength(2);
    for (const [i, row] of rows.entries()) {
      expect(row[0]).toMatch(/^GPU-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
      expect(row.slice(1)).toEqual([
        String(i),
        'NVIDIA GeForce RTX 4090',
        '24564',
        '1',
        '580.95.05',
        `00000000:0${i + 1}:00.0`,
        String(35 + i),
        '0',
      ]);
    }
    expect(rows[0]?.[0]).not.toBe(rows[1]?.[0]);
  });

  it('says the same every time, and other UUIDs for another seed', async () => {
    const [one, two, other] = [await query('uuid'), await query('uuid'), await query('uuid', { seed: 1 })];
    expect(one.stdout).toBe(two.stdout);
    expect(one.stdout).not.toBe(other.stdout);
  });

  it('adds header and units unless told otherwise', async () => {
    expect((await run(['--query-gpu=index,memory.total', '--format=csv'])).stdout).toBe(
      'index, memory.total [MiB]\n0, 24564 MiB\n',
    );
    expect((await run(['--query-gpu', 'utilization.gpu', '--format', 'csv,noheader'])).stdout).toBe('0 %\n');
  });

  it('refuses an unknown field on stdout with code 2', async () => {
    expect(await query('index,nope')).toEqual({
      code: 2,
      stdout: 'Field "nope" is not a valid field to query.\n\n',
      stderr: '',
    });
  });

  it('refuses an unknown option and a missing format', async () => {
    expect((await run(['--nope'])).code).toBe(2);
    expect((await run(['--query-gpu=index'])).code).toBe(2);
  });

  it('lists the processes on the GPUs', async () => {
    const gpus = { count: 2, processes: [{ gpu: 1, pid: 4711, name: 'python', memoryMiB: 2000 }] };
    const { stdout } = await run(
      ['--query-compute-apps=gpu_uuid,pid,process_name,used_memory', '--format=csv,noheader,nounits'],
      gpus,
    );
    const uuid = (await query('uuid', gpus)).stdout.split('\n')[1];
    expect(stdout).toBe(`${uuid}, 4711, python, 2000\n`);
    expect((await query('memory.used', gpus)).stdout).toBe('1\n2001\n');
    expect((await run(['--query-compute-apps=pid', '--format=csv,noheader'])).stdout).toBe('');
  });

  it('tells how the cards are', async () => {
    const gpus = {
      count: 2,
      gpus: [{ eccUncorrected: 3, remapPending: true, slowdowns: ['hw_thermal_slowdown' as const] }],
    };
    const ecc = 'ecc.errors.uncorrected.volatile.total';
    const remaps = 'remapped_rows.pending,remapped_rows.failure';
    const heat = 'hw_thermal_slowdown';
    expect((await query(`${ecc},${remaps},clocks_event_reasons.${heat}`, gpus)).stdout).toBe(
      '3, Yes, No, Active\n[N/A], [N/A], [N/A], Not Active\n',
    );
    const old = { ...gpus, oldFields: true };
    expect((await query(`${ecc},clocks_throttle_reasons.${heat}`, old)).stdout).toBe('3, Active\n[N/A], Not Active\n');
    expect((await query(remaps, old)).code).toBe(2);
    const table = await run([`--query-remapped-rows=gpu_bus_id,${remaps}`, '--format=csv,noheader'], old);
    expect(table.stdout).toBe('00000000:01:00.0, Yes, No\n00000000:02:00.0, [N/A], [N/A]\n');
  });

  it('has cards that cannot be read', async () => {
    const { code, stdout } = await query('index,uuid,memory.used', { gpus: [{ unreadable: 'GPU requires reset' }] });
    expect([code, stdout]).toEqual([0, '0, [GPU requires reset], [GPU requires reset]\n']);
  });

  it('chooses GPUs by index or UUID', async () => {
    const uuid = (await query('uuid', { count: 3 })).stdout.split('\n')[2] as string;
    for (const id of ['2', uuid])
      expect((await run(['-i', id, '--query-gpu=index', '--format=csv,noheader'], { count: 3 })).stdout).toBe('2\n');
  });

  it('lists GPUs, queryable fields and a summary', async () => {
    expect((await run(['-L'], { gpus: [{ name: 'NVIDIA H100', uuid: 'GPU-1' }] })).stdout).toBe(
      'GPU 0: NVIDIA H100 (UUID: GPU-1)\n',
    );
    expect((await run(['--help-query-gpu'])).stdout).toContain('"memory.used"');
    expect((await run([])).stdout).toContain('Driver Version: 580.95.05');
  });

  it.each([
    [
      { gpuLost: 1 },
      15,
      'Unable to determine the device handle for GPU 0000:02:00.0: GPU is lost.  Reboot the system to recover this GPU\n',
    ],
    [{ nvmlUnknownError: true }, 255, 'Failed to initialize NVML: Unknown Error\n'],
    [{ driverMismatch: true }, 18, expect.stringContaining('Driver/library version mismatch')],
    [{ noDevices: 'none' }, 6, 'No devices were found\n'],
    [{ noDevices: 'driver' }, 9, expect.stringContaining("couldn't communicate with the NVIDIA driver")],
    [{ halfLine: true }, 0, '0, NVID'],
    [{ onlyFirst: 1 }, 0, '0, NVIDIA H100\n'],
  ] as const)('fails with %j', async (faults, code, stdout) => {
    expect(await query('index,name', { count: 2, name: 'NVIDIA H100', faults })).toMatchObject({ code, stdout });
  });

  it('counts the GPUs that are left', async () => {
    expect((await query('count', { count: 3, faults: { onlyFirst: 2 } })).stdout).toBe('2\n2\n');
  });

  it('names a lost GPU by its own bus id, and refuses one that is not there', async () => {
    const gpus = [{ busId: '00000000:41:00.0' }, { busId: '0000:42:00.0' }];
    const lost = async (gpuLost: number) => (await query('index', { count: 2, gpus, faults: { gpuLost } })).stdout;
    expect([await lost(0), await lost(1)]).toEqual([
      expect.stringContaining('for GPU 0000:41:00.0:'),
      expect.stringContaining('for GPU 0000:42:00.0:'),
    ]);
    const { code, stderr } = await query('index', { count: 2, faults: { gpuLost: 2 } });
    expect([code, stderr]).toEqual([2, expect.stringContaining('faults.gpuLost: there is no such GPU')]);
  });

  it('prints garbage', async () => {
    const { code, stdout } = await query('index', { faults: { garbage: true } });
    expect(code).toBe(0);
    expect(stdout).toContain('not a table');
  });

  it('says one UUID for all', async () => {
    for (const gpus of [[], [{ uuid: 'GPU-a' }, { uuid: 'GPU-b' }]]) {
      const { stdout } = await query('uuid', { count: 3, gpus, faults: { duplicateUuid: true } });
      expect(new Set(stdout.trim().split('\n')).size).toBe(1);
    }
  });

  it('answers slowly', async () => {
    const started = performance.now();
    expect((await query('index', { faults: { slowMs: 300 } })).stdout).toBe('0\n');
    expect(performance.now() - started).toBeGreaterThanOrEqual(300);
  });

  it('hangs until it is told to stop, or killed when it does not listen', async () => {
    await using polite = start(['-L'], { faults: { hang: true } });
    await using deaf = start(['-L'], { faults: { hang: true, ignoreTerm: true } });
    await Promise.all([polite.printed('hangs as asked'), deaf.printed('hangs as asked')]);
    polite.child.kill('SIGTERM');
    expect((await polite.exit).signal).toBe('SIGTERM');
    deaf.child.kill('SIGTERM');
    deaf.child.kill('SIGKILL');
    expect((await deaf.exit).signal).toBe('SIGKILL');
    expect(polite.stdout + deaf.stdout).toBe('');
  });

  it('reads its script from a file at every call', async () => {
    using folder = temporaryFolder();
    const file = join(folder.path, 'gpus.json');
    for (const count of [1, 3]) {
      writeFileSync(file, JSON.stringify({ count }));
      expect((await query('count', `@${file}`)).stdout).toBe(`${count}\n`.repeat(count));
    }
  });

  it('refuses keys it does not know', async () => {
    const { code, stderr } = await query('index', '{"faults":{"hnag":true}}');
    expect([code, stderr]).toEqual([2, 'mgpu-sim-nvidia-smi: MGPU_SIM_GPUS: unknown key faults.hnag\n']);
  });
});
