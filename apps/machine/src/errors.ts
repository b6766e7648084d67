import { defineError } from '@mgpu/core';

export const WorkflowUnreadableError = defineError<{ path: string; problem: string; cure: string }>({
  code: 'MACHINE_WORKFLOW',
  message: ({ path, problem }) => `the workflow ${path} cannot be used: ${problem}`,
  hint: ({ cure }) => cure,
});

export const PluginError = defineError<{ name: string; problem: string }>({
  code: 'MACHINE_PLUGIN',
  message: ({ name, problem }) => `the plugin ${name} cannot be used: ${problem}`,
  hint: 'install it beside mgpu, or take it out of `plugins:`',
});

export const RootUnusableError = defineError<{ root: string; problem: string }>({
  code: 'MACHINE_ROOT',
  message: ({ root, problem }) => `the root ${root} cannot be used: ${problem}`,
  hint: 'set machine.root, ROOT or --root to a folder you may write to',
});

export const DaemonDiedError = defineError<{ exitCode: number | null; lastLines: readonly string[]; log: string }>({
  code: 'MACHINE_DAEMON_DIED',
  message: ({ exitCode, lastLines }) =>
    `the daemon ended with exit code ${exitCode} before it answered${lastLines.length > 0 ? `: ${lastLines.slice(-3).join(' | ')}` : ''}`,
  hint: ({ log }) => `its output is in ${log}`,
});

export const JobFailedError = defineError<{ job: string; state: string }>({
  code: 'MACHINE_JOB_FAILED',
  message: ({ job, state }) => `job ${job} ended ${state} without a result`,
  hint: "look into the worker's log",
});

export const ArtifactElsewhereError = defineError<{ path: string }>({
  code: 'MACHINE_ARTIFACT_ELSEWHERE',
  message: ({ path }) => `the file ${path} is not on this machine: another one that shares the queue ran the job`,
  hint: 'fetch it from there, or let the machines share the artifacts folder',
});
