// Installing Automatic1111; apart from the rest, which every start loads.
export type { SetupProgress, SetupStep } from './setup/build-installation.ts';
export { type InstallOptions, type InstallResult, install } from './setup/install.ts';
export type { Installation } from './setup/installation.ts';
export { InstallationStore } from './setup/installation-store.ts';
export { type SetupOptions, type SetupResult, setUp } from './setup/set-up.ts';
