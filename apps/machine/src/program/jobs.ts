import type { Command } from 'commander';
import { positive } from './options.ts';
import type { Runner } from './runner.ts';

export function addJobs(program: Command, runner: Runner): void {
  program
    .command('run')
    .description('send a ComfyUI workflow (API format) through the queue and wait for its files')
    .argument('<workflow.json>')
    .option('--watch', 'show what happens')
    .option('--out <dir>', 'copy the files there')
    .option('--timeout <seconds>', 'give up after that long', positive)
    .action(
      async (path: string, { watch = false, out, timeout }: { watch?: boolean; out?: string; timeout?: number }) => {
        const { run } = await import('../commands/run.ts');
        const limit = timeout === undefined ? {} : { timeoutMs: timeout * 1_000 };
        await runner.run((context) => run(context, path, { watch, ...(out === undefined ? {} : { out }), ...limit }));
      },
    );
}
