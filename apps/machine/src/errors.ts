import { defineError } from '@mgpu/core';

export const UsageError = defineError<{ problem: string }>({
  code: 'MACHINE_USAGE',
  message: ({ problem }) => problem,
  hint: '`mgpu --help` shows the commands',
});

export const WorkflowUnreadableError = defineError<{ path: string; problem: string; cure: string }>({
  code: 'MACHINE_WORKFLOW',
  message: ({ path, problem }) => `the workflow ${path} cannot be used: ${problem}`,
  hint: ({ cure }) => cure,
});

export const RootUnknownError = defineError<{ source: string; problem: string }>({
  code: 'MACHINE_ROOT_UNKNOWN',
  message: ({ source, problem }) => `machine.root cannot be read from ${source}: ${problem}`,
  hint: 'name the root of the running machine with --root, or correct the file',
});

export const RootUnusableError = defineError<{ root: string; problem: string }>({
  code: 'MACHINE_ROOT',
  message: ({ root, problem }) => `the root ${root} cannot be used: ${problem}`,
  hint: 'set machine.root, ROOT or --root to a folder you may write to',
});

export const SharedDirectoriesError = defineError<{ shared: string; problem: string }>({
  code: 'MACHINE_SHARED_DIRECTORIES',
  message: ({ shared, problem }) => `the shared folders in ${shared} cannot be used: ${problem}`,
  hint: 'see that they are folders this user may write to, and that the disk is there',
});

export const NoBootError = defineError<{ root: string }>({
  code: 'MACHINE_NO_BOOT',
  message: ({ root }) => `no boot is on record in ${root}`,
  hint: '`mgpu up` starts one; for another machine name its --root',
});

export const RootVanishedError = defineError<{ root: string }>({
  code: 'MACHINE_ROOT_VANISHED',
  message: ({ root }) => `the root ${root} was removed or replaced under the running machine: everything is stopped`,
  hint: 'see that its volume is mounted, then start the machine again',
});

export const StoppingError = defineError<{ root: string }>({
  code: 'MACHINE_STOPPING',
  retryable: true,
  message: ({ root }) => `the machine at ${root} is stopping`,
  hint: 'start it again when `mgpu status` says that no daemon is running',
});

export const SubjectUnknownError = defineError<{ subject: string; known: readonly string[] }>({
  code: 'MACHINE_SUBJECT_UNKNOWN',
  message: ({ subject, known }) => `this machine has no "${subject}"; it has: ${known.join(', ')}`,
  hint: 'name an instance, gpu:N or machine',
});

export const JobFailedError = defineError<{ job: string; state: string }>({
  code: 'MACHINE_JOB_FAILED',
  message: ({ job, state }) => `job ${job} ended ${state} without a result`,
  hint: "look into the worker's log",
});

export const CancelUnconfirmedError = defineError<{ job: string }>({
  code: 'MACHINE_CANCEL_UNCONFIRMED',
  message: ({ job }) => `job ${job} was asked to end and nobody confirmed it: it may still run`,
  hint: 'look at `mgpu status`; a queue that is away cannot cancel',
});

export const ArtifactElsewhereError = defineError<{ path: string }>({
  code: 'MACHINE_ARTIFACT_ELSEWHERE',
  message: ({ path }) => `the file ${path} is not on this machine: another one that shares the queue ran the job`,
  hint: 'fetch it from there, or let the machines share the artifacts folder',
});

export const OwnCheckoutError = defineError<{ kind: string; dir: string }>({
  code: 'MACHINE_OWN_CHECKOUT',
  message: ({ kind, dir }) =>
    `services.${kind}.dir names a checkout of your own, ${dir}: mgpu installs nothing into that`,
  hint: ({ kind }) => `take services.${kind}.dir out of the configuration to let mgpu install it`,
});

export const ListMissingError = defineError<{ path: string }>({
  code: 'MACHINE_NODE_LIST',
  message: ({ path }) => `there is no list of custom nodes at ${path}`,
  hint: '`mgpu nodes add <url>` begins one; services.custom-nodes.list names another place',
});

export const SnapshotDiffersError = defineError<{ path: string; differences: readonly string[] }>({
  code: 'MACHINE_SNAPSHOT_DIFFERS',
  message: ({ path, differences }) => `not all of ${path} is so here: ${differences.join('; ')}`,
  hint: 'what a Git checkout can be brought to is done; the rest is for you',
});

export const NoEngineError = defineError<{ kind: string; name: string; where: string; states: readonly string[] }>({
  code: 'MACHINE_NO_ENGINE',
  message: ({ name, where, states }) =>
    `no ${name} runs on ${where}${states.length === 0 ? '' : `: ${states.join(', ')}`}`,
  hint: ({ kind }) => `enable it (services.${kind}.enabled: true), and see \`mgpu status\``,
});

export const CommandDiedError = defineError<{ command: string; problem: string; lastLines: readonly string[] }>({
  code: 'MACHINE_COMMAND_DIED',
  message: ({ command, problem, lastLines }) =>
    `mgpu ${command} gave no answer: ${problem}${lastLines.length === 0 ? '' : `: ${lastLines.join(' | ')}`}`,
  hint: 'run it by hand, and look at the memory and the log of the system',
});

export const TokenConfiguredError = defineError<{ key: string }>({
  code: 'MACHINE_TOKEN_CONFIGURED',
  message: ({ key }) => `${key} is configured: nobody would be asked for a new token`,
  hint: 'change it where it is configured (the file, or MGPU_HTTP_TOKEN), or leave it out there: then one is made and kept',
});

export const FileInTheWayError = defineError<{ path: string }>({
  code: 'MACHINE_FILE_IN_THE_WAY',
  message: ({ path }) => `${path} is there already, and is not what would be written`,
  hint: 'choose another place with --out, or write over it with --force',
});
