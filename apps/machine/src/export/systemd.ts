import { daemonArguments } from './daemon-arguments.ts';
import type { ExportedFile } from './exported-file.ts';
import type { Installation } from './installation.ts';

/** A unit of the system's manager, for `/etc/systemd/system`. Directives: systemd.service(5), of version 244 or newer. */
export function systemdFiles(installation: Installation): readonly ExportedFile[] {
  const { environmentFile, folder, node, path, root, stopSeconds, user } = installation;
  const command = [node, ...daemonArguments(installation)].map(commandWord).join(' ');
  const content = `# Written by \`mgpu export systemd\`: the mgpu daemon under systemd.
#
# systemctl stop      stops everything
# systemctl restart   replaces the daemon alone; engines go on, and are the next daemon's. So they do when it crashes

[Unit]
Description=mgpu machine at ${plain(root)}
Wants=network-online.target
After=network-online.target
RequiresMountsFor=${quoted(root)}
# However often it fails: engines that nobody looks after are worse than one more attempt.
StartLimitIntervalSec=0

[Service]
# Node has no datagram sockets of the Unix kind, which Type=notify needs. When it is ready, \`mgpu status\` says.
Type=exec
User=${plain(user)}
WorkingDirectory=${plain(folder)}
Environment=${quoted(`PATH=${path}`)}
EnvironmentFile=-${plain(environmentFile)}
ExecStart=${command}
# SIGTERM, to the daemon alone, stops everything; an ExecStop= would be run at restarts, too.
KillMode=process
RestartKillSignal=SIGUSR2
TimeoutStopSec=${stopSeconds}
Restart=on-failure
RestartSec=2
# A configuration that is wrong does not get better by itself.
RestartPreventExitStatus=2
# The watchdog sees to an engine that the kernel killed for its memory; the others have done nothing.
OOMPolicy=continue
LimitNOFILE=1048576
LimitMEMLOCK=infinity
TasksMax=infinity
# No more than this: drivers load modules and make device files on first use, CUDA needs the devices, and \`mgpu status\`
# looks for long socket names in the same /tmp.
ProtectControlGroups=yes

[Install]
WantedBy=multi-user.target
`;
  return [{ name: 'mgpu.service', content }];
}

/** Specifiers begin with a percent sign. */
const plain = (text: string) => text.replaceAll('%', '%%');

/** A word of a directive that takes several. */
const quoted = (text: string) => `"${plain(text).replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;

/** A word of a command line, in which variables are replaced, too. The common ones are left readable. */
const commandWord = (text: string) =>
  /^[\w@%+=:,./-]+$/.test(text) ? plain(text) : quoted(text).replaceAll('$', '$$$$');
