import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type Absent,
  bytesIn,
  call,
  type Daemon,
  type Deployment,
  daemon,
  programs,
  type Supervisor,
} from './supervisor.ts';

export async function supervisord(): Promise<Supervisor | Absent> {
  const found = await programs('supervisord', 'supervisorctl');
  if (!found) return { name: 'supervisord', why: 'not installed' };
  return {
    name: 'supervisord',
    async deploy(fleet, { logs = false, httpPort } = {}): Promise<Deployment> {
      const output = join(fleet.folder, 'output');
      await mkdir(output);
      const socket = join(fleet.folder, 'supervisor.sock');
      // Without a start second it counts as running at once; it looks at its children once a second all the same.
      const blocks = fleet.programs.map(
        ({ name, command }) => `[program:${name}]
command=${command.join(' ')}
startsecs=0
autorestart=true
stdout_logfile=${logs ? join(output, `${name}.log`) : 'NONE'}
stdout_logfile_maxbytes=50MB
stdout_logfile_backups=20
stderr_logfile=NONE
`,
      );
      const config = join(fleet.folder, 'supervisord.conf');
      await writeFile(
        config,
        `[supervisord]
logfile=/dev/null
logfile_maxbytes=0
pidfile=${join(fleet.folder, 'supervisord.pid')}
[unix_http_server]
file=${socket}
${httpPort === undefined ? '' : `[inet_http_server]\nport=127.0.0.1:${httpPort}`}
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://${socket}
${blocks.join('')}`,
      );
      let running: Daemon | undefined;
      return {
        async start() {
          running = daemon([found.supervisord, '--nodaemon', '--configuration', config], fleet);
        },
        status: () => call([found.supervisorctl, '--configuration', config, 'status'], fleet),
        captured: () => bytesIn(output),
        stop: async () => running?.stop('SIGTERM'),
      };
    },
  };
}
