// Finds the programs that tests and demo need beyond npm; installs what is missing when it may, says what to do when not.
// Usage: node scripts/provision.mjs redis nginx?   (with a question mark: goes on without it, saying so)
import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';

const programs = {
  redis: {
    names: ['redis-server', 'valkey-server'],
    packages: { apt: 'redis-server', apk: 'redis', dnf: 'valkey', brew: 'redis' },
  },
  nginx: { names: ['nginx'], packages: { apt: 'nginx-light', apk: 'nginx', dnf: 'nginx', brew: 'nginx' } },
};
const managers = {
  apt: { program: 'apt-get', refresh: ['update', '-qq'], install: ['install', '-y', '-qq', '--no-install-recommends'] },
  apk: { program: 'apk', refresh: ['update'], install: ['add', '--no-progress'] },
  dnf: { program: 'dnf', refresh: ['makecache', '-q'], install: ['install', '-y', '-q'] },
  brew: { program: 'brew', refresh: ['update', '--quiet'], install: ['install', '--quiet'] },
};
const policyFile = '/usr/sbin/policy-rc.d';
const limitMs = 300_000;

const dirs = [...(process.env.PATH ?? '').split(delimiter), '/usr/local/sbin', '/usr/sbin', '/sbin'];

function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
const has = (name) => dirs.some((dir) => isExecutable(join(dir, name)));
const isMissing = (key) => !programs[key].names.some(has);

function call(program, args) {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  return spawnSync(program, args, { env, stdio: ['ignore', 'ignore', 'pipe'], timeout: limitMs, encoding: 'utf8' });
}

/** A package's own service would take port 80 or 6379 of this host; ours are started by mgpu alone. */
function withoutAutostart(packages, work) {
  const guard = existsSync('/etc/debian_version') && !existsSync(policyFile);
  if (guard) writeFileSync(policyFile, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    const result = work();
    if (has('systemctl'))
      call('systemctl', ['disable', '--quiet', ...packages.map((name) => name.replace(/-light$/, ''))]);
    return result;
  } finally {
    if (guard) rmSync(policyFile, { force: true });
  }
}

const asked = process.argv.slice(2).map((word) => ({ key: word.replace('?', ''), optional: word.endsWith('?') }));
const missing = asked.filter(({ key }) => isMissing(key)).map(({ key }) => key);
const canGoOn = asked.every(({ key, optional }) => optional || !missing.includes(key));
if (missing.length > 0) {
  const names = missing.map((key) => programs[key].names.join(' or ')).join(', ');
  const kind = Object.keys(managers).find((each) => has(managers[each].program));
  if (kind === undefined) {
    console.error(
      `mgpu needs ${names}, and there is no package manager here it knows: install them and run this again`,
    );
    process.exit(1);
  }
  const { program, refresh, install } = managers[kind];
  const packages = missing.map((key) => programs[key].packages[kind]);
  const command = `${program} ${install.slice(0, install[1] === '-y' ? 2 : 1).join(' ')} ${packages.join(' ')}`;
  const permitted = process.getuid?.() === 0 || kind === 'brew';
  if (!permitted) {
    console.error(
      `mgpu ${canGoOn ? 'goes on without' : 'needs'} ${names}, which is not installed here. Run: sudo ${command}`,
    );
    process.exit(canGoOn ? 0 : 1);
  }
  console.log(`installing ${packages.join(', ')} with ${program} (${names} is missing)`);
  const result = withoutAutostart(packages, () => {
    call(program, refresh);
    return call(program, [...install, ...packages]);
  });
  const still = missing.filter(isMissing);
  if (still.length > 0) {
    const reason =
      (result.stderr ?? '').trim().split('\n').at(-1) || result.error?.message || `exit code ${result.status}`;
    console.error(`${program} could not install ${packages.join(', ')}: ${reason}\nRun it by hand: ${command}`);
    process.exit(1);
  }
}
