import { existsSync, readFileSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { availableParallelism, cpus, freemem, hostname, totalmem } from 'node:os';
import { dirname } from 'node:path';
import { environmentBindings, type Finding, findProgram, runCommand } from '@mgpu/core';
import { watchdogSchema } from '@mgpu/watchdog';
import { fileSize } from '../print/text.ts';
import type { Settings } from '../settings.ts';

type HostFinding = Finding & { readonly subject: string };

const gibibyte = 1_024 ** 3;
/** An engine has a connection, a file or a pipe for everything it does; torch opens hundreds by itself. */
const fewFiles = 4_096;
const askMs = 5_000;
/** No host that runs this was made before: certificates are refused when the clock says so. */
const earliest = Date.UTC(2026, 0, 1);

/** What the machine is and what it was given, for whoever reads a report of it elsewhere: of variables the names alone. */
export async function hostFindings(settings: Settings): Promise<HostFinding[]> {
  const { definitions, env } = settings;
  const model = cpus()[0]?.model.trim();
  const cores = `${availableParallelism()} cores${model ? ` (${model})` : ''}`;
  const memory = `${fileSize(totalmem())} of memory, ${fileSize(freemem())} of it unused`;
  const set = environmentBindings(definitions).flatMap(({ name }) => (env[name] ? [name] : []));
  return [
    ok('host', `${hostname()}: ${cores}, ${memory}`),
    await diskFinding(settings),
    filesFinding(),
    await clockFinding(env),
    ...(await toolFindings(settings)),
    ok('variables', set.length > 0 ? [...new Set(set)].join(', ') : 'none of those that are understood is set'),
  ];
}

const ok = (subject: string, message: string): HostFinding => ({ subject, level: 'ok', message });

export function nearestFolder(path: string): string {
  let nearest = path;
  while (!existsSync(nearest)) nearest = dirname(nearest);
  return nearest;
}

/** By the same measure as the watchdog's, which takes no more jobs where there is too little room. */
async function diskFinding({ layout, config }: Settings): Promise<HostFinding> {
  const { blocks, bavail, bsize } = await statfs(nearestFolder(layout.root));
  const free = bavail * bsize;
  const message = `${fileSize(free)} of ${fileSize(blocks * bsize)} are free for ${layout.root}`;
  const { stopGiB, warnGiB } = watchdogSchema.parse(config.services.watchdog ?? {}).disk;
  const hint =
    'make room: `mgpu models du` tells what takes it, `mgpu models evict --free 50G` removes what is used least';
  if (free < stopGiB * gibibyte)
    return { subject: 'disk', level: 'error', message: `${message}: no jobs are taken`, hint };
  return free < warnGiB * gibibyte ? { subject: 'disk', level: 'warning', message, hint } : ok('disk', message);
}

/** Node raises its own limit to what is allowed: that is what instances inherit. */
function filesFinding(): HostFinding {
  const [, allowed = ''] = /^Max open files\s+\S+\s+(\S+)/m.exec(read('/proc/self/limits')) ?? [];
  const message = `${allowed === '' ? 'an unknown number of' : allowed} files may be open at once`;
  if (allowed === '' || allowed === 'unlimited' || Number(allowed) >= fewFiles) return ok('open files', message);
  const hint = 'raise it where the machine is started: LimitNOFILE= of systemd, --ulimit nofile= of Docker, ulimit -Hn';
  return { subject: 'open files', level: 'warning', message, hint };
}

async function clockFinding(env: Settings['env']): Promise<HostFinding> {
  const now = new Date();
  const message = now.toISOString();
  const hint = 'let a time service set it: `timedatectl set-ntp true`; a container has the clock of its host';
  if (now.getTime() < earliest)
    return { subject: 'clock', level: 'error', message: `${message} is long past: nothing can be downloaded`, hint };
  const program = await findProgram(['timedatectl'], env);
  const args = ['show', '--property=NTPSynchronized', '--value'];
  const asked = program === undefined ? undefined : await runCommand(program, args, { env, timeoutMs: askMs });
  if (asked?.ok && asked.stdout.trim() === 'no')
    return { subject: 'clock', level: 'warning', message: `${message}, set by no time service`, hint };
  return ok('clock', message);
}

/** What installs engines and nodes, for a machine that is to install any. */
async function toolFindings({ config, env }: Settings): Promise<HostFinding[]> {
  const { comfyui, a1111 } = config.services;
  const installs = [comfyui, a1111].some((each) => each?.enabled && each.command === undefined);
  const python = await toolFinding('python', ['python3', 'python'], env);
  const git = await toolFinding('git', ['git'], env);
  // Where engines are simulated, or somebody else's, nothing may ever need them.
  return [...(installs || python.level === 'ok' ? [python] : []), git];
}

async function toolFinding(subject: string, names: readonly string[], env: Settings['env']): Promise<HostFinding> {
  const program = await findProgram([...names], env);
  const asked = program === undefined ? undefined : await runCommand(program, ['--version'], { env, timeoutMs: askMs });
  if (program !== undefined && asked?.ok) {
    const version = /\d+(\.\d+)+/.exec(asked.stdout || asked.stderr)?.[0] ?? 'of an unknown version';
    return ok(subject, `${program} ${version}`);
  }
  const message = program === undefined ? `${names[0]} is not in PATH` : `${program} does not run`;
  const hint = `install it with the system's packages: it brings engines and custom nodes to this machine`;
  return { subject, level: 'warning', message, hint };
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return ''; // another system
  }
}
