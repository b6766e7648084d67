import { exitCodes } from '../commands/exit-codes.ts';
import { daemonArguments } from './daemon-arguments.ts';
import type { ExportedFile } from './exported-file.ts';
import type { Installation } from './installation.ts';

/** Seconds that the instances wait for the daemon that follows on a reload. */
const keepSeconds = 10;

/** Not 0: PM2 takes a death by a signal for that. */
const stoppedCode = 64;

/** An ecosystem file. PM2 takes a file for one by the end of its name: `.config.cjs`. */
export function pm2Files(installation: Installation): readonly ExportedFile[] {
  const { environmentFile, folder, home, node, path } = installation;
  const app = {
    name: 'mgpu',
    script: node,
    args: daemonArguments(installation, {
      flags: [`--env-file-if-exists=${environmentFile}`],
      options: ['--on-term', 'keep', '--keep-for', String(keepSeconds), '--stopped-code', String(stoppedCode)],
    }),
    interpreter: 'none',
    cwd: folder,
    env: { PATH: path, HOME: home },
    filter_env: [''],
    treekill: false,
    kill_timeout: 30_000,
    autorestart: true,
    stop_exit_codes: [stoppedCode, exitCodes.usage],
    exp_backoff_restart_delay: 1_000,
    vizion: false,
    pmx: false,
    merge_logs: true,
  };
  return [
    { name: 'ecosystem.config.cjs', content: `${head}module.exports = ${JSON.stringify({ apps: [app] }, null, 2)};\n` },
  ];
}

const head = `// Written by \`mgpu export pm2\`: the mgpu daemon under PM2. Start it with \`pm2 start ecosystem.config.cjs\`.
//
// reload, restart   the daemon alone; engines go on, and are the next daemon's
// stop, delete      the daemon, and ${keepSeconds} s later everything else: PM2 asks for a stop as it does for a restart, so the
//                   instances wait that long for another daemon. \`mgpu down\` stops everything at once
//
// filter_env        PM2 hands nothing of its caller's environment to the daemon, and keeps nothing of it in its dump;
//                   variables for the daemon belong into the file that --env-file-if-exists names
// treekill          PM2 signals the daemon, and never its engines
// stop_exit_codes   after \`mgpu down\` and with a configuration that is wrong it is not started again
`;
