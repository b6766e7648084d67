export { type NginxConfig, nginxSchema } from './config.ts';
export { nginx } from './definition.ts';
export { type NginxOptions, NginxService } from './nginx-service.ts';
