import { defineError } from '../errors/define-error.ts';

export const PythonMissingError = defineError<{ python: string; problem: string; cure: string }>({
  code: 'CORE_PYTHON_MISSING',
  message: ({ python, problem }) => `${python} cannot make a Python environment: ${problem}`,
  hint: ({ cure }) => cure,
});

/** The resolver proved that no set of packages will do. */
export const RequirementsConflictError = defineError<{ problem: string }>({
  code: 'CORE_REQUIREMENTS_CONFLICT',
  message: ({ problem }) => `these requirements cannot be met together: ${problem}`,
  hint: 'loosen one of them, or leave out what wants it',
});

/** `transient`: the index or the network is at fault, as far as its words tell; default false. */
export const PackagesFailedError = defineError<{
  action: string;
  problem: string;
  lastLines: readonly string[];
  transient?: boolean;
}>({
  code: 'CORE_PACKAGES_FAILED',
  retryable: ({ transient = false }) => transient,
  message: ({ action, problem, lastLines }) =>
    `Python packages could not be ${action}: ${problem}${lastLines.length > 0 ? `; last words: ${lastLines.slice(-3).join(' | ')}` : ''}`,
  hint: 'what was done is kept: the same command goes on from there; check the index and the network when it says so',
});

/** Which build of torch fits cannot be told. */
export const TorchIndexError = defineError<{ problem: string }>({
  code: 'CORE_TORCH_INDEX',
  message: ({ problem }) => `which build of torch fits the driver cannot be told: ${problem}`,
  hint: "cure the driver, or name the index: `setup.torch.index` of the engine's service",
});
