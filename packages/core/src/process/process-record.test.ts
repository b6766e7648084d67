import { expect, test } from 'vitest';
import { hashSpec } from './process-record.ts';

const spec = { file: '/usr/bin/python3', args: ['main.py', '--port', '8188'], cwd: '/engine', env: { A: '1', B: '2' } };

test('the hash of a command changes with everything that changes how it is launched', () => {
  const changed = [
    { ...spec, file: '/usr/bin/python' },
    { ...spec, args: ['main.py', '--port', '8189'] },
    { ...spec, cwd: '/other' },
    { ...spec, env: { A: '1', B: '3' } },
    { ...spec, env: { A: '1', B: '2', C: undefined } },
    { ...spec, stopSignal: 'SIGINT' as const },
  ];
  expect(new Set([spec, ...changed].map(hashSpec)).size).toBe(changed.length + 1);
});

test('it does not change with how long a stop may take, or with the order of the environment', () => {
  expect(hashSpec({ ...spec, graceMs: 1, ports: [{ port: 1 }], env: { B: '2', A: '1' } })).toBe(hashSpec(spec));
});

test('it does not change when our own installation moves', () => {
  const at = (root: string, node: string) =>
    hashSpec({ file: node, args: [`${root}/worker/dist/host.js`], env: { HOST: `${root}/worker/dist/host.js` } });
  const here = at('/home/me/node_modules/@mgpu', process.execPath);
  expect(at('/usr/lib/node_modules/@mgpu', process.execPath)).toBe(here);
  expect(at('/src/mgpu/packages', process.execPath)).toBe(here);
  expect(at('/src/mgpu/other', process.execPath)).not.toBe(here);
});

test('it takes arguments of any length', () => {
  const long = { ...spec, args: ['x'.repeat(500_000), '/'.repeat(500_000)] };
  expect(hashSpec(long)).toBe(hashSpec({ ...long }));
});
