export { Machine, type MachineOptions } from './machine.ts';
export { definitions } from './services.ts';
export { servicesOnPorts } from './services-on-ports.ts';
export { type Location, loadSettings, type Settings, type SettingsOptions } from './settings.ts';
