export { type WatchdogConfig, watchdogSchema } from './config.ts';
export { type Incident, readIncidents } from './incidents.ts';
export { watchdog } from './watchdog.ts';
export { type WatchdogOptions, WatchdogService } from './watchdog-service.ts';
