export { type NginxConfig, nginxSchema } from './config.ts';
export { nginx } from './definition.ts';
export {
  AuthFileError,
  AuthRequiredError,
  AuthUnreadableError,
  ConfigRejectedError,
  NotRunningError,
  ReloadFailedError,
  ValueRefusedError,
} from './errors.ts';
export { type NginxOptions, NginxService } from './nginx-service.ts';
