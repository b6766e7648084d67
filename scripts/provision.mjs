// Finds the programs that tests and demo need beyond npm; installs what is missing when it may, says what to do when not.
// Usage: node scripts/provision.mjs redis nginx?   (with a question mark: goes on without it, saying so)
import { spawn } from 'node:child_process';
import { accessSync, constants, existsSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';

// It runs before anything is built. A test compares the packages with those that the services name.
const programs = {
  redis: { names: ['redis-server', 'valkey-server'], packages: { 'apt-get': 'redis-server', dnf: 'valkey' } },
  nginx: { names: ['nginx'], packages: { 'apt-get': 'nginx-light', dnf: 'nginx' } },
  sshd: { names: ['sshd'], packages: { 'apt-get': 'openssh-server', dnf: 'openssh-server' }, units: ['ssh', 'sshd'] },
  // What the benchmarks run beside mgpu, and the programs that are run.
  python: { names: ['python3'], packages: { 'apt-get': 'python3', dnf: 'python3' } },
  supervisord: { names: ['supervisord'], packages: { 'apt-get': 'supervisor', dnf: 'supervisor' } },
  runit: { names: ['runsvdir'], packages: { 'apt-get': 'runit' } },
  multitail: { names: ['multitail'], packages: { 'apt-get': 'multitail', dnf: 'multitail' } },
  s6: { names: ['s6-svscan'], packages: { 'apt-get': 's6' } },
};
const managers = {
  'apt-get': { refresh: ['update', '-qq'], quietly: ['-qq', '--no-install-recommends'] },
  dnf: { refresh: ['makecache', '-q'], quietly: ['-q'] },
};
const policyFile = '/usr/sbin/policy-rc.d';
const limitMs = 300_000;

const dirs = [...(process.env.PATH ?? '').split(delimiter), '/usr/local/sbin', '/usr/sbin', '/sbin'];
const interrupted = new AbortController();

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

/** Resolves when the program has ended, with why it failed. */
function call(program, args) {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const signal = AbortSignal.any([interrupted.signal, AbortSignal.timeout(limitMs)]);
  const child = spawn(program, args, { env, stdio: ['ignore', 'ignore', 'pipe'], signal });
  let text = '';
  child.stderr?.on('data', (chunk) => {
    text += chunk;
  });
  return new Promise((resolve) => {
    let failure = '';
    child.on('error', ({ message }) => {
      failure = message;
      if (child.pid === undefined) resolve(failure); // it never ran
    });
    child.on('close', (code) =>
      resolve(failure || (code === 0 ? '' : text.trim().split('\n').at(-1) || `exit code ${code}`)),
    );
  });
}

/** A package's own service would take port 80 or 6379 of this host; ours are started by mgpu alone. */
async function withoutAutostart(keys, packages, work) {
  const guard = existsSync('/etc/debian_version') && !existsSync(policyFile);
  // Ours to remove again, however this ends: with it no package could ever start its service.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => interrupted.abort());
  if (guard) writeFileSync(policyFile, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    const failure = await work();
    const units = keys.flatMap((key) => programs[key].units ?? packages.map((name) => name.replace(/-light$/, '')));
    for (const unit of has('systemctl') ? units : []) await call('systemctl', ['disable', '--quiet', unit]);
    return failure;
  } finally {
    if (guard) rmSync(policyFile, { force: true });
  }
}

/** Says why something is missing, and ends the script unless all of it is optional. */
function giveUp(why) {
  console.error(why);
  process.exit(canGoOn && !interrupted.signal.aborted ? 0 : 1);
}

const asked = process.argv.slice(2).map((word) => ({ key: word.replace('?', ''), optional: word.endsWith('?') }));
const missing = asked.filter(({ key }) => isMissing(key)).map(({ key }) => key);
const canGoOn = asked.every(({ key, optional }) => optional || !missing.includes(key));
if (missing.length > 0) {
  const names = missing.map((key) => programs[key].names.join(' or ')).join(', ');
  const without = `mgpu ${canGoOn ? 'goes on without' : 'needs'} ${names}, which is not installed here`;
  const manager = Object.keys(managers).find(has);
  if (manager === undefined) giveUp(`${without}, and there is no package manager it knows: install it by hand`);
  const packages = missing.map((key) => programs[key].packages[manager]).filter(Boolean);
  if (packages.length === 0)
    giveUp(`${without}, and ${manager} has no package of it that mgpu knows: install it by hand`);
  const command = `${manager} install -y ${packages.join(' ')}`;
  if (process.getuid?.() !== 0) giveUp(`${without}. Run: sudo ${command}`);
  console.log(`installing ${packages.join(', ')} with ${manager} (${names} is missing)`);
  const failure = await withoutAutostart(missing, packages, async () => {
    await call(manager, managers[manager].refresh);
    return call(manager, ['install', '-y', ...managers[manager].quietly, ...packages]);
  });
  if (missing.some(isMissing)) {
    giveUp(
      `${without}: ${manager} could not install ${packages.join(', ')} (${failure || 'it did not say why'}). Run it by hand: ${command}`,
    );
  }
}
