import { Argument, type Command } from 'commander';
import type { ExportFlags } from '../commands/export.ts';
import { type InitService, initServices } from '../export/init.ts';
import type { Runner } from './runner.ts';

export function addExport(program: Command, runner: Runner): void {
  const exports = program
    .command('export')
    .description('files for whoever is to run the daemon; nothing secret is in them');
  const exportOptions = (command: Command, what: string) =>
    command
      .option('--out <path>', `${what} to write instead of printing`)
      .option('--force', 'write over what is there');
  exportOptions(
    exports.command('pm2').description('an ecosystem file for PM2'),
    'the file (*.config.cjs), or its folder,',
  ).action(async (flags: ExportFlags) => {
    const { exportPm2 } = await import('../commands/export.ts');
    await runner.run((context) => exportPm2(context, flags));
  });
  exportOptions(exports.command('systemd').description('a unit of the system manager'), 'the file, or its folder,')
    .option('--user <name>', 'who the daemon runs as (default: you)')
    .action(async (flags: ExportFlags & { user?: string }) => {
      const { exportSystemd } = await import('../commands/export.ts');
      await runner.run((context) => exportSystemd(context, flags));
    });
  exportOptions(exports.command('docker').description('a Dockerfile and a compose file'), 'the folder').action(
    async (flags: ExportFlags) => {
      const { exportDocker } = await import('../commands/export.ts');
      await runner.run((context) => exportDocker(context, flags));
    },
  );
  exportOptions(
    exports
      .command('init')
      .description('scripts for /etc/init.d, for the habit of `service comfyui start 0`')
      .addArgument(new Argument('[service...]', 'default: those of them that are enabled').choices(initServices)),
    'the folder',
  ).action(async (services: InitService[], flags: ExportFlags) => {
    const { exportInit } = await import('../commands/export.ts');
    await runner.run((context) => exportInit(context, services, flags));
  });
}
