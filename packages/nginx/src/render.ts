import { beforePort, ipOf } from './address.ts';
import type { NginxConfig } from './config.ts';
import { quote } from './quote.ts';
import { renderRoute } from './render-route.ts';
import type { ProxyRoute } from './routes.ts';

/** Everything the configuration file says, decided. */
export interface NginxPlan
  extends Pick<NginxConfig, 'host' | 'port' | 'workers' | 'maxUploadMiB' | 'timeoutMs' | 'drainMs' | 'accessLog'> {
  readonly routes: readonly ProxyRoute[];
  /** Patterns of further files. */
  readonly includes?: readonly string[];
  /** Folder for its pid, temporary files and logs. */
  readonly folder: string;
  /** Unix socket that answers `/status` with `generation`, without asking for a password. */
  readonly statusSocket: string;
  /** Tells this configuration from the one before it. */
  readonly generation: string;
  /** The users that may come in; without it everybody may. */
  readonly usersFile?: string | undefined;
  /** Account of the workers, when started as root. */
  readonly workersAs?: { readonly user: string; readonly group: string } | undefined;
}

const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'] as const;

/** The text of nginx.conf. Throws `NGINX_VALUE_REFUSED` for a path that cannot be written in one. */
export function render(plan: NginxPlan): string {
  const { folder, host, port, routes, usersFile, statusSocket, generation } = plan;
  const listen = (at: number) => `${beforePort(ipOf(host))}:${at} so_keepalive=on`;
  const rendered = routes.map((route) => renderRoute(route, listen));
  const file = (name: string) => quote('the path', `${folder}/${name}`);
  const users =
    usersFile === undefined ? [] : ['auth_basic "mgpu";', `auth_basic_user_file ${quote('the path', usersFile)};`];
  const first = routes[0]?.path;
  return `${[
    '# Written by mgpu at every start and reload: changes are lost.',
    ...(plan.workersAs ? [`user ${plan.workersAs.user} ${plan.workersAs.group};`] : []),
    'daemon off;',
    `worker_processes ${plan.workers};`,
    `worker_shutdown_timeout ${plan.drainMs}ms;`,
    `pid ${file('nginx.pid')};`,
    'error_log stderr warn;',
    'events { worker_connections 1024; }',
    'http {',
    ...[
      plan.accessLog ? `access_log ${file('logs/access.log')};` : 'access_log off;',
      'server_tokens off;',
      'absolute_redirect off;',
      'default_type text/plain;',
      'gzip off;',
      ...temporary.map((name) => `${name}_temp_path ${file(`temp/${name}`)};`),
      `client_max_body_size ${plan.maxUploadMiB}m;`,
      `client_body_timeout ${plan.timeoutMs}ms;`,
      `send_timeout ${plan.timeoutMs}ms;`,
      // Each kind has variables named after it, and a set for each of its GPUs.
      'variables_hash_max_size 8192;',
      'variables_hash_bucket_size 512;',
      ...users,
      'proxy_http_version 1.1;',
      'proxy_request_buffering off;',
      'proxy_buffering off;',
      'proxy_connect_timeout 2s;',
      `proxy_read_timeout ${plan.timeoutMs}ms;`,
      `proxy_send_timeout ${plan.timeoutMs}ms;`,
      'proxy_next_upstream error timeout;',
      // ComfyUI compares Host with Origin: both go through as the browser sent them.
      'proxy_set_header Host $mgpu_host;',
      'proxy_set_header Upgrade $mgpu_upgrade;',
      'proxy_set_header Connection $mgpu_connection;',
      'proxy_set_header X-Real-IP $remote_addr;',
      'proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;',
      'proxy_set_header X-Forwarded-Proto $mgpu_proto;',
      // Our password is no business of the engines.
      ...(usersFile === undefined ? [] : ['proxy_set_header Authorization "";']),
      'map $http_host $mgpu_host { default $http_host; "" $host; }',
      'map $http_upgrade $mgpu_upgrade { default ""; "~*^websocket$" websocket; }',
      'map $mgpu_upgrade $mgpu_connection { default close; websocket upgrade; }',
      'map $http_x_forwarded_proto $mgpu_proto { default $http_x_forwarded_proto; "" $scheme; }',
    ].map((line) => `    ${line}`),
    ...rendered.flatMap(({ http }) => http),
    '    server {',
    `        listen ${listen(port)};`,
    ...(first === undefined ? [] : [`        location = / { return 302 ${first}; }`]),
    '        location / { return 404; }',
    ...rendered.flatMap(({ main }) => main),
    '    }',
    '    server {',
    `        listen ${quote('the path', `unix:${statusSocket}`)};`,
    '        access_log off;',
    // The question with a wrong password is no error to be logged.
    '        error_log stderr crit;',
    '        auth_basic off;',
    `        location = /status { return 200 ${quote('the generation', generation)}; }`,
    // `return` would answer before the password is asked for.
    ...(users.length === 0 ? [] : [`        location = /auth { ${users.join(' ')} try_files /none =204; }`]),
    '    }',
    ...(plan.includes ?? []).map((pattern) => `    include ${quote('the path', pattern)};`),
    '}',
  ].join('\n')}\n`;
}
