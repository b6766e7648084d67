// Python environments for services that bring Python programs to the machine.
export { PackagesFailedError, PythonMissingError, RequirementsConflictError, TorchIndexError } from './errors.ts';
export { packageName } from './package-name.ts';
export type { PackageSources } from './package-sources.ts';
export {
  type InstallOptions,
  type PackageChange,
  PythonEnvironment,
  type PythonOptions,
  type PythonRunOptions,
  type Requirements,
} from './python-environment.ts';
export { installerFields, requirementSchema, torchFields } from './setup-fields.ts';
export { driverCuda, torchFindings } from './torch-finding.ts';
export { type TorchIndexOptions, torchIndexFor } from './torch-index.ts';
export { pinTorch, torchSources } from './torch-packages.ts';
