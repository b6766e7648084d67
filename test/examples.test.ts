import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { leasePorts } from '@mgpu/core/testing';
import { expect, test } from 'vitest';

const embed = join(import.meta.dirname, '../examples/embed/embed.mjs');

/** The example on a port and a temporary folder of the test's own; with `wait` it never comes to its last line. */
async function startExample({ wait = false } = {}) {
  const ports = await leasePorts(1);
  const dir = mkdtempSync(join(tmpdir(), 'mgpu-example-'));
  const script = join(import.meta.dirname, `../examples/embed/.try-${ports.first}.mjs`);
  const text = readFileSync(embed, 'utf8').replace('8188', String(ports.first));
  const forever = 'await new Promise(() => setInterval(() => {}, 1e6));';
  writeFileSync(script, wait ? text.replace('await Promise.all', `${forever} await Promise.all`) : text);
  const child = spawn(process.execPath, [script], {
    env: { PATH: process.env.PATH, TMPDIR: dir },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  return {
    child,
    /** Processes whose command line or environment mentions the folder: whatever the example started. */
    left: () =>
      readdirSync('/proc').filter((pid) => /^\d+$/.test(pid) && pid !== String(process.pid) && mentions(pid, dir)),
    files: () => readdirSync(dir).filter((name) => name.startsWith('mgpu-')),
    [Symbol.dispose]() {
      child.kill('SIGKILL');
      rmSync(script);
      rmSync(dir, { recursive: true, force: true });
      ports[Symbol.dispose]();
    },
  };
}

function mentions(pid: string, text: string): boolean {
  try {
    return (
      readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(text) ||
      readFileSync(`/proc/${pid}/environ`, 'utf8').includes(text)
    );
  } catch {
    return false; // ended meanwhile
  }
}

test('the embedded ComfyUI answers, and leaves nothing behind when the script ends', async () => {
  using example = await startExample();
  const [printed] = await once(example.child.stdout, 'data');
  expect(String(printed)).toMatch(/^\d+\.\d+\.\d+\n$/);
  const [code] = await once(example.child, 'exit');
  expect(code).toBe(0);
  expect(example.left()).toEqual([]);
  expect(example.files()).toEqual([]);
});

test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)(
  'nothing is left of the embedded ComfyUI after %s',
  async (signal) => {
    using example = await startExample({ wait: true });
    await once(example.child.stdout, 'data');
    expect(example.left().length).toBeGreaterThanOrEqual(2);
    example.child.kill(signal);
    await once(example.child, 'exit');
    await expect.poll(() => example.left(), { timeout: 10_000 }).toEqual([]);
    expect(example.files()).toEqual([]);
  },
);

test('the example is as short as it promises', () => {
  expect(readFileSync(embed, 'utf8').trim().split('\n').length).toBeLessThanOrEqual(10);
});
