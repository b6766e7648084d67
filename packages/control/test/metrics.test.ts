import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parser } from '@prometheus-io/lezer-promql';
import { describe, expect, test } from 'vitest';
import type { MachineMeasures } from '../src/contract.ts';
import { metricsText } from '../src/metrics-text.ts';
import { one, report } from './support.ts';

const uuid = 'GPU-5f3c0000-aaaa';
const withinBounds = [0, 0, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2];

/** A machine about which everything is known. */
const measures: MachineMeasures = {
  status: {
    machineId: 'box "one"',
    root: '/nowhere',
    state: 'running',
    daemon: { pid: 1, run: 'r', version: '1.2.3', startedAt: new Date(0).toISOString() },
    gpus: [
      {
        index: 0,
        mode: 'nvidia',
        uuid,
        name: 'NVIDIA L40S',
        memoryMiB: 46_068,
        driver: '580.95.05',
        gauges: {
          at: new Date(0).toISOString(),
          utilizationPercent: 83,
          memoryUsedMiB: 1_024,
          memoryTotalMiB: 46_068,
          temperatureC: 71,
          powerW: 312.5,
          powerLimitW: 350,
          eccUncorrected: 0,
          slowdowns: ['heat'],
        },
      },
      { index: 1, mode: 'nvidia', uuid: 'GPU-bbbb', name: 'NVIDIA L40S', memoryMiB: 46_068 },
    ],
    boot: {
      ...report,
      phases: [{ name: 'ComfyUI', critical: true, outcome: 'ok', startedMs: 0, ms: 1_500, nodes: [] }],
    },
    instances: [
      { ...one, id: 'comfyui_gpu0', kind: 'comfyui', gpu: 0, attempt: 2, startedAt: new Date().toISOString() },
      { ...one, id: 'redis', kind: 'redis', state: 'failed', health: 'unknown' },
    ],
    problems: [],
    queues: [{ type: 'comfyui', waiting: 12, active: 1, delayed: 0, failed: 3 }],
  },
  instances: [
    { id: 'comfyui_gpu0', memoryBytes: 123_456, logBytes: 789 },
    {
      id: 'worker_gpu0',
      work: {
        attempts: [
          { type: 'comfyui', engine: 'comfyui_gpu0', outcome: 'completed', count: 2, seconds: 5.5, withinBounds },
        ],
        idle: [{ engine: 'comfyui_gpu0', count: 4, seconds: 0.25 }],
      },
    },
  ],
};

const text = await metricsText(measures);
/** Sample lines of the text format: a name, labels, a number. */
const samples = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
const metricOf = (sample: string) => /^[a-z_]+/.exec(sample)?.[0] ?? '';
const families = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name = '', type = '']) => ({ name, type }));

describe('the metrics of a machine', () => {
  test('are in the text format, each family described once', () => {
    for (const line of samples) expect(line).toMatch(/^[a-z_]+(\{([a-z_]+="([^"\\]|\\.)*",?)+\})? (\d|\+Inf|-)\S*$/);
    expect(new Set(families.map(({ name }) => name)).size).toBe(families.length);
    expect([...text.matchAll(/^# HELP (\S+) /gm)].map(([, name]) => name)).toEqual(families.map(({ name }) => name));
    expect(new Set(samples.map((line) => line.replace(/ \S+$/, ''))).size).toBe(samples.length);
  });

  test('follow the conventions: base units, totals are counters, no label that a scrape takes for itself', () => {
    for (const { name, type } of families) {
      expect(name).toMatch(/^mgpu_/);
      expect(name.endsWith('_total')).toBe(type === 'counter');
      expect(name).not.toMatch(/_(ms|milliseconds|mib|mebibytes|percent|minutes)(_|$)/);
    }
    expect(text).not.toMatch(/[{,](instance|job)="/);
  });

  test.each([
    ['mgpu_build_info{version="1.2.3",machine="box \\"one\\""} 1'],
    [`mgpu_gpu_utilization_ratio{gpu="0",uuid="${uuid}"} 0.83`],
    [`mgpu_gpu_memory_used_bytes{gpu="0",uuid="${uuid}"} 1073741824`],
    [`mgpu_gpu_temperature_celsius{gpu="0",uuid="${uuid}"} 71`],
    [`mgpu_gpu_power_watts{gpu="0",uuid="${uuid}"} 312.5`],
    [`mgpu_gpu_slowdown{gpu="0",uuid="${uuid}",reason="heat"} 1`],
    ['mgpu_gpu_out_of_service{gpu="1",uuid="GPU-bbbb"} 0'],
    ['mgpu_instance_state{id="redis",kind="redis",gpu="",state="failed"} 1'],
    ['mgpu_instance_ready{id="comfyui_gpu0",kind="comfyui",gpu="0"} 1'],
    ['mgpu_instance_restarts_total{id="comfyui_gpu0",kind="comfyui",gpu="0"} 2'],
    ['mgpu_instance_memory_bytes{id="comfyui_gpu0",kind="comfyui",gpu="0"} 123456'],
    ['mgpu_instance_log_bytes_total{id="comfyui_gpu0",kind="comfyui",gpu="0"} 789'],
    ['mgpu_boot_phase_duration_seconds{phase="ComfyUI"} 1.5'],
    ['mgpu_queue_jobs{type="comfyui",state="waiting"} 12'],
    ['mgpu_gpu_idle_between_jobs_seconds_total{engine="comfyui_gpu0",worker="worker_gpu0"} 0.25'],
  ])('say %s', (line) => {
    expect(samples).toContain(line);
  });

  test('have durations of jobs as a histogram', () => {
    const labels = 'type="comfyui",engine="comfyui_gpu0",worker="worker_gpu0",outcome="completed"';
    const buckets = samples.filter((line) => line.startsWith('mgpu_job_duration_seconds_bucket'));
    expect(buckets).toHaveLength(13);
    expect(buckets).toContain(`mgpu_job_duration_seconds_bucket{le="2.5",${labels}} 1`);
    expect(buckets.at(-1)).toBe(`mgpu_job_duration_seconds_bucket{le="+Inf",${labels}} 2`);
    expect(samples).toContain(`mgpu_job_duration_seconds_sum{${labels}} 5.5`);
    expect(samples).toContain(`mgpu_job_duration_seconds_count{${labels}} 2`);
  });

  test('say nothing of what is not known', () => {
    expect(samples.filter((line) => line.includes('GPU-bbbb')).map(metricOf)).toEqual([
      'mgpu_gpu_info',
      'mgpu_gpu_out_of_service',
    ]);
  });

  const promtool = spawnSync('promtool', ['--version']).status === 0;
  test.skipIf(!promtool)('are clean to promtool', () => {
    const { status, stdout, stderr } = spawnSync('promtool', ['check', 'metrics'], { input: text, encoding: 'utf8' });
    expect({ status, said: stdout + stderr }).toEqual({ status: 0, said: '' });
  });
});

test('the README lists the metrics there are, and no others', () => {
  const readme = readFileSync(join(import.meta.dirname, '../README.md'), 'utf8');
  const listed = new Set([...readme.matchAll(/`(mgpu_\w*[a-z])`/g)].map(([, name]) => name));
  expect([...listed].toSorted()).toEqual(families.map(({ name }) => name).toSorted());
});

describe('the dashboard', () => {
  interface Panel {
    readonly title: string;
    readonly targets: readonly { readonly expr: string; readonly legendFormat: string }[];
    readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  }
  const file = join(import.meta.dirname, '../grafana/mgpu.json');
  const { panels } = JSON.parse(readFileSync(file, 'utf8')) as { panels: readonly Panel[] };
  const known = new Set(samples.map(metricOf));
  const expressions = panels.flatMap(({ title, targets }) => targets.map(({ expr }) => [title, expr] as const));

  test.each(expressions)('%s asks for what there is: %s', (_title, expr) => {
    const query = expr.replaceAll('$__rate_interval', '5m');
    const names: string[] = [];
    parser
      .configure({ strict: true })
      .parse(query)
      .iterate({
        enter: ({ name, from, to }) => {
          if (name === 'Identifier' && query.slice(from, to).startsWith('mgpu_')) names.push(query.slice(from, to));
        },
      });
    expect(names.length).toBeGreaterThan(0);
    expect(names.filter((name) => !known.has(name))).toEqual([]);
  });

  test('shows every metric but what only names things', () => {
    const shown = expressions.map(([, expr]) => expr).join('\n');
    const parts = /_(bucket|sum|count)$/;
    const missing = [...known].filter((name) => !parts.test(name) && !shown.includes(name));
    expect(missing).toEqual(['mgpu_machine_state', 'mgpu_gpu_info']);
  });

  test('has panels that do not lie over each other', () => {
    const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_, n) => `${x + (n % w)},${y + Math.floor(n / w)}`),
    );
    expect(new Set(cells).size).toBe(cells.length);
    expect(Math.max(...panels.map(({ gridPos: { x, w } }) => x + w))).toBeLessThanOrEqual(24);
  });
});
