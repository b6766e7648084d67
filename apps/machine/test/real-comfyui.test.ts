import { readFileSync } from 'node:fs';
import type { JobStatus } from '@mgpu/core';
import { decode } from 'fast-png';
import { expect, test } from 'vitest';
import { invertWorkflow, openBox } from './support.ts';

const { MGPU_REAL_COMFYUI: dir, MGPU_REAL_COMFYUI_PYTHON: python } = process.env;
const startMs = 120_000;

/** Takes long on a CPU and needs no model: a large picture scaled up and down again and again. */
function slowWorkflow(times: number) {
  const scales = Array.from({ length: times }, (_, n) => [
    String(n + 2),
    {
      class_type: 'ImageScale',
      inputs: {
        image: [String(n + 1), 0],
        upscale_method: 'lanczos',
        width: 2048 + (n % 2) * 1024,
        height: 2048,
        crop: 'disabled',
      },
    },
  ]);
  return {
    '1': { class_type: 'EmptyImage', inputs: { width: 2048, height: 2048, batch_size: 1, color: 255 } },
    ...Object.fromEntries(scales),
    last: { class_type: 'SaveImage', inputs: { images: [String(times + 1), 0], filename_prefix: 'slow' } },
  };
}

test.skipIf(!dir)(
  'the whole way to a real ComfyUI: picture, cached repeat, its own errors, interrupt',
  { timeout: 4 * startMs },
  async () => {
    await using box = await openBox(() => ({ comfyui: { dir, cpu: true, ...(python ? { python } : {}) } }));
    const up = await box.mgpu(['up', '--detach'], { NUM_GPUS: '1' });
    expect(up.stderr).toBe('');
    expect(up.code).toBe(0);

    const workflow = await box.writeJson('invert.json', invertWorkflow());
    const first = (await box.mgpu(['run', workflow, '--json'])).json<JobStatus>().data;
    const picture = decode(readFileSync(first.result?.artifacts[0]?.path ?? ''));
    expect({ width: picture.width, height: picture.height }).toEqual({ width: 64, height: 48 });
    expect([...picture.data.slice(0, 3)]).toEqual([0, 255, 255]);

    const second = (await box.mgpu(['run', workflow, '--json'])).json<JobStatus>().data;
    expect(second.result?.artifacts[0]?.sha256).toBe(first.result?.artifacts[0]?.sha256);
    console.log(`picture ${first.result?.timings.totalMs} ms, cached repeat ${second.result?.timings.totalMs} ms`);

    const missing = { ...invertWorkflow(), '2': { class_type: 'ImageInvert', inputs: {} } };
    const invalid = await box.mgpu(['run', await box.writeJson('missing.json', missing)]);
    expect(invalid.code).toBe(1);
    expect(invalid.stderr).toMatch(/node 2.*ImageInvert.*image/s);
    console.log(invalid.stderr.trim());

    const run = box.start(['run', await box.writeJson('slow.json', slowWorkflow(200)), '--watch']);
    await run.printed(/node \d+/);
    const began = performance.now();
    run.kill('SIGINT');
    const { code, stdout } = await run.ended;
    expect(code).toBe(1);
    expect(stdout).toMatch(/was cancelled/);
    console.log(`interrupt: ${Math.round(performance.now() - began)} ms from Ctrl-C to the end of the command`);
    const next = await box.mgpu(['run', await box.writeJson('next.json', invertWorkflow(0x00ff00)), '--json']);
    expect(next.json<JobStatus>().data.state).toBe('completed');
    expect(readFileSync(`${box.root}/comfyui_gpu0/logs/output.log`, 'utf8')).toContain('Processing interrupted');
  },
);
