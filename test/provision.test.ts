import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const at = (path: string) => join(import.meta.dirname, '..', path);

/** With a PATH that has nothing: no Redis, no package manager. */
function provision(...programs: string[]) {
  const empty = mkdtempSync(join(tmpdir(), 'mgpu-path-'));
  try {
    return spawnSync(process.execPath, [at('scripts/provision.mjs'), ...programs], {
      env: { PATH: empty },
      encoding: 'utf8',
    });
  } finally {
    rmSync(empty, { recursive: true });
  }
}

test('goes on without what is optional, saying so, and not without what is needed', () => {
  expect(provision('redis?')).toMatchObject({ status: 0, stderr: expect.stringContaining('goes on without redis') });
  expect(provision('redis')).toMatchObject({ status: 1, stderr: expect.stringContaining('needs redis') });
});

test.each([
  ['redis', 'redis/src'],
  ['nginx', 'nginx/src'],
  ['sshd', 'access/src/ssh'],
])('%s is installed from the packages that its service names', (name, folder) => {
  const own = new RegExp(`${name}: \\{.*packages: \\{(.*?)\\}`).exec(readFileSync(at('scripts/provision.mjs'), 'utf8'));
  const service = readFileSync(at(`packages/${folder}/locate-program.ts`), 'utf8');
  const pairs = own?.[1]?.split(',').map((each) => each.trim()) ?? [];
  expect(pairs.length).toBeGreaterThan(1);
  for (const pair of pairs) expect(service).toContain(`${pair},`);
});
