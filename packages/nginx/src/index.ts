export { type NginxConfig, nginxSchema } from './config.ts';
export { nginx } from './definition.ts';
export {
  AuthFileError,
  AuthRequiredError,
  AuthUnreadableError,
  ConfigRejectedError,
  NotRunningError,
  ReloadFailedError,
  SocketPathError,
  ValueRefusedError,
} from './errors.ts';
export { type NginxOptions, NginxService } from './nginx-service.ts';
export { type NginxPlan, render } from './render.ts';
export { type ProxyRoute, type ProxyTarget, planRoutes } from './routes.ts';
