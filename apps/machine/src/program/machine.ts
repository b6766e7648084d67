import { type Command, Option } from 'commander';
import { positive } from './options.ts';
import type { Runner } from './runner.ts';

interface UpFlags {
  readonly mock?: number;
  readonly detach?: boolean;
  readonly onTerm: 'down' | 'keep';
  readonly keepFor?: number;
  readonly stoppedCode?: number;
}

export function addMachine(program: Command, runner: Runner): void {
  program
    .command('up')
    .description('boot the machine and stay until Ctrl-C, or with --detach return when it has booted')
    .option('--mock <n>', 'that many simulated GPUs with simulated engines', positive)
    .option('--detach', 'leave the daemon in the background')
    .addOption(
      new Option('--on-term <what>', 'on SIGTERM or Ctrl-C stop everything, or keep it running for the next daemon')
        .choices(['down', 'keep'])
        .default('down'),
    )
    .option(
      '--keep-for <seconds>',
      'with --on-term keep: stop everything when no daemon follows in that time',
      positive,
    )
    .option(
      '--stopped-code <n>',
      'exit code after `mgpu down`, for supervisors that restart what ends with 0',
      positive,
    )
    .action(async (options: UpFlags) => {
      const { onTerm, keepFor, stoppedCode } = options;
      if (options.detach && (keepFor ?? stoppedCode) !== undefined)
        return program.error('--keep-for and --stopped-code are for a daemon in the foreground');
      if (keepFor !== undefined && onTerm !== 'keep') return program.error('--keep-for needs --on-term keep');
      if (options.detach) {
        await runner.ask(({ detach }, context) => detach(context, onTerm), options);
      } else {
        const { up } = await import('../commands/up.ts');
        const keepForMs = keepFor === undefined ? undefined : keepFor * 1_000;
        await runner.run((context) => up(context, { onTerm, keepForMs, stoppedCode }), options);
      }
    });

  program
    .command('down')
    .description('stop everything')
    .option('--force', 'kill at once instead of waiting for graceful ends')
    .option('--if-abandoned <seconds>', 'only what a daemon has left, when no other follows in that time', positive)
    .action(async ({ force = false, ifAbandoned }: { force?: boolean; ifAbandoned?: number }) => {
      const { down, downIfAbandoned } = await import('../commands/down.ts');
      await runner.run((context) =>
        ifAbandoned === undefined
          ? down(context, { force })
          : downIfAbandoned(context, { force, afterMs: ifAbandoned * 1_000 }),
      );
    });

  program
    .command('phases')
    .description('the boot under way, or the last one: each phase with its time and its outcome')
    .action(async () => runner.run((await import('../commands/phases.ts')).phases));

  program
    .command('why')
    .description('what went wrong with an instance, a GPU or the machine, and what was done about it')
    .argument('<subject>', 'an instance such as comfyui_gpu0, or gpu:0, or machine')
    .action(async (subject: string) => {
      const { why } = await import('../commands/why.ts');
      await runner.run((context) => why(context, subject));
    });

  program
    .command('doctor')
    .description('look for what would keep the machine from working')
    .option('--mock <n>', 'as for up', positive)
    .action(async (options: { mock?: number }) => {
      const { doctor } = await import('../commands/doctor.ts');
      await runner.run(doctor, options);
    });

  program
    .command('demo')
    .description('boot everything on two simulated GPUs, send each engine a job, shut down')
    .option('--keep', 'stay up and print the URLs')
    .action(async ({ keep = false }: { keep?: boolean }) => {
      const { demo } = await import('../commands/demo.ts');
      await runner.run((context) => demo(context, { keep }));
    });
}
