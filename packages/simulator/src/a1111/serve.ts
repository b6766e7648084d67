import { once } from 'node:events';
import type { Server } from 'node:http';
import { setTimeout } from 'node:timers/promises';
import { ProcessFaults } from '../faults/process-faults.ts';
import { StartError } from '../python/start-error.ts';
import { createWebuiServer } from './server.ts';
import type { Webui } from './webui.ts';

/** Binds, says so as the program does, and loads the checkpoint in the background. Throws StartError. */
export async function serve(webui: Webui, args: readonly string[]): Promise<void> {
  const { options, simulation, faults } = webui;
  const processFaults = new ProcessFaults();
  const server: Server = createWebuiServer(webui, processFaults, () => endInOrder(server));
  const say = (text: string) => process.stdout.write(`${text}\n`);
  say(`Python 3.10.14 (simulated)`);
  say(`Version: ${simulation.version}`);
  say(`Launching ${options.webPage ? 'Web UI' : 'API server'} with arguments: ${args.join(' ')}`);
  // Counted from the creation of the process, so that a busy machine does not make the imitated start longer.
  const due = simulation.startMs - performance.now();
  if (due > 0) await setTimeout(due);
  const ready = `Startup time: ${(performance.now() / 1000).toFixed(1)}s (simulated)`;
  if (!options.webPage) say(ready);
  webui.isApiAttached = !options.webPage || simulation.apiMs === 0;
  await bind(server, webui);
  handleSignals(webui, server);
  if (options.loadsModelAtStart) webui.loadAtStart();
  await processFaults.begin(faults.current, server);
  const url = `http://${options.host}:${options.port}`;
  if (options.webPage) {
    say(`Running on local URL:  ${url}`);
    await setTimeout(simulation.apiMs);
    webui.isApiAttached = true;
    say(ready);
  } else {
    process.stderr.write(
      `INFO:     Application startup complete.\nINFO:     Uvicorn running on ${url} (Press CTRL+C to quit)\n`,
    );
  }
}

async function bind(server: Server, { options }: Webui): Promise<void> {
  const { host, port, webPage } = options;
  try {
    server.listen({ port, host });
    await once(server, 'listening');
  } catch (error) {
    const { code, errno = 0, message } = error as NodeJS.ErrnoException;
    if (code !== 'EADDRINUSE') throw new StartError(`OSError: [Errno ${-errno}] ${message}`);
    throw new StartError(
      webPage
        ? `OSError: Cannot find empty port in range: ${port}-${port}. You can specify a different port by setting the GRADIO_SERVER_PORT environment variable or passing the \`server_port\` parameter to \`launch()\`.`
        : `ERROR:    [Errno 98] error while attempting to bind on address ('${host}', ${port}): address already in use`,
    );
  }
}

/** Without a page uvicorn ends in order on both; the page's own server dies of TERM and prints a line at INT. */
function handleSignals({ faults, options }: Webui, server: Server): void {
  process.removeAllListeners('SIGINT');
  process.on('SIGINT', () => {
    if (faults.current.ignoreInt) return;
    if (!options.webPage) return endInOrder(server);
    process.stdout.write('Interrupted with signal 2 in <frame>\n');
    process.exit(0);
  });
  if (options.webPage) return;
  process.on('SIGTERM', () => {
    if (!faults.current.ignoreTerm) endInOrder(server);
  });
}

/** Waits for the requests in progress. */
function endInOrder(server: Server): void {
  process.stderr.write('INFO:     Shutting down\n');
  server.close(() => process.exit(0));
  server.closeIdleConnections();
}
