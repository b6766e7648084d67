import { defineError } from '@mgpu/core';

export const ConfigRejectedError = defineError<{ instance: string; complaint: string; config: string }>({
  code: 'NGINX_CONFIG_REJECTED',
  message: ({ instance, complaint }) => `${instance}: nginx refuses its configuration: ${complaint}`,
  hint: ({ config }) => `cure what nginx complains of; the refused configuration is kept in ${config}`,
});

export const ReloadFailedError = defineError<{ instance: string; waitedMs: number; lastLines: readonly string[] }>({
  code: 'NGINX_RELOAD_FAILED',
  retryable: true,
  message: ({ instance, waitedMs, lastLines }) =>
    `${instance}: nginx did not take the new configuration within ${waitedMs} ms: ${lastLines.join(' | ') || 'it said nothing'}`,
  hint: 'the former configuration goes on serving; cure what nginx complains of and reload again',
});

export const NotRunningError = defineError<{ instance: string; state: string }>({
  code: 'NGINX_NOT_RUNNING',
  message: ({ instance, state }) => `${instance}: there is nothing to reload, it is ${state}`,
  hint: 'start it: a start always uses the present endpoints',
});

export const AuthRequiredError = defineError<{ instance: string; host: string }>({
  code: 'NGINX_AUTH_REQUIRED',
  message: ({ instance, host }) =>
    `${instance}: everybody who can reach ${host} could use the engines: there is no auth`,
  hint: 'set services.nginx.authFile (or SERVER_CREDS), listen on 127.0.0.1, or say `insecure: true` behind other protection',
});

export const AuthFileError = defineError<{ instance: string; path: string; problem: string }>({
  code: 'NGINX_AUTH_FILE',
  message: ({ instance, path, problem }) => `${instance}: the users in ${path} cannot be used: ${problem}`,
  hint: 'it holds one `user:hash` a line, as `htpasswd -B` writes them',
});

export const AuthUnreadableError = defineError<{ instance: string; path: string; status: number }>({
  code: 'NGINX_AUTH_UNREADABLE',
  message: ({ instance, path, status }) =>
    `${instance}: nginx's workers cannot read ${path} (a request with a password is answered ${status})`,
  hint: 'restart it if the file has vanished; else let TMPDIR be a folder that every user may enter, or set services.nginx.user to an account that can',
});

export const ValueRefusedError = defineError<{ what: string; value: string; problem: string }>({
  code: 'NGINX_VALUE_REFUSED',
  message: ({ what, value, problem }) =>
    `${what} ${JSON.stringify(value)} cannot stand in nginx's configuration: ${problem}`,
  hint: 'change that value',
});
