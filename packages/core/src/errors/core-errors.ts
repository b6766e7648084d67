import { defineError } from './define-error.ts';

const lastWords = (lines: readonly string[]) => lines.slice(-3).join(' | ');

export const ConfigInvalidError = defineError<{ source: string; problems: readonly string[] }>({
  code: 'CORE_CONFIG_INVALID',
  message: ({ source, problems }) => `the configuration (${source}) is not valid: ${problems.join('; ')}`,
  hint: 'correct the named keys; `mgpu config schema` prints what is allowed',
});

export const ConfigNotFoundError = defineError<{ path: string }>({
  code: 'CORE_CONFIG_NOT_FOUND',
  message: ({ path }) => `there is no configuration file at ${path}`,
  hint: 'check the path given with --config, or leave it out to use mgpu.config.{yaml,json,ts} or the defaults',
});

export const PluginError = defineError<{ name: string; problem: string }>({
  code: 'CORE_PLUGIN',
  message: ({ name, problem }) => `the plugin ${name} cannot be used: ${problem}`,
  hint: 'install it where the configuration file is, or beside mgpu; or take it out of `plugins:`',
});

export const PortDuplicateError = defineError<{ port: number; instances: readonly string[] }>({
  code: 'CORE_PORT_DUPLICATE',
  message: ({ port, instances }) => `port ${port} is given to more than one instance: ${instances.join(', ')}`,
  hint: 'change one of the base ports; the port of GPU n is base + n',
});

export const PortInUseError = defineError<{
  instance: string;
  port: number;
  host: string;
  pid?: number;
  command?: string;
}>({
  code: 'CORE_PORT_IN_USE',
  retryable: true,
  message: ({ instance, port, host, pid, command }) =>
    `${instance}: port ${port} on ${host} is in use${pid === undefined ? '' : ` by process ${pid} (${command})`}`,
  hint: ({ pid }) =>
    pid === undefined
      ? 'find its holder with `ss -ltnp`, stop it or choose another port'
      : `stop process ${pid} or choose another port`,
});

export const PortUnusableError = defineError<{ host: string; port: number; errno: string }>({
  code: 'CORE_PORT_UNUSABLE',
  message: ({ host, port, errno }) => `port ${port} on ${host} cannot be listened on: ${errno}`,
  hint: ({ host, errno }) =>
    errno === 'EACCES'
      ? 'choose a port above 1023, or allow it with `sysctl net.ipv4.ip_unprivileged_port_start`'
      : `check that ${host} is an address of this machine`,
});

export const PortLeaseError = defineError<{ problem: string }>({
  code: 'CORE_PORT_LEASE',
  message: ({ problem }) => `no ports could be leased: ${problem}`,
  hint: 'free some ports between 20000 and 31999; `ss -ltn` lists who listens',
});

export const InstanceInUseError = defineError<{ instance: string; owner: number; command: string }>({
  code: 'CORE_INSTANCE_IN_USE',
  retryable: true,
  message: ({ instance, owner, command }) => `${instance}: process ${owner} (${command}) already runs it on this root`,
  hint: ({ owner }) => `stop it in process ${owner}, or use another root`,
});

export const InstanceHeldError = defineError<{ instance: string; reason: string }>({
  code: 'CORE_INSTANCE_HELD',
  retryable: true,
  message: ({ instance, reason }) => `${instance} is not started: ${reason}`,
  hint: 'it starts by itself when that is over; `mgpu why` with its name tells how it came to that',
});

export const ProcMissingError = defineError<{ instance: string; platform: string }>({
  code: 'CORE_PROC_MISSING',
  message: ({ instance, platform }) =>
    `${instance}: there is no /proc here (${platform}), so its processes could not be told from others`,
  hint: 'run it on Linux with /proc mounted',
});

export const GpuOutOfRangeError = defineError<{
  gpus: readonly number[];
  /** Indexes of those that are there, ascending. */
  known: readonly number[];
  /** What went wrong while they were looked for. */
  problem?: string | undefined;
}>({
  code: 'CORE_GPU_OUT_OF_RANGE',
  message: ({ gpus, known, problem }) => {
    const isGapless = known.every((index, position) => index === position);
    const indexes = isGapless && known.length > 1 ? `0 to ${known.length - 1}` : known.join(', ');
    const count = known.length === 1 ? 'one GPU' : `${known.length} GPUs`;
    return `no such GPU: ${gpus.join(', ')}; this machine has ${count}: ${indexes}${problem ? `; ${problem}` : ''}`;
  },
  hint: ({ problem }) => (problem ? 'cure nvidia-smi first' : 'name only GPUs that `mgpu doctor` lists'),
});

export const GpuQueryError = defineError<{ program: string; problem: string; output?: string }>({
  code: 'CORE_GPU_QUERY',
  retryable: true,
  message: ({ program, problem, output }) => `${program} ${problem}${output ? `: ${output}` : ''}`,
  hint: 'run it by hand; a driver that does not answer needs a reboot of the machine',
});

export const VerificationFailedError = defineError<{ instance: string; problem: string }>({
  code: 'CORE_VERIFICATION_FAILED',
  retryable: true,
  message: ({ instance, problem }) => `${instance} was tried out and did not do its work: ${problem}`,
  hint: 'its log says more; the rest of the machine goes on',
});

export const InstanceUnknownError = defineError<{ instance: string; known: readonly string[] }>({
  code: 'CORE_SERVICE_UNKNOWN',
  message: ({ instance, known }) => `no instance is called "${instance}"; there are: ${known.join(', ') || 'none'}`,
  hint: 'check the spelling, or enable the service in the configuration',
});

export const DefinitionInvalidError = defineError<{ kind: string; problem: string }>({
  code: 'CORE_DEFINITION_INVALID',
  message: ({ kind, problem }) => `the service definition "${kind}" ${problem}`,
  hint: 'correct the definition; docs/guides/write-a-service.md describes it',
});

export const DependencyCycleError = defineError<{ cycle: readonly string[] }>({
  code: 'CORE_DEPENDENCY_CYCLE',
  message: ({ cycle }) => `these services wait for each other: ${cycle.join(' → ')}`,
  hint: 'remove one of the dependencies',
});

export const DependencyFailedError = defineError<{ node: string; dependency: string }>({
  code: 'CORE_DEPENDENCY_FAILED',
  message: ({ node, dependency }) => `${node} was not started because ${dependency} failed`,
  hint: ({ dependency }) => `cure ${dependency} first`,
});

export const BootFailedError = defineError<{ failed: readonly string[]; first: string }>({
  code: 'CORE_BOOT_FAILED',
  message: ({ failed, first }) => `the boot failed at ${failed.join(', ')}: ${first}`,
});

export const StartAbortedError = defineError<{ instance: string }>({
  code: 'CORE_START_ABORTED',
  retryable: true,
  message: ({ instance }) => `${instance}: the start was cancelled`,
});

export const StartTimeoutError = defineError<{
  instance: string;
  waitedMs: number;
  probe: string;
  last: string;
  lastLines: readonly string[];
  log?: string;
}>({
  code: 'CORE_START_TIMEOUT',
  retryable: true,
  message: ({ instance, waitedMs, probe, last, lastLines }) =>
    [
      `${instance}: not ready after ${Math.round(waitedMs / 100) / 10} s; ${probe} last said: ${last}`,
      lastLines.length > 0 ? `; its last words: ${lastWords(lastLines)}` : '',
    ].join(''),
  hint: ({ log }) =>
    [log && `its log is ${log}`, 'a slow first start needs a longer start deadline'].filter(Boolean).join('; '),
});

export const ProcessSpawnError = defineError<{ instance: string; file: string; problem: string; permanent: boolean }>({
  code: 'CORE_PROCESS_SPAWN',
  retryable: ({ permanent }) => !permanent,
  message: ({ instance, file, problem }) => `${instance}: ${file} could not be started: ${problem}`,
  hint: ({ permanent }) =>
    permanent
      ? 'check that the program, its working directory and its log exist and may be used'
      : 'the system is short of something for the moment: try again',
});

/** Of an adopted process nobody can know. */
function howItEnded(exitCode: number | null, signal: string | null): string {
  if (signal) return ` by ${signal}`;
  return exitCode === null ? '' : ` with exit code ${exitCode}`;
}

export const ProcessExitedError = defineError<{
  instance: string;
  exitCode: number | null;
  signal: string | null;
  lastLines: readonly string[];
  log: string;
}>({
  code: 'CORE_PROCESS_EXITED',
  retryable: true,
  message: ({ instance, exitCode, signal, lastLines }) =>
    [
      `${instance}: the process ended${howItEnded(exitCode, signal)}`,
      lastLines.length > 0 ? `; its last words: ${lastWords(lastLines)}` : ' without a word',
    ].join(''),
  hint: ({ log }) => `its log is ${log}`,
});

export const UnkillableError = defineError<{ instance: string; pids: readonly number[] }>({
  code: 'CORE_PROCESS_UNKILLABLE',
  message: ({ instance, pids }) => `${instance}: processes ${pids.join(', ')} are still there after SIGKILL`,
  hint: 'they hang in the kernel (often a GPU driver fault): the machine needs a reboot',
});

export const StopIncompleteError = defineError<{ instance: string; problems: readonly string[] }>({
  code: 'CORE_STOP_INCOMPLETE',
  message: ({ instance, problems }) => `${instance}: not everything could be released: ${problems.join('; ')}`,
});

export const FileVersionError = defineError<{ path: string; version: number; supported: number }>({
  code: 'CORE_FILE_VERSION',
  message: ({ path, version, supported }) =>
    `${path} was written by a newer mgpu (version ${version}, this one reads up to ${supported})`,
  hint: 'upgrade mgpu, or move the file away once nothing it describes is running',
});

export const FileInvalidError = defineError<{ path: string; problem: string }>({
  code: 'CORE_FILE_INVALID',
  message: ({ path, problem }) => `${path} cannot be read: ${problem}`,
  hint: 'move the file away; it is written anew',
});

export const LogCutError = defineError<{ file: string; problem: string }>({
  code: 'CORE_LOG_CUT',
  retryable: true,
  message: ({ file, problem }) => `the beginning of ${file} could not be taken out after it was archived: ${problem}`,
  hint: 'nothing is lost, but the file grows; check that the disk is healthy and has room',
});

export const SocketPathError = defineError<{ instance: string; path: string; bytes: number; limit: number }>({
  code: 'CORE_SOCKET_PATH',
  message: ({ instance, path, bytes, limit }) =>
    `${instance}: the path of its socket is too long (${bytes} bytes, the system allows ${limit}): ${path}`,
  hint: 'choose a shorter machine.root, or point TMPDIR at a folder with a shorter path',
});

export const FolderNotPrivateError = defineError<{ instance: string; path: string; problem: string }>({
  code: 'CORE_FOLDER_NOT_PRIVATE',
  message: ({ instance, path, problem }) => `${instance}: ${path} cannot hold what nobody else may touch: ${problem}`,
  hint: 'remove it, or point TMPDIR at a folder that is yours alone',
});

export const FolderBusyError = defineError<{ path: string }>({
  code: 'CORE_FOLDER_BUSY',
  retryable: true,
  message: ({ path }) => `another mgpu is changing ${path}`,
  hint: 'wait until it is done',
});

export const ProgramMissingError = defineError<{ program: string; looked: readonly string[]; install: string }>({
  code: 'CORE_PROGRAM_MISSING',
  message: ({ program, looked }) => `${program} is not installed (looked for ${looked.join(', ')})`,
  hint: ({ install }) => `install it: ${install}`,
});

export const ProgramPathError = defineError<{ program: string; path: string; key: string }>({
  code: 'CORE_PROGRAM_PATH',
  message: ({ program, path, key }) => `${program}: ${key} names ${path}, where no program is`,
  hint: ({ key }) => `correct ${key}, or leave it out to have it looked up in PATH`,
});

export const JobUnknownError = defineError<{ job: string }>({
  code: 'CORE_JOB_UNKNOWN',
  message: ({ job }) => `there is no job ${job}`,
  hint: 'finished jobs are forgotten after a while; check the id',
});

export const JobHandoverError = defineError<{ job: string; worker: string }>({
  code: 'CORE_JOB_HANDOVER',
  retryable: true,
  message: ({ job, worker }) => `${worker} stops; whoever takes job ${job} next goes on with it`,
});

export const SelectorUnknownError = defineError<{
  selector: string;
  near: string | undefined;
  known: readonly string[];
}>({
  code: 'CORE_SELECTOR_UNKNOWN',
  message: ({ selector, near, known }) =>
    `this machine has no service or instance "${selector}"; ${near === undefined ? `its services: ${known.join(', ') || 'none'}` : `did you mean "${near}"?`}`,
  hint: 'name a service, an instance, gpu:N or all; a service that is not enabled has no instances',
});

export const GpuUnknownError = defineError<{ gpu: string; known: readonly number[] }>({
  code: 'CORE_GPU_UNKNOWN',
  message: ({ gpu, known }) => `this machine has no GPU "${gpu}"; ${rangeOf(known)}`,
  hint: 'give the number of a GPU, or all',
});

const rangeOf = (known: readonly number[]): string => {
  const [only] = known;
  if (only === undefined) return 'it has none';
  if (known.length === 1) return `it has one: ${only}`;
  const isGapless = known.every((index, position) => index === position);
  return `it has ${known.length}: ${isGapless ? `0 to ${known.length - 1}` : known.join(', ')}`;
};
