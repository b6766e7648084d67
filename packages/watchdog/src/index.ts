export { type WatchdogConfig, watchdogSchema } from './config.ts';
export { type Incident, latestIncident, readIncidents } from './incidents.ts';
export { type QuarantinedGpu, quarantinedGpus } from './quarantine.ts';
export { watchdog } from './watchdog.ts';
export { type WatchdogOptions, WatchdogService } from './watchdog-service.ts';
